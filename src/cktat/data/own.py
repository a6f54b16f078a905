"""A user's own data as arrays, from an NPZ file or from a function's dictionary."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cktat.data.assembly import assembled
from cktat.data.dataset import Dataset
from cktat.data.forms import images_of, labels_of, named
from cktat.data.held_out import divided, taken
from cktat.errors import CktatError, named_file

SWELLS_TO, RATIO = 2**30, 20
"""Bytes that an NPZ file may unpack to whatever its size, and the times its size that it may: photographs shrink to a half."""


def read_npz(spec: str, strict: bool = False) -> Dataset:
    """The data set in an NPZ file; see `from_arrays` for what it holds. CktatError if it cannot be read."""
    path = Path(spec).expanduser()
    with named_file(path, "read"), path.open("rb"):
        pass
    try:
        _require_room(spec, path)
        # Without pickles: reading data must never run code.
        with np.load(path, allow_pickle=False) as arrays:
            content = {key: arrays[key] for key in arrays.files}
    except CktatError:
        raise
    except Exception as error:  # a damaged or foreign file fails in many ways: OSError, ValueError, zlib.error, ...
        raise CktatError(f"data {spec!r}: not an NPZ file of plain arrays: {error}; write it by numpy.savez") from error
    return from_arrays(spec, content, strict)


def _require_room(spec: str, path: Path) -> None:
    """Raises CktatError for an archive that says it unpacks to more than SWELLS_TO, or RATIO times its own size where that
    is more, or than the memory that is there. What it says is binding: no more is read."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(part.file_size for part in archive.infolist())
    allowed = max(SWELLS_TO, RATIO * path.stat().st_size)
    if unpacked > allowed:
        raise CktatError(
            f"data {spec!r}: the file has {path.stat().st_size:,} bytes and says it unpacks to {unpacked:,}; "
            f"{allowed:,} is the most for its size: if that is meant, write it by numpy.savez, without compression"
        )
    if unpacked > (there := _free_memory()):
        raise CktatError(f"data {spec!r}: it unpacks to {unpacked:,} bytes, and {there:,} bytes of memory are free")


def _free_memory() -> int:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # a system that does not tell
        return 2**62


def from_arrays(name: str, arrays: Mapping[str, Any], strict: bool = False) -> Dataset:
    """A data set from arrays: x_train, y_train, x_test, y_test, and optionally x_held_out with y_held_out, classes; or x
    and y of all images, which are then divided; or x_test and y_test alone, on which networks are judged.

    The names may also be those of MedMNIST (train_images, train_labels, val_images, ...), images and labels, and in
    capitals. Images are [N, H, W] (grey), [N, C, H, W] or [N, H, W, C] with C <= 4: uint8, or numbers that reach from 0 to
    1 or to 255 (see forms.py). Labels are integers 0..K-1 or 1..K, names, [N] or [N, 1], or one-hot [N, K]; each class
    occurs in training. classes are K names (else the numbers). What is not held out, or not divided, is divided by content
    (see held_out.py).

    Args:
        name: What loads it, for errors, too.
        arrays: The arrays by name.
        strict: Refuse images that are not uint8.

    Raises:
        CktatError: An array that is missing, unknown, empty, or of a type, shape or range whose meaning is not plain.
    """
    known, notes = named(name, arrays)
    parts = [key.removeprefix("x_") for key in known if key.startswith("x_")]
    images, converted = images_of(name, {part: known[f"x_{part}"] for part in parts})
    if strict and converted:
        raise CktatError(f"data {name!r}: {converted[0]}; --strict refuses that: leave it out, or write uint8")
    given = {part: known[f"y_{part}"] for part in parts}
    labels, classes, read = labels_of(name, given, {part: len(images[part]) for part in parts}, known.get("classes"))
    rows, said = divided(name, images, labels, classes)
    return assembled(name, taken(images, rows), taken(labels, rows), classes, [*notes, *converted, *read, *said])
