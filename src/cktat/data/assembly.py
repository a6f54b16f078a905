"""From the arrays of the three parts to a data set, with what is measured on its training images."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cktat.data.dataset import Dataset, Split

AT_ONCE = 2**22
"""Pixels that are counted at a time."""


def assembled(
    name: str,
    images: Mapping[str, npt.NDArray[np.uint8]],
    labels: Mapping[str, npt.NDArray[np.int64]],
    classes: Iterable[str],
    notes: Iterable[str] = (),
) -> Dataset:
    """The data set of a user's images. It holds the arrays themselves: those that are mapped from disk stay there.

    Of test images alone the other parts are empty. mean and std are those of the training images, the radius is 8/255, and
    there is no augmentation: whether a flip keeps the class cannot be guessed (a function that returns a Dataset may ask for
    it).

    Args:
        name: What loads it.
        images: uint8 [N, C, H, W] of train, held_out and test, or of test alone.
        labels: int64 [N] of the same.
        classes: Their names.
        notes: What is to be said of how they were read.

    Raises:
        CktatError: Whatever a Dataset refuses.
    """
    split = {part: Split(_tensor(images[part]), torch.from_numpy(labels[part])) for part in images}
    channels = images["test"].shape[1]
    if "train" in split:
        mean, std = moments(images["train"], 255)
    else:  # a network's mean and std are those of the images that it was trained on, which are not here
        none = Split(split["test"].images[:0], split["test"].labels[:0])
        split |= {"train": none, "held_out": none}
        mean, std = (0.0,) * channels, (1.0,) * channels
    return Dataset(
        name=name,
        train=split["train"],
        held_out=split["held_out"],
        test=split["test"],
        classes=tuple(classes),
        levels=255,
        mean=mean,
        std=std,
        box=(0.0, 1.0),
        eps=8 / 255,
        augment="none",
        notes=tuple(notes),
    )


def moments(images: npt.NDArray[np.uint8], levels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of images / levels. images: uint8 [N, C, H, W]."""
    count = np.zeros((images.shape[1], 256), dtype=np.int64)  # how often each channel has each value
    step = max(1, AT_ONCE // images[0, 0].size)
    for first in range(0, len(images), step):
        for c in range(images.shape[1]):
            count[c] += np.bincount(images[first : first + step, c].ravel(), minlength=256)
    value, pixels = np.arange(256), images[:, 0].size
    mean = [float(n) / pixels for n in count @ value]
    square = [float(n) / pixels for n in count @ value**2]
    std = [max(0.0, s - m * m) ** 0.5 for s, m in zip(square, mean, strict=True)]
    return tuple(m / levels for m in mean), tuple(s / levels for s in std)


def _tensor(images: npt.NDArray[np.uint8]) -> Tensor:
    with warnings.catch_warnings(action="ignore"):  # that what is mapped for reading cannot be written to
        return torch.from_numpy(images)
