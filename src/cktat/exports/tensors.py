"""safetensors: the weights, with their card and the same in words beside it. `cktat.load` reads it, and so does any reader of
such files."""

from __future__ import annotations

from pathlib import Path

from cktat.exports.leaving import Leaving
from cktat.runs.files import OF_WEIGHTS, write_tensors


def write_safetensors(leaving: Leaving, path: Path) -> None:
    """Writes the weights of a network, atomically."""
    card = {name: value for name, value in leaving.card.items() if name != OF_WEIGHTS}
    write_tensors(path, leaving.module.state_dict(), card, OF_WEIGHTS, beside={"format": "pt"} | leaving.about())
