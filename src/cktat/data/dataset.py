"""What a data set is: three fixed splits of labelled images, and what an adversary and a network must know of them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from cktat.data.augment import AUGMENTS
from cktat.errors import CktatError, unknown


@dataclass(frozen=True, eq=False)
class Split:
    """Labelled images. images: uint8 [N, C, H, W] (floating point for data without a box); labels: int64 [N].

    Example:
        >>> split = Split(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1, 2]))
        >>> len(split.first(2))
        2
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, n: int) -> Split:
        """The first n images. CktatError if n < 1 or there are fewer than n."""
        if not 1 <= n <= len(self):
            raise CktatError(f"cannot take the first {n} images: there are {len(self)}; ask for 1 to {len(self)}")
        return Split(self.images[:n], self.labels[:n])

    def to(self, device: str | torch.device) -> Split:
        """The same split on a device."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set whose splits never depend on a seed. Everything is checked at construction (CktatError).

    One of test images alone has no image in the other two; networks are judged on it, and none is trained.

    name: what `load` was asked for. levels: the integer that stands for 1.0 (255, or 16 for digits).
    mean, std: per channel, of the training images in [0, 1]. box: (0.0, 1.0), or None if inputs have no bounds.
    eps: default radius of the adversary, a fraction of the pixel range. augment: "crop-flip" (zero-pad by 4, random
    crop, random horizontal flip) or "none". code: sha256 of a user's text that chose what does not follow from the images
    (mean, std, box, augment), "" where there is none. notes: what is to be said of how they were read and divided.

    Example:
        >>> from cktat.data import load
        >>> digits = load("digits")
        >>> len(digits.train), len(digits.test), digits.levels
        (1097, 500, 16)
    """

    name: str
    train: Split
    held_out: Split
    test: Split
    classes: tuple[str, ...]
    levels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    box: tuple[float, float] | None
    eps: float
    augment: str
    code: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise self._wrong(f"there must be at least 2 classes, not {len(self.classes)}")
        if self.levels < 1:
            raise self._wrong(f"levels must be at least 1, not {self.levels}")
        if self.box not in (None, (0.0, 1.0)):
            raise self._wrong(f"box must be (0.0, 1.0) or None, not {self.box}")
        if not (math.isfinite(self.eps) and self.eps > 0):
            raise self._wrong(f"eps must be a positive number, not {self.eps}")
        for split, name in ((self.train, "training"), (self.held_out, "held-out"), (self.test, "test")):
            self._check_split(split, name)
        if not len(self.mean) == len(self.std) == self.channels:
            raise self._wrong(
                f"mean has {len(self.mean)} and std {len(self.std)} numbers; images have {self.channels} channels"
            )
        for channel, value in enumerate(self.std):
            if not (math.isfinite(value) and value > 0):
                raise self._wrong(f"channel {channel} has standard deviation {value} in the training images; drop it")
        if self.augment not in AUGMENTS:
            raise unknown(f"augmentation of data {self.name!r}", self.augment, AUGMENTS)

    @property
    def only_tests(self) -> bool:
        """Whether there is nothing to train on."""
        return len(self.train) == len(self.held_out) == 0

    @property
    def channels(self) -> int:
        return self.train.images.shape[1]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.train.images.shape[2], self.train.images.shape[3]

    @cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) of the content: class names, levels, and all images and labels, in their order."""
        digest = hashlib.sha256(json.dumps([self.classes, self.levels]).encode())
        for split in (self.train, self.held_out, self.test):
            for tensor in (split.images, split.labels):
                digest.update(f"{tensor.dtype} {list(tensor.shape)}".encode())
                digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    @cached_property
    def sums(self) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """Of every image of the training, held-out and test split a sum of its bytes: the same for equal images."""
        return self._sums(self.train), self._sums(self.held_out), self._sums(self.test)

    @staticmethod
    def _sums(split: Split) -> list[bytes]:
        images = split.images.cpu().contiguous().numpy()
        return [
            hashlib.blake2b(image.data, digest_size=16).digest()
            for image in images.reshape(len(images), math.prod(images.shape[1:]))
        ]

    @property
    def content(self) -> str:
        """All that it is made of: the fingerprint, and the sum of a user's text where that chose anything."""
        return f"{self.fingerprint} {self.code}".rstrip()

    def normalisation(self, inputs: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and std, per channel, of what a network gets: the data's own for "data", 0 and 1 for "raw"."""
        return (self.mean, self.std) if inputs == "data" else ((0.0,) * self.channels, (1.0,) * self.channels)

    def subset(self, examples: int | None) -> Dataset:
        """The same data set with only its first `examples` training images (None: all); held-out and test stay.

        mean and std stay, too: they belong to the data set, and networks trained on either part stay comparable.
        CktatError if examples < 1 or there are fewer.
        """
        if examples is None:
            return self
        if not 1 <= examples <= len(self.train):
            raise self._wrong(f"cannot train on {examples} images: there are {len(self.train)}; ask for 1 to that many")
        return dataclasses.replace(self, train=self.train.first(examples))

    def _check_split(self, split: Split, name: str) -> None:
        images, labels = split.images, split.labels
        if images.ndim != 4 or images.shape[1:] != self.train.images.shape[1:]:
            raise self._wrong(
                f"{name} images have shape {list(images.shape)}; all splits need the same [N, channels, height, width]"
            )
        if not (images.dtype == torch.uint8 or (self.box is None and images.is_floating_point())):
            wanted = "torch.uint8" if self.box else "torch.uint8 or floating point"
            raise self._wrong(f"{name} images are {images.dtype}; they must be {wanted}")
        if labels.dtype != torch.int64 or labels.ndim != 1 or len(labels) != len(images):
            raise self._wrong(f"{name} labels are {labels.dtype} {list(labels.shape)}, not torch.int64 [{len(images)}]")
        if images.numel() == 0:
            if self.only_tests and split is not self.test:
                return
            raise self._wrong(f"there are no {name} images")
        if images.is_floating_point() and not (finite := images.isfinite().flatten(1).all(dim=1)).all():
            first = int((~finite).nonzero()[0])
            raise self._wrong(
                f"{name} image {first} has a pixel that is no finite number, and {int((~finite).sum())} of {len(images)} "
                f"images do; the data are at fault, no network could answer"
            )
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= len(self.classes):
            raise self._wrong(
                f"{name} labels are {low}..{high}; with these classes they must be 0..{len(self.classes) - 1}"
            )
        if images.dtype == torch.uint8 and self.levels < 255 and (top := int(images.max())) > self.levels:
            raise self._wrong(f"a {name} image has pixel value {top}; the highest is {self.levels} (levels)")

    def _wrong(self, what: str) -> CktatError:
        return CktatError(f"data {self.name!r}: {what}")
