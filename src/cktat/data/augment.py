"""Crop and flip of a whole batch at once: one draw per image, one gather, no loop over images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

AUGMENTS = ("none", "crop-flip")

PAD = 4  # zeros on every side, the customary CIFAR augmentation
SHIFTS = 2 * PAD + 1
OUTCOMES = SHIFTS * SHIFTS * 2  # 81 crops, each flipped or not


def draw_crop_flip(images: int, generator: torch.Generator) -> Tensor:
    """One of the 162 outcomes for each image, uniformly. int64 [images], on the CPU."""
    return torch.randint(OUTCOMES, (images,), generator=generator)


def crop_flip(images: Tensor, draws: Tensor) -> Tensor:
    """Each image zero-padded by 4, cropped to its own size and perhaps flipped left to right, as its draw says.

    images: [B, C, H, W], any type. draws: int64 [B] on the same device, each (9 * down + right) * 2 + flip, so 0..161.
    """
    batch, _, height, width = images.shape
    flip, shift = draws % 2 == 1, draws // 2
    down, right = shift // SHIFTS, shift % SHIFTS
    # All crops of an image are windows of its padded self; as a view they cost nothing, and one of them is copied.
    windows = F.pad(images, (PAD, PAD, PAD, PAD)).unfold(2, height, 1).unfold(3, width, 1)  # [B, C, 9, 9, H, W]
    crops = windows[torch.arange(batch, device=images.device), :, down, right]  # [B, C, H, W]
    return torch.where(flip[:, None, None, None], crops.flip(-1), crops)
