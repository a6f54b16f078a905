"""CIFAR-10 and CIFAR-100 (A. Krizhevsky, 2009) from the files of the official binary version, or of the python version."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from cktat.data.archives import ARCHIVES, Archive, kept_sums, locate
from cktat.data.cifar_python import PIXELS, PYTHON, Records, read_python
from cktat.data.dataset import Dataset, Split
from cktat.data.held_out import lowest_ranked
from cktat.errors import CktatError


@dataclass(frozen=True)
class Layout:
    """How the records lie in the files: `label_bytes` labels, of which the last one counts, then 32 x 32 pixels of red,
    of green and of blue, all in bytes."""

    name: str
    source: Archive
    train: tuple[str, ...]
    test: str
    names: str  # the file with one class name a line
    classes: int
    label_bytes: int
    train_records: int  # in each training file
    test_records: int
    held_out: int  # images of each class
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    sums: Mapping[str, str]  # sha256 of files as they are in the archive


# Means and deviations are those of all 50,000 training images, the customary constants.
CIFAR10 = Layout(
    name="cifar10",
    source=ARCHIVES["cifar10"],
    train=ARCHIVES["cifar10"].files[:5],
    test="test_batch.bin",
    names="batches.meta.txt",
    classes=10,
    label_bytes=1,
    train_records=10_000,
    test_records=10_000,
    held_out=200,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    sums={
        "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
        "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
        "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
        "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
    },
)
CIFAR100 = Layout(
    name="cifar100",
    source=ARCHIVES["cifar100"],
    train=("train.bin",),
    test="test.bin",
    names="fine_label_names.txt",
    classes=100,
    label_bytes=2,  # the superclass comes first
    train_records=50_000,
    test_records=10_000,
    held_out=20,
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
    sums={},  # nobody publishes them; `cktat data fetch` keeps those of the archive, whose md5 is known
)


def read_cifar(layout: Layout, root: str | Path | None = None) -> Dataset:
    """The data set under `root` (see `locate`). CktatError if a file is missing, has the wrong size or a wrong label.

    Where the binary version is not there, the python version is taken if it is. 2,000 of the 50,000 training images are
    held out, equally many of each class (see held_out.py); the others keep their order. The default radius is 8/255, the
    one of RobustBench and of the literature on these data.
    """
    folder = locate(layout.name, root)
    if not (folder / layout.test).is_file():
        return read_cifar_python(layout, folder, layout.name)
    classes = _read_names(folder / layout.names, layout)
    train = _read_files([folder / file for file in layout.train], layout.train_records, layout)
    test = _read_files([folder / layout.test], layout.test_records, layout)
    return _dataset(layout, layout.name, train, test, classes)


def read_cifar_python(layout: Layout, folder: Path, name: str) -> Dataset:
    """The data set in a folder of the python version; `name` is what loads it. See `read_cifar`."""
    train, test, classes = read_python(PYTHON[layout.name], folder, layout.classes)
    records = len(layout.train) * layout.train_records, layout.test_records
    if (len(train[0]), len(test[0])) != records:
        raise CktatError(
            f"{folder} holds {len(train[0]):,} training and {len(test[0]):,} test images, {layout.name} has "
            f"{records[0]:,} and {records[1]:,}; download it again"
        )
    return _dataset(layout, name, train, test, classes)


def _dataset(layout: Layout, name: str, train: Records, test: Records, classes: tuple[str, ...]) -> Dataset:
    images, labels = train
    held_out = lowest_ranked(images, labels, layout.held_out)
    return Dataset(
        name=name,
        train=_split(images[~held_out], labels[~held_out]),
        held_out=_split(images[held_out], labels[held_out]),
        test=_split(*test),
        classes=classes,
        levels=255,
        mean=layout.mean,
        std=layout.std,
        box=(0.0, 1.0),
        eps=8 / 255,
        augment="crop-flip",
    )


def _read_files(files: list[Path], records: int, layout: Layout) -> Records:
    """Images uint8 [N, 3, 32, 32] and labels int64 [N] of files with `records` records each."""
    images = np.empty((len(files), records, PIXELS), dtype=np.uint8)
    labels = np.empty((len(files), records), dtype=np.int64)
    for i, file in enumerate(files):
        width = layout.label_bytes + PIXELS
        try:
            content = np.fromfile(file, dtype=np.uint8)
        except OSError as error:
            raise CktatError(f"cannot read {file}: {error}") from error
        known = dict(kept_sums(file.parent)) | dict(layout.sums)
        if content.size != records * width:
            raise CktatError(
                f"{file} has {content.size} bytes, not {records * width} ({records} records of {width}): it is "
                f"truncated or another file; remove {file.parent} and run `cktat data fetch {layout.name}`"
            )
        if known.get(file.name, found := hashlib.sha256(content.data).hexdigest()) != found:
            raise CktatError(
                f"{file} is damaged: its sha256 is {found[:16]}..., not {known[file.name][:16]}... as in the archive; "
                f"remove {file.parent} and run `cktat data fetch {layout.name}`"
            )
        content = content.reshape(records, width)
        images[i], labels[i] = content[:, layout.label_bytes :], content[:, layout.label_bytes - 1]
        if (wrong := np.flatnonzero(labels[i] >= layout.classes)).size:
            raise CktatError(
                f"{file}: record {wrong[0]} has label {labels[i][wrong[0]]}, not one of 0..{layout.classes - 1}; "
                f"remove {file.parent} and run `cktat data fetch {layout.name}`"
            )
    return images.reshape(-1, 3, 32, 32), labels.reshape(-1)


def _read_names(file: Path, layout: Layout) -> tuple[str, ...]:
    try:
        names = tuple(file.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise CktatError(f"cannot read {file}: {error}") from error
    if len(names) != layout.classes:
        raise CktatError(f"{file} has {len(names)} class names, not {layout.classes}; fetch {layout.name} again")
    return names


def _split(images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> Split:
    return Split(torch.from_numpy(images), torch.from_numpy(labels))
