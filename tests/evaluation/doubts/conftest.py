"""Honest networks on digits, trained in seconds, and the same deliberately masked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cktat.attacks import Ball, pgd
from cktat.data import load, ordered
from cktat.evaluation.doubts.probe import Probe

EPS = 0.15
Images = tuple[Tensor, Tensor]


class Rounded(nn.Module):
    """Rounds its input to `levels` levels: the gradient of that is 0 everywhere."""

    def __init__(self, body: nn.Module, levels: int = 4) -> None:
        super().__init__()
        self.body, self.levels = body, levels

    def forward(self, x: Tensor) -> Tensor:
        return self.body(torch.round(x * self.levels) / self.levels)


class Noisy(nn.Module):
    def __init__(self, body: nn.Module, sigma: float = 0.2) -> None:
        super().__init__()
        self.body, self.sigma = body, sigma

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x + self.sigma * torch.randn_like(x))


class Times(nn.Module):
    def __init__(self, body: nn.Module, factor: float) -> None:
        super().__init__()
        self.body, self.factor = body, factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * self.body(x)


MASKS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "logits times 2000": lambda body: Times(body, 2000),
    "rounded": Rounded,
    "noisy": Noisy,
    "softmax": lambda body: nn.Sequential(body, nn.Softmax(dim=1)),
}


@pytest.fixture(scope="package")
def digits() -> Images:
    """All test images with labels."""
    data = load("digits")
    batch = next(iter(ordered(data.test, len(data.test), levels=data.levels, device="cpu")))
    return batch.x, batch.y


def network(seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 20, 3, stride=2, padding=1),
            nn.ReLU(), nn.Flatten(), nn.Linear(20 * 16, 10),
        )  # fmt: skip


def trained(seed: int, steps: int, epochs: int) -> nn.Module:
    """On clean digits (steps 0) or on PGD's images of so many steps."""
    data, net = load("digits"), network(seed)
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    order = torch.Generator().manual_seed(seed)
    x = next(iter(ordered(data.train, len(data.train), levels=data.levels, device="cpu"))).x
    for _epoch in range(epochs):
        for rows in torch.randperm(len(x), generator=order).split(64):
            images, labels = x[rows], data.train.labels[rows].long()
            moved = pgd(net, images, labels, eps=EPS, step=EPS / 2, steps=steps) if steps else images
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(moved), labels).backward()
            optimiser.step()
    return net.eval()


@pytest.fixture(scope="package")
def robust() -> nn.Module:
    return trained(0, steps=3, epochs=6)


@pytest.fixture(scope="package")
def undefended() -> nn.Module:
    return trained(1, steps=0, epochs=4)


@pytest.fixture
def probe() -> Callable[..., Probe]:
    """A probe of 100 images of one pixel, or more or fewer, that a linear network classifies rightly; attributes that are
    computed once may be given."""

    def make(results: dict[str, Tensor] | None = None, images: int = 100, **known: Any) -> Probe:
        x = torch.linspace(0.6, 1, images).view(-1, 1, 1, 1)
        line = nn.Linear(1, 2)
        line.weight.data, line.bias.data = torch.tensor([[-1.0], [1.0]]), torch.tensor([0.5, -0.5])
        model = nn.Sequential(nn.Flatten(), line).requires_grad_(False)
        made = Probe(model, x, torch.ones(images, dtype=torch.int64), Ball(0.1), results or {}, None, 0, 30)
        made.__dict__.update(known)
        return made

    return make
