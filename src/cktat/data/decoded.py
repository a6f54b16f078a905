"""Image files decoded once: into arrays on disk that are mapped into memory, found again by the content of the files.

A cache is a folder named by a sum over the bytes of all files, their labels and parts, the size that was asked for and the
version of Pillow. Names and times of files do not enter: a copy of the data finds the same cache, an edited image another.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from threading import Condition
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt
import PIL
from filelock import FileLock
from rich.console import Console
from rich.progress import track

from cktat.data.held_out import divided, parts_of
from cktat.data.listing import Listing
from cktat.data.photographs import Header, Size, decode, header
from cktat.errors import CktatError, named_file

T = TypeVar("T")
R = TypeVar("R")

FORMAT = 1
"""Of a cache; raised when the same files are to become other pixels."""
THREADS = min(8, os.cpu_count() or 1)
AT_ONCE = 64
"""Images that wait, decoded, to be written."""
UNPACKED = 2**25
"""Pixels that are unpacked at a time, or one image that has more; Pillow takes up to twelve bytes a pixel."""

Arrays = dict[str, npt.NDArray[Any]]


def cache_root() -> Path:
    """Where decoded images lie: the environment's CKTAT_CACHE, else ~/.cache/cktat/decoded. It is safe to delete."""
    return Path(os.environ.get("CKTAT_CACHE") or "~/.cache/cktat/decoded").expanduser()


def decoded(name: str, listing: Listing, size: Size | None, strict: bool) -> tuple[Arrays, Arrays, list[str]]:
    """The images of a listing, decoded now or before.

    Args:
        name: The data's, for errors.
        listing: The files with their labels.
        size: Height and width that all images get; None if they have one size already.
        strict: Refuse what would have to be converted or turned.

    Returns:
        images, uint8 [N, C, H, W], mapped for reading only: writing to them ends the process. Their labels, int64 [N]. Both
        by part: train, held_out, test. Then what is to be said: what was converted, and how the images were divided.

    Raises:
        CktatError: A file that cannot be read, images of several sizes without `size`, a class with too few images, and
            with `strict` any image that is not plain grey or RGB.
    """
    sums = {
        part: list(_pooled(lambda file: _sum(_content(file)), files, f"reading {part}"))
        for part, files in listing.files.items()
    }
    key = _key(listing, sums, size)
    place = cache_root() / key
    parts = parts_of(listing.files)
    if (there := _opened(place, parts)) is None:
        with named_file(place, "written"):
            place.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{place}.lock"):  # of several processes one decodes
                if (there := _opened(place, parts)) is None:
                    _decode(name, listing, sums, size, place, strict)
                    there = _opened(place, parts)
    if there is None:
        raise CktatError(f"{place} cannot be read back just after it was written; name another folder by CKTAT_CACHE")
    images, labels, about = there
    if strict:
        _require_plain(name, about["converted"], about["turned"])
    return images, labels, [*_summary(about["converted"], about["turned"], about["enlarged"]), *about["said"]]


def _content(file: Path) -> bytes:
    with named_file(file, "read"):
        return file.read_bytes()


def _sum(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=20).hexdigest()


def _key(listing: Listing, sums: dict[str, list[str]], size: Size | None) -> str:
    digest = hashlib.blake2b(json.dumps([FORMAT, PIL.__version__, size]).encode(), digest_size=16)
    for part, of_part in sums.items():
        digest.update(json.dumps([part, of_part, listing.labels[part].tolist()]).encode())
    return digest.hexdigest()


def _opened(place: Path, parts: Sequence[str]) -> tuple[Arrays, Arrays, dict[str, Any]] | None:
    """What a cache holds; None if there is none, or it is damaged."""
    try:
        about = json.loads((place / "about.json").read_text(encoding="utf-8"))
        # Mapped for reading only: a private writable map of more than the memory would be refused by the system.
        images = {part: np.load(place / f"{part}.npy", mmap_mode="r") for part in parts}
        with np.load(place / "labels.npz", allow_pickle=False) as file:
            labels = {part: file[part] for part in parts}
        whole = about["sums"] == _sums(place, parts) and {"converted", "turned", "enlarged", "said"} <= about.keys()
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    return (images, labels, about) if whole else None


def _sums(place: Path, parts: Sequence[str]) -> dict[str, str]:
    """Of the files of a cache, without the one that says them."""
    sums = {}
    for name in (*(f"{part}.npy" for part in parts), "labels.npz"):
        with (place / name).open("rb") as file:
            sums[name] = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=20)).hexdigest()
    return sums


def _decode(
    name: str, listing: Listing, sums: dict[str, list[str]], size: Size | None, place: Path, strict: bool
) -> None:
    """Writes the cache `place`, all of it or nothing."""
    files = list(chain.from_iterable(listing.files.values()))
    expected = list(chain.from_iterable(sums.values()))
    headers = list(_pooled(lambda file: header(file, _content(file)), files, "looking at images"))
    shape = size or _one_size(name, files, headers)
    colour = any(each.colour for each in headers)
    converted = Counter(each.kind for each in headers if each.kind is not None)
    if colour and (grey := sum(not each.colour and each.kind is None for each in headers)):
        converted["grey (among RGB)"] = grey
    if strict:
        _require_plain(name, converted, sum(each.turned for each in headers))
    room = len(files) * (3 if colour else 1) * shape[0] * shape[1]
    memory = _Memory(UNPACKED)

    def pixels_of(item: tuple[Path, str, Header]) -> tuple[npt.NDArray[np.uint8], bool]:
        file, known, of_file = item
        if _sum(content := _content(file)) != known:
            raise CktatError(f"{file} was changed while it was being read; begin again")
        with memory.taken(of_file.size[0] * of_file.size[1]):
            pixels, turned = decode(file, content, size, colour)
        if pixels.shape[1:] != shape:
            raise CktatError(
                f"{file} is {pixels.shape[2]} x {pixels.shape[1]} pixels, not {shape[1]} x {shape[0]}; {OFFER}"
            )
        return pixels, turned

    scratch = place.with_suffix(".part")  # what a kill left is removed: the lock is held
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        with named_file(scratch, "written", room):
            scratch.mkdir()
            work = list(zip(files, expected, headers, strict=True))
            turned, results = 0, iter(_pooled(pixels_of, work, "decoding"))
            for part, of_part in listing.files.items():
                with (scratch / f"{part}.all").open("wb") as file:
                    _begin(file, (len(of_part), 3 if colour else 1, *shape))
                    for _ in of_part:
                        pixels, was_turned = next(results)
                        file.write(pixels.data)
                        turned += was_turned
            raw = {part: np.load(scratch / f"{part}.all", mmap_mode="r") for part in listing.files}
            rows, said = divided(name, raw, listing.labels, listing.classes)
            labels = {}
            for part, (source, chosen) in rows.items():
                labels[part] = listing.labels[source] if chosen is None else listing.labels[source][chosen]
                if chosen is None:
                    (scratch / f"{source}.all").rename(scratch / f"{part}.npy")
                else:
                    _write(raw[source], chosen, scratch / f"{part}.npy")
            for part in raw:
                (scratch / f"{part}.all").unlink(missing_ok=True)
            np.savez(scratch / "labels.npz", **labels)  # type: ignore[arg-type]  # of its own option
            about = {
                "converted": dict(converted),
                "turned": turned,
                "enlarged": sum(each.size[0] < shape[0] or each.size[1] < shape[1] for each in headers),
                "said": said,
                "sums": _sums(scratch, parts_of(rows)),
            }
            (scratch / "about.json").write_text(json.dumps(about), encoding="utf-8")
            shutil.rmtree(place, ignore_errors=True)  # a damaged one
            scratch.rename(place)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"cktat: decoded {len(files):,} images into {place} ({room / 1e6:,.0f} MB; safe to delete)", file=sys.stderr)


class _Memory:
    """Pixels that may be unpacked at a time, whatever the number of threads; an image that has more is unpacked alone."""

    def __init__(self, pixels: int) -> None:
        self.whole = self.left = pixels
        self.changed = Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        pixels = min(pixels, self.whole)
        with self.changed:
            self.changed.wait_for(lambda: pixels <= self.left)
            self.left -= pixels
        try:
            yield
        finally:
            with self.changed:
                self.left += pixels
                self.changed.notify_all()


OFFER = "add --size 64 (64 x 64 pixels: the shorter side is scaled, the middle cut out) or --size HEIGHTxWIDTH"


def _one_size(name: str, files: Sequence[Path], headers: Sequence[Header]) -> Size:
    """The size that all images have. CktatError if they have several."""
    of = dict(zip(reversed([each.size for each in headers]), reversed(files), strict=True))  # the first file of each
    if len(of) > 1:
        (small, first), *_, (large, last) = sorted(of.items(), key=lambda one: (one[0][0] * one[0][1], one[0]))
        raise CktatError(
            f"data {name!r}: images have {len(of)} sizes, from {small[1]} x {small[0]} ({first}) to {large[1]} x {large[0]} "
            f"({last}); {OFFER}"
        )
    return headers[0].size


def _require_plain(name: str, converted: dict[str, int], turned: int) -> None:
    if summary := _summary(converted, turned, 0):
        raise CktatError(f"data {name!r}: {summary[0]}; --strict refuses that: leave it out, or convert the files")


def _summary(converted: dict[str, int], turned: int, enlarged: int) -> list[str]:
    """What was done to images, as one line: `12 palette, 1 CMYK converted; 4 turned by EXIF`."""
    kinds = [f"{count:,} {kind}" for kind, count in sorted(converted.items(), key=lambda one: (-one[1], one[0]))]
    clauses = [f"{', '.join(kinds)} converted"] if kinds else []
    clauses += [f"{turned:,} turned by EXIF"] if turned else []
    clauses += [f"{enlarged:,} smaller than the size enlarged"] if enlarged else []
    return ["; ".join(clauses)] if clauses else []


def _begin(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """The head of a .npy file of bytes; its content is then written image by image, so that no page of it stays mapped."""
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _write(images: npt.NDArray[np.uint8], chosen: npt.NDArray[np.bool_], to: Path) -> None:
    """Writes the chosen images into the .npy file `to`."""
    with to.open("wb") as file:
        _begin(file, (int(chosen.sum()), *images.shape[1:]))
        for row in np.flatnonzero(chosen):
            file.write(images[row].data)


def _pooled(work: Callable[[T], R], items: Sequence[T], doing: str) -> Iterator[R]:
    """The results of `work` on all items in their order, made in threads, with a bar on a terminal."""
    console = Console(stderr=True)
    with ThreadPoolExecutor(THREADS) as pool:

        def results() -> Iterable[R]:
            for first in range(0, len(items), AT_ONCE):  # `map` alone would keep all that is not yet taken
                yield from pool.map(work, items[first : first + AT_ONCE])

        yield from track(
            results(), doing, total=len(items), console=console, transient=True, disable=not console.is_terminal
        )
