"""Measured terms of Eq. 7 to 12, against a network whose answers and attack are known in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cktat.paper.theory import MultiView, lead, learning_gain, rise, terms
from cktat.paper.theory.terms import probes

DATA = MultiView(k=3, d=12, P=8)


def linear(x: Tensor) -> Tensor:
    """F_i = 2 <v_{i,1}, sum of patches> + 3 <v_{i,2}, sum of patches>."""
    weights = 2 * DATA.features[:, 0] + 3 * DATA.features[:, 1]
    return x.squeeze(-1).sum(dim=2) @ weights.T


def test_terms_of_a_linear_network_are_those_of_its_closed_form() -> None:
    """The worst delta of a linear lead w_y - w_l over P patches takes eps sqrt(P) |w_y - w_l|, here eps sqrt(8) sqrt(26)."""
    eps = 0.05

    def attack(x: Tensor, y: Tensor) -> Tensor:
        weights = 2 * DATA.features[:, 0] + 3 * DATA.features[:, 1]
        down = weights[(y + 1) % 3] - weights[y]
        return x + eps * (down / down.norm(dim=1, keepdim=True) / math.sqrt(8))[:, :, None, None]

    found = terms(linear, attack, DATA.features, 8)
    assert torch.allclose(found.a, torch.tensor([2.0, 3.0]).expand(3, 2), atol=1e-5)
    assert torch.allclose(found.taken, torch.full((3, 2), eps * math.sqrt(8 * 26)), atol=1e-5)
    assert torch.allclose(found.share, found.taken / found.a)


def test_an_attack_that_helps_takes_nothing() -> None:
    found = terms(linear, lambda x, y: 2 * x, DATA.features, 8)
    assert (found.taken == 0).all() and (found.a > 0).all()


def test_probes_show_one_feature_on_one_patch() -> None:
    found = probes(DATA.features, 8)
    assert found.shape == (3, 2, 12, 8, 1)
    assert torch.equal(found.sum(dim=(3, 4)), DATA.features) and (found[..., 1:, :] == 0).all()


def test_the_lead_is_over_the_largest_other() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    assert lead(logits, torch.tensor([0, 1])).tolist() == [1.0, -2.0]


@pytest.mark.parametrize(("k1", "k2"), [(0.3, 0.8), (0.0, 1.0), (0.9, 0.1)])
def test_the_rise_is_eq_11_with_its_own_terms(k1: float, k2: float) -> None:
    a, D = torch.tensor([1.5]), 3.0
    expected = -learning_gain(0.4, k1, k2, 1.5, D)
    assert float(rise(a, k1 * D * torch.ones(1), k2 * D / a, 0.4)) == pytest.approx(expected, abs=1e-6)
