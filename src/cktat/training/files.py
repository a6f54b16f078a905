"""Writing so that nothing is ever half written, and reading so that a bad file is one clear error."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor

from cktat.errors import CktatError, one_line
from cktat.training.leftovers import temporary

_UMASK = os.umask(0)
os.umask(_UMASK)  # the only way to read it is to set it

Card = dict[str, Any]
"""What a network is: architecture, classes, mean and std, eps, data, design, seed - JSON values only."""


def write_atomic(path: Path, content: bytes) -> None:
    """`content` at `path`, whole or not at all, whenever the process or the machine stops."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=temporary(path))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_UMASK)  # mkstemp's files are private, these are as any other
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any) -> None:
    """`value` as indented JSON, atomically."""
    write_atomic(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """The value in a JSON file. Raises CktatError if it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CktatError(f"there is no file {path}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CktatError(f"{path} is not valid JSON: {error}") from None


def write_sealed(path: Path, fields: Mapping[str, Any]) -> None:
    """`fields` as JSON with the sum of their content, by which `read_sealed` notices an edit. Atomic."""
    write_json(path, {**fields, "sha256": _sum(fields)})


def read_sealed(path: Path) -> dict[str, Any]:
    """The fields that `write_sealed` wrote. Raises CktatError if the file is missing, broken, or was edited since."""
    fields = read_json(path)
    if not isinstance(fields, dict) or not isinstance(fields.get("sha256"), str):
        raise CktatError(f"{path} carries no sum of its content (sha256), so it is no measurement; remove it")
    if fields.pop("sha256") != _sum(fields):
        raise CktatError(f"{path} was changed: its content is not what its sha256 says; remove it to measure anew")
    return fields


def _sum(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, types, shapes and bytes of weights."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def save_weights(path: Path, tensors: Mapping[str, Tensor], card: Card) -> None:
    """Weights as safetensors with their card inside (so that both are written at once), and the card as JSON beside."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    card = card | {"weights_sha256": digest(plain)}
    write_atomic(path, to_safetensors(plain, {"card": json.dumps(card)}))
    write_json(path.with_suffix(".json"), card)


def load_weights(path: Path) -> tuple[dict[str, Tensor], Card]:
    """Weights and card of a file that `save_weights` wrote. Raises CktatError for any other file; runs no code from it."""
    if not path.is_file():
        raise CktatError(f"there are no weights at {path}")
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            card = json.loads((file.metadata() or {}).get("card", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, json.JSONDecodeError) as error:
        raise _no_weights(path, error) from None
    if not isinstance(card, dict):
        raise CktatError(f"{path} carries no card; bring weights from elsewhere in with `cktat import`")
    if digest(tensors) != card.get("weights_sha256"):
        raise CktatError(f"{path} is damaged: its weights are not those its card describes")
    return tensors, card


def read_card(path: Path) -> Card:
    """The card inside a weights file, {} if there is no such file. Raises CktatError if it is damaged."""
    if not path.is_file():
        return {}
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            return json.loads((file.metadata() or {}).get("card", "{}"))
    except (safetensors.SafetensorError, json.JSONDecodeError) as error:
        raise _no_weights(path, error) from None


def _no_weights(path: Path, error: Exception) -> CktatError:
    guess = f"{looks_like(path)}; weights from elsewhere come in with `cktat import`"
    return CktatError(f"{path} is not a whole safetensors file ({guess}): {error}")


def looks_like(path: Path) -> str:
    """A guess at what a file is that should have been something else."""
    if not path.is_file():
        return "there is no such file"
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(512)
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page, so a download went wrong"
    if head.startswith(b"PK") or head.startswith(b"\x80"):
        return "it looks like a pickle or torch.save file"
    return f"{size} bytes, truncated or something else"


def save_state(path: Path, state: dict[str, Any]) -> None:
    """A training state (tensors and primitives only), atomically."""
    import io

    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomic(path, buffer.getvalue())


def load_tensors(path: Path) -> Any:
    """What torch.save wrote, if it is tensors and primitives only. Runs no code from the file, and shows no warnings of
    torch about files it then refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True)


def load_state(path: Path) -> dict[str, Any]:
    """A training state. Raises CktatError for a damaged file; runs no code from it."""
    try:
        return load_tensors(path)
    except Exception as error:  # torch raises many kinds for a damaged or hostile file
        line = one_line(error) or type(error).__name__
        guess = f"{looks_like(path)}; remove it to train from the beginning"
        raise CktatError(f"{path} is not a training state that can be resumed ({guess}): {line}") from None
