"""Writing so that nothing is ever half written, and reading so that a bad file is one clear error."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor

from cktat.errors import CktatError, named_file, one_line
from cktat.runs.door import Kept, parse, sealed, unsealed
from cktat.runs.leftovers import temporary
from cktat.runs.schemas import CardKept

_UMASK = os.umask(0)
os.umask(_UMASK)  # the only way to read it is to set it

Card = dict[str, Any]
"""What a network is: architecture, classes, mean and std, eps, data, design, seed - JSON values only."""


def write_atomic(path: Path, content: bytes) -> None:
    """`content` at `path`, whole or not at all, whenever the process or the machine stops."""
    with named_file(path, "written", len(content)):
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


def write_sealed(path: Path, fields: Mapping[str, Any]) -> None:
    """`fields` as JSON with the sum of their content, by which `read_sealed` notices an edit. Atomic."""
    write_json(path, sealed(fields))


def digest(tensors: Mapping[str, Tensor]) -> str:
    """sha256 over names, types, shapes and bytes of weights."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


WEIGHTS, OF_WEIGHTS = "a card of weights", "weights_sha256"
ELSEWHERE = "weights from elsewhere come in with `cktat import`"


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any], total: str, beside: Mapping[str, str] = {}
) -> dict[str, Any]:
    """Tensors as safetensors with what they are about inside (so that both are written at once), and the sums of both. Atomic.

    about: JSON values. total: under which name in it the sum of the tensors stands. beside: metadata for other readers, which
    `read_tensors` passes over. Returns `about` with that sum.
    """
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    about = {**about, total: digest(plain)}
    write_atomic(path, to_safetensors(plain, {**beside, "card": json.dumps(sealed(about))}))
    return about


def read_tensors(
    path: Path, schema: type[Kept], total: str, what: str, way_out: str = "remove it to measure anew"
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` wrote. Raises CktatError for any other file, or one that was changed since."""
    with _opened(path, what, way_out) as file:
        about = _about(path, file, schema, what, way_out)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if digest(tensors) != about.get(total):
        raise CktatError(f"{path} is damaged: its numbers are not those it was written with; {way_out}")
    return tensors, about


def save_weights(path: Path, tensors: Mapping[str, Tensor], card: Card) -> None:
    """Weights with their card inside, and the card as JSON beside, for people."""
    write_sealed(path.with_suffix(".json"), write_tensors(path, tensors, card, OF_WEIGHTS))


def load_weights(path: Path) -> tuple[dict[str, Tensor], Card]:
    """Weights and card of a file that `save_weights` wrote. Raises CktatError for any other file; runs no code from it."""
    tensors, card = read_tensors(path, CardKept, OF_WEIGHTS, WEIGHTS, ELSEWHERE)
    for name in ("mean", "std"):
        if name in tensors and not torch.equal(torch.tensor(card[name]).to(tensors[name]), tensors[name].flatten()):
            raise CktatError(f"{path}: the {name} in its card is not the one in its weights")
    return tensors, card


def read_card(path: Path) -> Card:
    """The card inside a weights file, {} if there is no such file. Raises CktatError if it is damaged."""
    if not path.exists():
        return {}
    with _opened(path, WEIGHTS, ELSEWHERE) as file:
        return _about(path, file, CardKept, WEIGHTS, ELSEWHERE)


@contextmanager
def _opened(path: Path, what: str, way_out: str) -> Iterator[Any]:
    """A safetensors file. Raises CktatError if it is none."""
    with named_file(path, "read"), path.open("rb"):  # safetensors' own errors do not name the file
        pass
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            yield file
    except safetensors.SafetensorError as error:
        guess = f"{looks_like(path)}; {way_out}"
        raise CktatError(f"{path} is not a whole safetensors file ({guess}): {one_line(error)}") from None


def _about(path: Path, file: Any, schema: type[Kept], what: str, way_out: str) -> dict[str, Any]:
    if "card" not in (metadata := file.metadata() or {}):
        raise CktatError(f"{path} carries no card; {way_out}")
    return unsealed(parse(metadata["card"], f"the card in {path}"), schema, str(path), what, way_out)


def looks_like(path: Path) -> str:
    """A guess at what a file is that should have been something else."""
    if known := known_as(path):
        return known
    with path.open("rb") as file:
        head = file.read(2)
    if head.startswith((b"PK", b"\x80")):
        return "it looks like a pickle or torch.save file"
    return f"{path.stat().st_size} bytes, truncated or something else"


def known_as(path: Path) -> str:
    """What a file certainly is that was meant to be another, and the way out; "" where that cannot be said."""
    if not path.is_file():
        return "there is no such file"
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        return "it is empty, 0 bytes"
    if head.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS, not the file itself: `git lfs pull` fetches that"
    if head.startswith(b"\x1f\x8b"):
        return "it is compressed by gzip; unpack it first"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page, so a download went wrong"
    return ""


SUM = 64
"""Characters of a sha256."""


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """A training state (tensors and primitives only), atomically, with the sum of all before it at the file's end.

    torch.save writes a ZIP archive, at whose end there is room for a comment: any reader of such files still reads it.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()[:-2] + SUM.to_bytes(2, "little")  # the last two bytes are the comment's length
    write_atomic(path, content + hashlib.sha256(content).hexdigest().encode())


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do, whatever its name ends with: the length of a header, and the header's brace."""
    with path.open("rb") as file:
        head = file.read(9)
    return head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size


def load_tensors(path: Path) -> Any:
    """What torch.save wrote, if it is tensors and primitives only. Runs no code from the file, and shows no warnings of
    torch about files it then refuses."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as parts:
            if any(part.file_size > part.compress_size for part in parts.infolist()):
                raise ValueError("its parts are compressed, which torch.save never does")
    with warnings.catch_warnings(), path.open("rb") as file:  # by its name, torch takes some for safetensors
        warnings.simplefilter("ignore")
        return torch.load(file, map_location="cpu", weights_only=True)


def load_state(path: Path) -> Any:
    """A training state. Raises CktatError for a damaged file, or one that was changed since; runs no code from it."""
    with named_file(path, "read"), path.open("rb") as file:
        total, size = hashlib.sha256(), path.stat().st_size
        for left in range(size - SUM, 0, -(2**20)):
            total.update(file.read(min(left, 2**20)))
        told = file.read()
    try:
        if told != total.hexdigest().encode():
            raise ValueError("its content is not what the sum at its end says")
        return load_tensors(path)
    except Exception as error:  # torch raises many kinds for a damaged or hostile file
        line = one_line(error) or type(error).__name__
        guess = f"{looks_like(path)}; remove it to train from the beginning"
        raise CktatError(f"{path} is not a training state that can be resumed ({guess}): {line}") from None
