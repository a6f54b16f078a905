"""torch.export: the network as a program that runs without this package, and lets gradients through."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import torch

from cktat.errors import CktatError, out_of_memory
from cktat.exports.leaving import Leaving
from cktat.runs import write_atomic
from cktat.usercode import said


def exported(leaving: Leaving) -> torch.export.ExportedProgram:
    """The network as a program for batches of any size. Raises CktatError for one that cannot be traced."""
    batch = torch.export.Dim("batch", min=1)
    try:
        made = torch.export.export(leaving.module, (leaving.images(2),), dynamic_shapes=({0: batch},))
    except Exception as error:  # a user's network may do what cannot be traced, in many ways
        if out_of_memory(error):
            raise
        raise CktatError(
            f"network {leaving.card['model']!r} cannot be exported as a program: {said(error)}; its forward pass must not "
            f"depend on the values of its images, and must take batches of any size"
        ) from error
    for node in made.graph.nodes:
        node.meta.pop("stack_trace", None)  # lines and paths of the files that were traced on this machine
    return made


def write_program(leaving: Leaving, path: Path) -> None:
    """Writes the program, atomically; each entry of `Leaving.about` is a file in it, see `extra_files` of torch.export.load."""
    program, buffer = exported(leaving), io.BytesIO()
    leaving.require_same(program.module(), path)
    with warnings.catch_warnings(action="ignore"):  # it warns of weights that are views of one another
        torch.export.save(program, buffer, extra_files=leaving.about())
    write_atomic(path, buffer.getvalue())
