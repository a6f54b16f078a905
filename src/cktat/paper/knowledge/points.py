"""Knowledge points: cells of an image that a feature depends on clearly more than on the background."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cktat.errors import CktatError

THRESHOLD = 0.2
"""b, in nats (find_knowledge_new.py of the release)."""


@dataclass(frozen=True)
class Points:
    """found: bool [N, h, w], the knowledge points. foreground: bool [h, w]."""

    found: Tensor
    foreground: Tensor

    @property
    def on_foreground(self) -> Tensor:
        """Count per image [N]."""
        return (self.found & self.foreground).sum(dim=(1, 2))

    @property
    def on_background(self) -> Tensor:
        """Count per image [N]."""
        return (self.found & ~self.foreground).sum(dim=(1, 2))


def points(entropy: Tensor, threshold: float = THRESHOLD) -> Points:
    """The cells whose entropy lies more than `threshold` below the mean entropy of the image's background.

    entropy: [N, h, w]. (The release takes the background's mean over all its images; one image's count would then depend
    on which others are looked at.)
    """
    inside = foreground(*entropy.shape[1:]).to(entropy.device)
    background = entropy[:, ~inside].mean(dim=1)
    return Points(background[:, None, None] - entropy > threshold, inside)


def foreground(height: int, width: int) -> Tensor:
    """Where the object is taken to be without a mask of it: the middle, all but a frame of a sixth on each side.

    Bool [height, width]. As the release does for ILSVRC, which has no masks either: cells 2 to 13 of 16. Raises CktatError
    for fewer than 3 cells along a side, which have no middle.
    """
    if min(height, width) < 3:
        raise CktatError(f"{height} x {width} cells have no middle and frame; there must be 3 at least along each side")

    def middle(n: int) -> Tensor:
        place = torch.arange(n)
        return (place >= max(1, n // 6)) & (place <= n - 1 - max(1, n // 6))

    return middle(height)[:, None] & middle(width)
