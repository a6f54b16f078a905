"""What the tests of attacks share: small networks whose answers are known, and batches that fit them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


class Curved(nn.Module):
    """A small network with everything that an attack could disturb: BatchNorm, dropout, nested parts."""

    def __init__(self, seed: int = 0, channels: int = 2, classes: int = 3, spread: float = 1.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.body = nn.Sequential(
            nn.Conv2d(channels, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Tanh(), nn.Sequential(nn.Dropout(0.5))
        )
        self.head = nn.Linear(4, classes)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(spread * torch.randn(parameter.shape, generator=generator))
            self.body[1].running_mean.copy_(torch.randn(4, generator=generator) / 4)
            self.body[1].running_var.copy_(0.5 + torch.rand(4, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean(dim=(2, 3)))


@pytest.fixture
def curved() -> Callable[..., nn.Module]:
    """curved(seed, channels, classes, spread): a smooth network with BatchNorm and dropout, in float64 and eval mode."""
    return lambda *args, **kwargs: Curved(*args, **kwargs).double().eval()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Images [6, 2, 4, 4] in [0, 1], float64, in 256ths (so that sums with 256ths are exact), and labels of 3 classes."""
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randint(0, 257, (6, 2, 4, 4), generator=generator).double() / 256,
        torch.randint(0, 3, (6,), generator=generator),
    )
