"""patchnet is the formula of the analysis, and its smoothed ReLU has the gradient that autograd finds."""

from __future__ import annotations

import pytest
import torch

from cktat.models import build, check
from cktat.paper.theory.patchnet import BEND, PatchNet, smoothed_relu


def test_it_is_the_sum_over_neurons_and_patches() -> None:
    net = PatchNet(classes=3, channels=5, neurons=4).double()
    x = torch.randn(2, 5, 6, 1, dtype=torch.float64)
    w = net.neuron_weights
    by_hand = torch.zeros(2, 3, dtype=torch.float64)
    for n in range(2):
        for i in range(3):
            for r in range(4):
                for p in range(6):
                    by_hand[n, i] += smoothed_relu((w[i, r] * x[n, :, p, 0]).sum())
    torch.testing.assert_close(net(x), by_hand)
    torch.testing.assert_close(net(x[:, :, torch.randperm(6)]), by_hand)  # the place of a patch does not matter


def test_the_smoothed_relu() -> None:
    z = torch.tensor([-1.0, 0.0, BEND / 2, BEND, 2.0], dtype=torch.float64)
    wanted = [0, 0, (BEND / 2) ** 3 / (3 * BEND**2), BEND / 3, 2 - 2 * BEND / 3]
    assert smoothed_relu(z).tolist() == pytest.approx(wanted)
    points = torch.linspace(-0.5, 1.0, 40, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(smoothed_relu, (points,))


def test_its_size_and_start() -> None:
    net = build("patchnet", classes=6, channels=30, mean=(0.0,) * 30, std=(1.0,) * 30, seed=0)
    assert sum(p.numel() for p in net.parameters()) == 6 * 5 * 30
    assert net.body.neuron_weights.shape == (6, 5, 30)  # type: ignore[union-attr]
    check(net, (30, 16, 1), 6)
    again = build("patchnet", classes=6, channels=30, mean=(0.0,) * 30, std=(1.0,) * 30, seed=0)
    assert torch.equal(net.body.patches.weight, again.body.patches.weight)  # type: ignore[union-attr]


def test_the_wide_one_has_64_neurons_for_each_class() -> None:
    net = build("patchnet-wide", classes=2, channels=32, mean=(0.0,) * 32, std=(1.0,) * 32, seed=0)
    assert net.body.neuron_weights.shape == (2, 64, 32)  # type: ignore[union-attr]
    check(net, (32, 1, 1), 2)
