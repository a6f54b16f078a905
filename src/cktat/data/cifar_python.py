"""CIFAR-10 and CIFAR-100 from the files of the official python version: the pickles that torchvision downloads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cktat.data.pickled import read_pickle
from cktat.errors import CktatError

PIXELS = 3 * 32 * 32

Records = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


@dataclass(frozen=True)
class PythonLayout:
    """folder: of the files in the archive; labels, names: the keys of the labels and of the class names."""

    folder: str
    train: tuple[str, ...]
    test: str
    meta: str
    labels: str
    names: str

    def find(self, root: Path) -> Path | None:
        """The folder of the files, `root` itself or the one in it; None if neither has all of them."""
        for folder in (root / self.folder, root):
            if all((folder / file).is_file() for file in (*self.train, self.test, self.meta)):
                return folder
        return None


PYTHON = {
    "cifar10": PythonLayout(
        folder="cifar-10-batches-py",
        train=tuple(f"data_batch_{i}" for i in range(1, 6)),
        test="test_batch",
        meta="batches.meta",
        labels="labels",
        names="label_names",
    ),
    "cifar100": PythonLayout(
        folder="cifar-100-python",
        train=("train",),
        test="test",
        meta="meta",
        labels="fine_labels",
        names="fine_label_names",
    ),
}


def read_python(layout: PythonLayout, folder: Path, classes: int) -> tuple[Records, Records, tuple[str, ...]]:
    """The training and test images, uint8 [N, 3, 32, 32] with labels int64 [N], and the class names.

    CktatError if a file is damaged or holds something else.
    """
    names = read_pickle(folder / layout.meta).get(layout.names)
    if not (isinstance(names, list) and len(names) == classes and all(isinstance(name, str) for name in names)):
        raise CktatError(f"{folder / layout.meta}: {layout.names} are not {classes} names; it is another file")
    train = [_batch(folder / file, layout.labels, classes) for file in layout.train]
    images, labels = (np.concatenate([batch[i] for batch in train]) for i in (0, 1))
    return (images, labels), _batch(folder / layout.test, layout.labels, classes), tuple(names)


def _batch(file: Path, key: str, classes: int) -> Records:
    content = read_pickle(file)
    if not {"data", key} <= set(content):
        raise CktatError(f"{file} holds no 'data' and {key!r}: it is another file than of CIFAR's python version")
    images, labels = content["data"], content[key]
    if not (
        isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.ndim == 2 and images.shape[1] == PIXELS
    ):
        raise CktatError(f"{file}: its data are not uint8 [N, {PIXELS}]")
    if not (isinstance(labels, list) and len(labels) == len(images) and all(type(label) is int for label in labels)):
        raise CktatError(f"{file}: its {key} are not {len(images)} whole numbers")
    if (wrong := next((i for i, label in enumerate(labels) if not 0 <= label < classes), None)) is not None:
        raise CktatError(f"{file}: {key}[{wrong}] is {labels[wrong]}, not one of 0..{classes - 1}")
    return np.require(images.reshape(-1, 3, 32, 32), requirements=["C", "W"]), np.array(labels, dtype=np.int64)
