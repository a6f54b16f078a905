"""Networks trained side by side: each as if it were alone, and the same again."""

from __future__ import annotations

import pytest
import torch

from cktat.errors import CktatError
from cktat.paper.experiments.in_memory import InMemory, train
from cktat.paper.experiments.regime import drawn
from cktat.paper.theory import MultiView
from cktat.paper.theory.patchnet import PatchNet, PatchNets

SEEDS = (0, 3)
DATA = [MultiView(k=2, d=8, P=4, seed=seed) for seed in SEEDS]
HOW = InMemory(epochs=2, batch_size=16)


def test_patchnets_are_patchnets_side_by_side() -> None:
    nets = PatchNets.drawn(SEEDS, 3, 2, 5)
    x = torch.randn(8, 5, 4, 1)
    said = nets(x).view(2, 4, 3)
    for weights, images, answers in zip(nets.weights, x.view(2, 4, 5, 4, 1), said, strict=True):
        one = PatchNet(classes=3, channels=5, neurons=2)
        one.patches.weight.data = weights.detach().reshape(6, 5, 1, 1)
        assert torch.allclose(one(images), answers, atol=1e-6)
    with pytest.raises(CktatError, match=r"2 patchnets side by side take \[2 \* B, d, P, 1\], not \[3, 5, 4, 1\]"):
        nets(x[:3])
    with pytest.raises(CktatError, match="weights"):
        PatchNets(torch.zeros(2, 3))


def test_a_network_learns_the_same_beside_another_as_alone() -> None:
    """Without an adversary, whose starts are drawn for all together."""
    x, y = drawn(DATA, 40)
    both = train("standard", PatchNets.drawn(SEEDS, 2, 2, 8), x, y, HOW, SEEDS)
    for i, seed in enumerate(SEEDS):
        alone = train("standard", PatchNets.drawn([seed], 2, 2, 8), x[i : i + 1], y[i : i + 1], HOW, [seed])
        assert torch.allclose(alone.weights[0], both.weights[i], atol=1e-6)
        assert not torch.allclose(alone.weights[0], PatchNets.drawn([seed], 2, 2, 8).weights[0], atol=1e-3)


def test_the_same_seeds_give_the_same_networks_and_looks_come_after_epochs() -> None:
    x, y = drawn(DATA, 40)
    seen: list[int] = []
    first, second = (
        train("pgd_at", PatchNets.drawn(SEEDS, 2, 1, 8), x, y, HOW, SEEDS, look=seen.append) for _ in range(2)
    )
    assert torch.equal(first.weights, second.weights) and seen == [1, 2, 1, 2]


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"eps": 0.0}, {"batch_size": 0}])
def test_a_training_of_nothing_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(CktatError, match="epochs >= 1, batch_size >= 1 and eps > 0"):
        InMemory(**wrong)
