"""Pixel-wise information discarding: how much noise each cell of an image bears before a feature moves.

Cheng, Rao, Chen, Zhang, "Explaining Knowledge Distillation by Quantifying the Knowledge", CVPR 2020, after Ma et al.,
"Quantification and Analysis of Layer-wise and Pixel-wise Information Discarding" (arXiv:1906.04109). Constants as in the
released code (Jenniferlyx/Explaining-Knowledge-Distillation-by-Quantifying-the-Knowledge, sigma/train_sigma.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cktat.errors import CktatError
from cktat.seeds import generator

ENTROPY_OF_UNIT = 0.5 * math.log(2 * math.pi * math.e)
"""Entropy of a Gaussian of deviation 1, in nats."""

LOG_RANGE = (math.log(0.001), math.log(1.0))
"""Of sigma, as in the release: a cell that f ignores altogether would have no largest noise."""


@dataclass(frozen=True)
class Discarding:
    """What is learned per image: one noise scale sigma_i for each of cells x cells parts of it, that minimises

        E ||f(x + sigma * noise) - f(x)||^2 / delta^2 - alpha * sum_i H_i,    H_i = log sigma_i + log(2 pi e) / 2,

    where noise is Gaussian, drawn for every pixel and channel, and delta^2 is what the same noise of scale `xi` everywhere
    does to f. So f's own scale drops out, and networks can be compared.

    cells: along each side; fewer where the image has fewer pixels. bound: half of alpha times the number of cells, which for
    a linear f is the first term at the minimum (the release's lambda 6 over the mean entropy is bound 3). xi: a fraction of
    the pixel range. steps: of Adam, its rate falling from `rate` to 0 along a cosine; samples: of noise in each.

    The release takes 80 steps of SGD and keeps the one whose mean entropy is nearest to -2.8; this goes on to the minimum.
    """

    cells: int = 16
    bound: float = 3.0
    xi: float = 0.01
    steps: int = 120
    samples: int = 8
    rate: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("cells", 1), ("steps", 2), ("samples", 1)):  # of one step nothing says whether it settled
            if getattr(self, name) < least:
                raise CktatError(f"{name} must be at least {least}, not {getattr(self, name)}")
        for name in ("bound", "xi", "rate"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise CktatError(f"{name} must be a positive number, not {getattr(self, name)}")


@dataclass(frozen=True)
class Discarded:
    """entropy: H_i in nats [N, h, w], h and w at most `cells`. objective: its value at every step [steps, N]. change: the
    first term at the end [N], of fresh noise; `bound` for a linear feature."""

    entropy: Tensor
    objective: Tensor
    change: Tensor

    @property
    def settled(self) -> Tensor:
        """How far the objective still fell from the last fifth but one of the steps to the last, per cell [N]; nats."""
        fifth = max(1, len(self.objective) // 5)
        fall = self.objective[-2 * fifth : -fifth].mean(dim=0) - self.objective[-fifth:].mean(dim=0)
        return fall / self.entropy[0].numel()


def discard(feature: Callable[[Tensor], Tensor], x: Tensor, how: Discarding = Discarding()) -> Discarded:
    """The entropies of images x [N, C, H, W] in [0, 1]. feature: images -> [N, ...], in eval mode.

    All images share their noise and none sees another, so that an image's entropies do not depend on its company. Raises
    CktatError for a feature that noise does not change, or that is not finite.
    """
    n, _, height, width = x.shape
    grid = min(how.cells, height), min(how.cells, width)
    alpha = 2 * how.bound / (grid[0] * grid[1])
    draws = generator(how.seed, "discarding")
    with torch.no_grad():
        clean = feature(x)

    def distance(sigma: Tensor) -> Tensor:
        """E ||f(x + sigma * noise) - f(x)||^2 [N]."""
        noise = torch.randn((how.samples, *x.shape[1:]), generator=draws).to(x)
        scale = F.interpolate(sigma[:, None], size=(height, width), mode="nearest")  # [N, 1, H, W]
        moved = feature((x[:, None] + scale[:, None] * noise).flatten(0, 1)).unflatten(0, (n, how.samples))
        return (moved - clean[:, None]).flatten(2).square().sum(dim=2).mean(dim=1)

    def often(sigma: Tensor) -> Tensor:
        return torch.stack([distance(sigma) for _ in range(8)]).mean(dim=0)

    with torch.no_grad():
        delta = often(torch.full((n, *grid), how.xi).to(x))
        if not bool(((delta > 0) & delta.isfinite()).all()):
            worst = int((~((delta > 0) & delta.isfinite())).nonzero()[0])
            raise CktatError(
                f"noise moves the feature of image {worst} by {float(delta[worst])}: nothing can be learned"
            )
    log_sigma = torch.full((n, *grid), math.log(how.xi)).to(x).requires_grad_()
    adam = torch.optim.Adam([log_sigma], lr=how.rate, betas=(0.9, 0.99))
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(adam, how.steps)
    objective = []
    for _ in range(how.steps):
        value = distance(log_sigma.exp()) / delta - alpha * entropy_of(log_sigma).sum(dim=(1, 2))
        (log_sigma.grad,) = torch.autograd.grad(value.sum(), log_sigma)
        adam.step()
        decay.step()
        with torch.no_grad():
            log_sigma.clamp_(*LOG_RANGE)
        objective.append(value.detach())
    with torch.no_grad():
        change = often(log_sigma.exp()) / delta
    return Discarded(entropy_of(log_sigma.detach()), torch.stack(objective), change)


def entropy_of(log_sigma: Tensor) -> Tensor:
    """Entropy of Gaussian noise from the logarithm of its deviation, in nats."""
    return log_sigma + ENTROPY_OF_UNIT
