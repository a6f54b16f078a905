"""ONNX: the network for onnxruntime and whatever else reads it, in one file."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch

from cktat.errors import CktatError
from cktat.exports.leaving import Leaving
from cktat.exports.program import exported
from cktat.runs import write_atomic

NEEDED = ("onnx", "onnxscript", "onnxruntime")
MOST_BYTES = 2**31
"""Of one ONNX file; larger ones keep their weights in files beside them."""


def write_onnx(leaving: Leaving, path: Path) -> None:
    """Writes the model, atomically: input `images`, output `logits`, `Leaving.about` as its metadata."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise CktatError(f"ONNX needs {', '.join(missing)}: pip install 'cktat[onnx]'")
    if sum(each.numel() * 4 for each in leaving.module.state_dict().values()) >= MOST_BYTES - 2**24:
        raise CktatError(
            "the network has 2 GiB of weights or more, and one ONNX file cannot hold them; export --to torch-export"
        )
    import onnxruntime

    with _quiet():
        made = torch.onnx.export(
            exported(leaving),
            input_names=["images"],
            output_names=["logits"],
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert made is not None
    model = made.model_proto
    del model.metadata_props[:], model.graph.value_info[:]  # shapes of what is inside, which a reader infers
    for part in (*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]  # where it came from on this machine
    for each in (*model.graph.input, *model.graph.output):
        each.type.tensor_type.shape.dim[0].dim_param = "batch"
    for key, value in leaving.about().items():
        model.metadata_props.add(key=key, value=value)
    model.producer_name = "cktat"
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    leaving.require_same(lambda x: session.run(["logits"], {"images": x.numpy()})[0], path)
    write_atomic(path, content)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says to those who work at it (of torchvision, of its own deprecations)."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
