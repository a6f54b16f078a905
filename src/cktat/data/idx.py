"""MNIST and what has its files (Fashion-MNIST, KMNIST): the IDX format of http://yann.lecun.com/exdb/mnist/, packed or not."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cktat.data.assembly import assembled
from cktat.data.dataset import Dataset
from cktat.data.held_out import divided, taken
from cktat.errors import CktatError, named_file

MOST_BYTES = 2**30
STEMS = {
    ("train", "images"): ("train-images-idx3-ubyte", "train-images.idx3-ubyte"),
    ("train", "labels"): ("train-labels-idx1-ubyte", "train-labels.idx1-ubyte"),
    ("test", "images"): ("t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"),
    ("test", "labels"): ("t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte"),
}


def idx_files(folder: Path) -> dict[tuple[str, str], Path]:
    """Which of the four files are in a folder, or in its folder `raw` where torchvision puts them."""
    found = {}
    for place in (folder / "raw", folder):
        for what, stems in STEMS.items():
            for name in (f"{stem}{suffix}" for suffix in (".gz", "") for stem in stems):
                if (place / name).is_file():
                    found[what] = place / name
    return found


def read_idx(spec: str, files: dict[tuple[str, str], Path]) -> Dataset:
    """The data set in these files. Classes are numbers; a tenth of the training images is held out (see held_out.py).

    CktatError if a file is missing, damaged or of another kind.
    """
    if missing := [STEMS[what][0] for what in STEMS if what not in files]:
        raise CktatError(f"data {spec!r} lacks {', '.join(missing)} (or {missing[0]}.gz); all four files are needed")
    images = {part: read_array(files[part, "images"], 3)[:, None] for part in ("train", "test")}
    labels = {part: read_array(files[part, "labels"], 1).astype(np.int64) for part in images}
    for part in images:
        if len(images[part]) != len(labels[part]):
            raise CktatError(
                f"data {spec!r}: {files[part, 'labels']} has {len(labels[part])} labels for {len(images[part])} images"
            )
        if images[part].size == 0:
            raise CktatError(f"{files[part, 'images']} holds no images")
    classes = tuple(str(k) for k in range(int(labels["train"].max()) + 1))
    if labels["test"].max() >= len(classes):
        raise CktatError(f"{files['test', 'labels']}: label {labels['test'].max()} is none of the training images")
    rows, said = divided(spec, images, labels, classes)
    return assembled(spec, taken(images, rows), taken(labels, rows), classes, said)


def read_array(file: Path, axes: int) -> npt.NDArray[np.uint8]:
    """The bytes in an IDX file, with so many axes. CktatError if it is another file, or damaged."""
    with named_file(file, "read"), file.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            with gzip.open(raw) if packed else raw as content:
                head = content.read(4 + 4 * axes)
                if len(head) < 4 + 4 * axes or head[:4] != bytes([0, 0, 8, axes]):
                    raise CktatError(
                        f"{file} does not begin as an IDX file of bytes with {axes} axes: it is another file, or damaged"
                    )
                shape = struct.unpack(f">{axes}I", head[4:])
                size = math.prod(shape)
                if size > MOST_BYTES:
                    raise CktatError(f"{file} says it holds {size:,} bytes; {MOST_BYTES:,} is the most")
                body = content.read(size + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise CktatError(f"{file} is damaged: {error}") from error
    if len(body) != size:
        raise CktatError(
            f"{file} says it holds {size:,} bytes, and {'more' if len(body) > size else len(body)} are there"
        )
    return np.frombuffer(bytearray(body), dtype=np.uint8).reshape(shape)
