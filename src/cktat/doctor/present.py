"""What lies on the disk, and whether there is room: runs, data sets, decoded images."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cktat.doctor.diagnosis import Diagnosis, State
from cktat.errors import CktatError

LITTLE = 2**30
"""Bytes below which room is said to be short: a ResNet-18 in a run has its weights twice and its state, 0.3 GB."""


def disk(root: str | None = None, store: str | None = None) -> Iterator[Diagnosis]:
    """The room, and whether files can be written, where runs, data and decoded images go."""
    from cktat.api import Store
    from cktat.data.archives import data_root
    from cktat.data.decoded import cache_root

    places: dict[str, tuple[Path, str, State]] = {
        "runs": (Store(store).root, "CKTAT_STORE", "fail"),
        "data": (data_root(root), "CKTAT_DATA", "ok"),  # which may well be for reading only
        "decoded images": (cache_root(), "CKTAT_CACHE", "note"),
    }
    for what, (path, variable, unwritable) in places.items():
        there = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
        free = shutil.disk_usage(there).free
        values = {"what": what, "path": str(path.absolute()), "free_bytes": free}
        text = f"{what} in {path.absolute()}: {free / 2**30:.1f} GiB free"
        if refused := _refused(there):
            advice = f"name another folder by {variable}"
            yield Diagnosis("disk", unwritable, f"{text}, but nothing can be written there: {refused}", advice, values)
        elif free < LITTLE:
            yield Diagnosis("disk", "note", text, f"make room, or name another folder by {variable}", values)
        else:
            yield Diagnosis("disk", "ok", text, values=values)


def _refused(folder: Path) -> str:
    """Why no file can be written in a folder, "" if one can."""
    if not folder.is_dir():
        return f"{folder} is a file"
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def data(root: str | None = None) -> Iterator[Diagnosis]:
    """The data sets by name, and where they lie."""
    from cktat.data import ARCHIVES, load, locate

    digits = load("digits")
    yield Diagnosis("data", "ok", f"digits: in the package, {len(digits.train):,} training images")
    for name in ARCHIVES:
        try:
            place = str(locate(name, root))
        except CktatError:
            advice = f"cktat data fetch {name}, or name its folder by CKTAT_DATA"
            yield Diagnosis("data", "ok", f"{name}: not here", advice, {name: None})
        else:
            yield Diagnosis("data", "ok", f"{name}: {place}", values={name: place})


def cache() -> Iterator[Diagnosis]:
    """The decoded images of earlier commands."""
    from cktat.data.decoded import cache_root

    root = cache_root()
    folders = [folder for folder in root.iterdir() if folder.is_dir()] if root.is_dir() else []
    size = sum(_size(file) for folder in folders for file in folder.rglob("*"))
    text = f"{len(folders)} decoded data set{'' if len(folders) == 1 else 's'}, {size / 2**30:.1f} GiB, in {root}"
    yield Diagnosis("cache", "ok", text, values={"data_sets": len(folders), "bytes": size})


def _size(file: Path) -> int:
    try:
        return os.stat(file).st_size
    except OSError:  # another process may be at work there
        return 0
