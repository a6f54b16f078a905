"""Batches of a split that lies on a device if it fits. What is random is drawn on the CPU: all devices see the same batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from cktat.data.augment import AUGMENTS, crop_flip, draw_crop_flip
from cktat.data.dataset import Split
from cktat.errors import CktatError, unknown
from cktat.seeds import WHOLE, Part, cut, derive, fetched, generator

Augment = Callable[[Tensor], Tensor]
"""Images as they are stored (uint8 [B, C, H, W]) -> images of the same shape and type."""


class Batch(NamedTuple):
    """x: float32 [B, C, H, W], in the box; y: int64 [B]; index: int64 [B], the place of each image in its split."""

    x: Tensor
    y: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody asks of a batch


class Batches:
    """The training batches of a split.

    Any batch of any epoch can be produced again from (seed, epoch, step) alone: the order comes from (seed, epoch),
    the crops and flips from (seed, epoch, step). A run that resumes needs no generator state.

    The last, smaller batch of an epoch is dropped, so that shapes stay constant (the next epoch is in another order);
    a split smaller than one batch is one batch.

    levels: the integer that stands for 1.0. augment: "crop-flip", "none", or a function of a batch of images as they are stored
    (uint8 [B, C, H, W]); what it draws from PyTorch's generator comes from (seed, epoch, step).
    part: produce this part of every batch only;
    `batch_size` is the whole batch's. CktatError if batch_size < 1, augment is neither of these, or a batch cannot be cut
    into so many equal parts.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        *,
        levels: int = 255,
        augment: str | Augment = "none",
        seed: int = 0,
        device: str | torch.device = "cpu",
        part: Part = WHOLE,
    ) -> None:
        _check_batch_size(batch_size)
        if isinstance(augment, str) and augment not in AUGMENTS:
            raise unknown("augmentation", augment, AUGMENTS)
        self.device = torch.device(device)
        self.split = split.to(device) if _fits(split, self.device) else split
        self.batch_size = min(batch_size, len(split))
        self.part = part
        if self.batch_size % part[1]:
            raise CktatError(
                f"a batch of {self.batch_size} images cannot be shared equally by {part[1]} processes; choose a "
                f"--batch-size that {part[1]} divides"
            )
        self.augment = augment
        self.seed = seed
        self._levels = _divisor(levels, device)

    @property
    def steps(self) -> int:
        """How many batches an epoch has."""
        return len(self.split) // self.batch_size

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch, from batch number `start` on (0 <= start <= steps, else CktatError)."""
        if not 0 <= start <= self.steps:
            raise CktatError(f"epoch {epoch} cannot start at batch {start}: it has batches 0..{self.steps - 1}")
        order = torch.randperm(len(self.split), generator=generator(self.seed, "order", epoch))
        order = fetched(order, self.split.images.device)
        for step in range(start, self.steps):
            index = cut(order[step * self.batch_size : (step + 1) * self.batch_size], self.part)
            images = fetched(self.split.images[index], self.device)
            if self.augment == "crop-flip":
                draws = draw_crop_flip(self.batch_size, generator(self.seed, "augment", epoch, step))
                images = crop_flip(images, fetched(cut(draws, self.part), images.device))
            elif callable(self.augment):
                images = self._augmented(images, epoch, step)
            labels = fetched(self.split.labels[index], self.device)
            yield Batch(images.float() / self._levels, labels, fetched(index, self.device))

    def _augmented(self, images: Tensor, epoch: int, step: int) -> Tensor:
        assert callable(self.augment)
        with torch.random.fork_rng(devices=[images.device] if images.device.type == "cuda" else []):
            torch.manual_seed(derive(self.seed, "augment", epoch, step) + self.part[0])
            changed = self.augment(images)
        if not isinstance(changed, Tensor) or changed.shape != images.shape or changed.dtype != images.dtype:
            what = f"{changed.dtype} {list(changed.shape)}" if isinstance(changed, Tensor) else type(changed).__name__
            raise CktatError(
                f"augment must return images as it got them, {images.dtype} {list(images.shape)}, not {what}"
            )
        return changed


def ordered(split: Split, batch_size: int, levels: int = 255, device: str | torch.device = "cpu") -> Iterator[Batch]:
    """The batches of a split for evaluation: in its own order, unaugmented, every image once, the last batch smaller.

    CktatError if batch_size < 1.
    """
    _check_batch_size(batch_size)
    divisor = _divisor(levels, device)
    for first in range(0, len(split), batch_size):
        part = slice(first, first + batch_size)
        images, labels = split.images[part].to(device), split.labels[part].to(device)
        index = torch.arange(first, first + len(labels), device=device)
        yield Batch(images.float() / divisor, labels, index)


def _fits(split: Split, device: torch.device) -> bool:
    """Whether a split may lie on a device: on a GPU it takes half of the free memory at most. Else its batches are gathered
    where it lies, which may be a map of a file, and go to the device one by one."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return split.images.nbytes <= free // 2


def _divisor(levels: int, device: str | torch.device) -> Tensor:
    # A tensor, because CUDA divides by a Python number as a product with its reciprocal: other last bits than the CPU.
    return torch.full((), float(levels), device=device)


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise CktatError(f"batch size {batch_size} is too small: a batch has at least 1 image")
