"""The network of the paper's analysis: one layer of patches, shared over all places, summed with fixed weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from cktat.errors import CktatError
from cktat.seeds import generator

NEURONS = 5
"""m, neurons per class."""
BEND = 0.3
"""beta of the smoothed ReLU: where its cubic part becomes a line."""
FIRST = 0.1
"""Standard deviation of <w, v> at the start, for a unit vector v."""


class PatchNet(nn.Module):
    """F_i(X) = sum over neurons r and patches p of ReLU~(<w_{i,r}, x_p>): [N, C, H, W] -> [N, classes].

    A patch is a pixel's column of channels: multi-view data comes as [N, d, P, 1], so that d is the number of channels, a
    ball around an image is a ball around all its patches together, and pictures are allowed, too (each pixel a patch).
    The layer is a 1 x 1 convolution without bias; `patches.weight` holds w_{i,r} at row i * m + r.
    """

    def __init__(self, *, classes: int, channels: int, neurons: int = NEURONS) -> None:
        super().__init__()
        self.classes, self.neurons = classes, neurons
        self.patches = nn.Conv2d(channels, classes * neurons, 1, bias=False)
        nn.init.normal_(self.patches.weight, std=FIRST)

    def forward(self, x: Tensor) -> Tensor:
        heard = smoothed_relu(self.patches(x))  # [N, classes * m, H, W]
        return heard.sum(dim=(2, 3)).unflatten(1, (self.classes, self.neurons)).sum(dim=2)

    @property
    def neuron_weights(self) -> Tensor:
        """w_{i,r}: [classes, m, d]."""
        return self.patches.weight.flatten(1).unflatten(0, (self.classes, self.neurons))


class PatchNets(nn.Module):
    """Several patchnets side by side [S], as one module: [S * B, d, P, 1], B samples for each in their order, -> [S * B, k].

    A batch of S losses costs little more than one, and no network's gradient depends on another's: the mean over all, times S,
    is the sum of the S means.
    """

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        if weights.ndim != 4:
            raise CktatError(f"patchnets side by side have weights [S, k, m, d], not {list(weights.shape)}")
        self.weights = nn.Parameter(weights.clone())

    @classmethod
    def drawn(cls, seeds: Sequence[int], classes: int, neurons: int, channels: int) -> PatchNets:
        """One for each seed, whose first weights depend on nothing else."""
        shape = (classes, neurons, channels)
        return cls(torch.stack([FIRST * torch.randn(shape, generator=generator(seed, "weights")) for seed in seeds]))

    def forward(self, x: Tensor) -> Tensor:
        nets, classes = self.weights.shape[:2]
        if len(x) % nets or x.ndim != 4 or x.shape[3] != 1:
            raise CktatError(f"{nets} patchnets side by side take [{nets} * B, d, P, 1], not {list(x.shape)}")
        heard = smoothed_relu(self.weights.flatten(1, 2).unsqueeze(1) @ x.squeeze(3).unflatten(0, (nets, -1)))
        return heard.sum(dim=3).unflatten(2, (classes, -1)).sum(dim=3).flatten(0, 1)


class _SmoothedReLU(torch.autograd.Function):
    # By hand, because autograd's own steps through powers and clamps take three times as long, and they are all there is.
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        low = z.clamp(0, BEND)
        ctx.save_for_backward(low)
        return (low * low).mul_(low).mul_(1 / (3 * BEND**2)).add_(z.sub(BEND).clamp_(min=0))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (low,) = ctx.saved_tensors
        return (low * low).mul_(1 / BEND**2).mul_(gradient)


def smoothed_relu(z: Tensor) -> Tensor:
    """ReLU~ with q = 3 (Allen-Zhu and Li, 2023): 0 below 0, z^3 / (3 beta^2) up to beta, z - 2 beta / 3 beyond it."""
    return _SmoothedReLU.apply(z)


WIDE = 64
"""m of `patchnet-wide`: sparse-coding data have as many features for each class as dimensions, and each needs a neuron."""


def patchnet(*, classes: int, channels: int = 3) -> PatchNet:
    """The network of the analysis with 5 neurons per class.

    3x32x32, 10 classes: 150 parameters, 307,200 FLOP.
    """
    return PatchNet(classes=classes, channels=channels)


def patchnet_wide(*, classes: int, channels: int = 3) -> PatchNet:
    """The network of the analysis with 64 neurons per class; on a single patch, the two-layer network of Section 3.1.2.

    3x32x32, 10 classes: 1,920 parameters, 3,932,160 FLOP.
    """
    return PatchNet(classes=classes, channels=channels, neurons=WIDE)
