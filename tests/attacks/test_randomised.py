"""A randomised network: what it hides from one gradient, the mean of many finds."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cktat.attacks.autoattack.apgd import Apgd, Loss
from cktat.attacks.autoattack.campaign import Campaign

DRAWS = 100


class Noisy:
    """A network of steep and flat places, with noise on its input: where it stands, the slope is a matter of luck."""

    def __init__(self, seed: int) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            hidden, last = nn.Linear(36, 64), nn.Linear(64, 3)
        with torch.no_grad():
            hidden.weight *= 20
            hidden.bias.copy_(-hidden.weight.sum(dim=1) / 2)
        self.net = nn.Sequential(nn.Flatten(), hidden, nn.Hardtanh(), last).requires_grad_(False)
        self.draws = torch.Generator().manual_seed(seed)

    def __call__(self, x: Tensor) -> Tensor:
        return self.net(x + 0.1 * torch.randn(x.shape, generator=self.draws))

    def accuracy(self, x: Tensor, y: Tensor) -> float:
        """Over images and noise; one draw would say little."""
        return sum(float((self(x).argmax(dim=1) == y).double().mean()) for _ in range(DRAWS)) / DRAWS


@pytest.mark.parametrize("loss", ["ce", "dlr"])
@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_attacked_better_with_averaged_gradients(loss: Loss, seed: int) -> None:
    x = torch.rand(40, 1, 6, 6, generator=torch.Generator().manual_seed(2))
    net = Noisy(seed)
    y = torch.stack([net(x) for _ in range(DRAWS)]).mean(dim=0).argmax(dim=1)
    left = {}
    for eot in (1, 20):
        found = Campaign(net, x, y, batch_size=40, seed=0).run([Apgd(0.1, 20, loss, eot=eot)])
        left[eot] = net.accuracy(found.x_adv, y)
    assert left[20] < left[1] - 0.05 < net.accuracy(x, y) - 0.1, left


def test_each_iterate_costs_as_many_passes_as_it_averages() -> None:
    net, calls = Noisy(0), list[int]()

    def counted(x: Tensor) -> Tensor:
        calls.append(len(x))
        return net(x)

    x = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(2))
    Campaign(counted, x, net(x).argmax(dim=1), batch_size=4, seed=0).run([Apgd(0.0, 3, eot=5)])
    assert len(calls) == 3 + 5 * (3 + 1)  # unattacked, before the attack, after it
