"""What the tests of training share: small networks and batches, and errors of one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from cktat.errors import CktatError


class Tiny(nn.Module):
    """A network with weights, BatchNorm (an integer counter among its buffers) and dropout; `head` makes the logits."""

    def __init__(self, seed: int = 0, width: int = 6, classes: int = 3, inputs: int = 8) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.Tanh())
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(width, classes)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for tensor in self.parameters():
                tensor.copy_(torch.randn(tensor.shape, generator=generator))
            self.body[2].running_mean.copy_(torch.randn(width, generator=generator))
            self.body[2].running_var.copy_(0.5 + torch.rand(width, generator=generator))
            self.body[2].num_batches_tracked.fill_(10 * seed + 7)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(self.body(x)))


@pytest.fixture
def small_net() -> Callable[..., nn.Module]:
    """small_net(seed, width, classes): a float64 network of random weights and statistics."""
    return Tiny


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Images [5, 2, 2, 2] in [0, 1], float64, with pixels on both edges, and labels of 3 classes."""
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(5, 2, 2, 2, generator=generator, dtype=torch.float64)
    x[0, 0], x[1, 1] = 0.0, 1.0
    return x, torch.randint(0, 3, (5,), generator=generator)


@pytest.fixture
def one_line() -> Callable[..., object]:
    """one_line(pattern): a context in which a CktatError of a single line that matches is raised."""

    @contextmanager
    def raises(pattern: str) -> Iterator[None]:
        with pytest.raises(CktatError, match=pattern) as caught:
            yield
        assert len(str(caught.value).splitlines()) == 1

    return raises
