"""Weights that are put together from known parts come apart into them."""

from __future__ import annotations

import pytest
import torch

from cktat.errors import CktatError
from cktat.paper.theory import (
    MultiView,
    against_mixtures,
    along_mixture,
    by_feature,
    claim,
    correlations,
    purification,
    ratio_on_data,
    ratio_on_perturbation,
    split,
    split_by_class,
    split_by_feature,
    without_mixture,
)

DATA = MultiView(k=3, d=12, P=8)
FLAT = DATA.features.reshape(6, 12)


def network(share: float = 1.0) -> torch.Tensor:
    """Neurons [3, 2, 12]: neuron l of class i is 2 v_{i,l} and `share` of a small mixture."""
    mixture = 0.1 * torch.randn(3, 2, 12, generator=torch.Generator().manual_seed(0))
    mixture -= (mixture * DATA.features).sum(-1, keepdim=True) * DATA.features
    return 2 * DATA.features + share * mixture


def test_a_weight_is_its_parts() -> None:
    found = split(network(), FLAT)
    assert found.main.tolist() == [[0, 1], [2, 3], [4, 5]]
    torch.testing.assert_close(found.pure, torch.full((3, 2), 2.0))
    torch.testing.assert_close(found.mixture, network() - 2 * DATA.features, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.others, found.mixture @ FLAT.T, rtol=0, atol=1e-6)
    torch.testing.assert_close(found.size, found.mixture.norm(dim=-1) / 2)


def test_a_weight_against_its_feature_has_a_negative_pure_part() -> None:
    found = split(-network(), FLAT)
    torch.testing.assert_close(found.pure, torch.full((3, 2), -2.0))
    torch.testing.assert_close(found.size, split(network(), FLAT).size)


def test_by_feature_sums_neurons_and_leaves_out_what_points_elsewhere() -> None:
    neurons = torch.cat([network(), network(), -network(), network().roll(1, 0)], dim=1)
    torch.testing.assert_close(by_feature(neurons, DATA.features), 2 * network())
    assert bool((by_feature(network().roll(1, 0), DATA.features) == 0).all())
    torch.testing.assert_close(split_by_feature(neurons, DATA.features).pure, torch.full((3, 2), 4.0))
    torch.testing.assert_close(
        correlations(torch.cat([2 * DATA.features, -DATA.features], 1), DATA.features), torch.full((3, 2), 2.0)
    )


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0, 1.5])
def test_purification_is_the_share_of_the_mixture_that_is_left(share: float) -> None:
    clean, left = (split_by_feature(3 * network(s), DATA.features) for s in (1.0, share))
    found = purification(clean, left)
    torch.testing.assert_close(found.by_size, torch.full((6,), share), rtol=0, atol=1e-5)
    torch.testing.assert_close(found.along, torch.full((6,), share), rtol=0, atol=1e-5)


def test_classes_whose_features_are_the_same_lines_are_split_one_by_one() -> None:
    basis = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(1))).Q
    features = torch.stack([-basis, basis])
    weights = 2 * features + 0.1 * basis.roll(1, 0)
    found = split_by_class(weights, features)
    torch.testing.assert_close(found.pure, torch.full((2, 5), 2.0))
    torch.testing.assert_close(found.mixture, (0.1 * basis.roll(1, 0)).expand(2, 5, 5), rtol=0, atol=1e-6)
    assert found.others.shape == (2, 5, 5) and float(found.others.abs().max()) == pytest.approx(0.1, abs=1e-5)


def test_sigma_of_one_patch_is_against_the_mixtures_shown() -> None:
    found = split_by_feature(network(), DATA.features)
    y, shown = torch.tensor([0, 2, 1]), torch.tensor([[True, False], [True, True], [False, False]])
    sigma = against_mixtures(shown, y, found, eps=0.5)
    torch.testing.assert_close(sigma[0] / 0.5, -found.mixture[0, 0] / found.mixture[0, 0].norm())
    both = found.mixture[2].sum(0)
    torch.testing.assert_close(sigma[1], -0.5 * both / both.norm())
    assert float(sigma[2].abs().max()) == 0


def test_without_mixture_is_the_pure_part() -> None:
    torch.testing.assert_close(without_mixture(network(), DATA.features), 2 * DATA.features)


def test_ratios() -> None:
    m, x = torch.tensor([[3.0, 4.0, 0, 0]]), torch.tensor([[1.0, 0, 0, 0], [0, 0, 2.0, 0]])
    torch.testing.assert_close(ratio_on_data(m, x, k=2), torch.tensor([[6.0, 0.0]]))  # 3 / (2 / 4)
    torch.testing.assert_close(ratio_on_perturbation(m, 7 * m, k=2), torch.tensor([5.0]))  # |m| / (2 / sqrt(4))


def test_sigma_lowers_the_clean_network_and_has_the_length_asked_for() -> None:
    samples = DATA.sample(40)
    sigma = along_mixture(samples, split_by_feature(network(), DATA.features), eps=0.5)
    torch.testing.assert_close(sigma.flatten(1).norm(dim=1), torch.full((40,), 0.5))
    read = lambda x: torch.einsum("npd,kmd->nk", x, network())  # noqa: E731
    rows = torch.arange(40)
    assert bool((read(samples.x + sigma)[rows, samples.y] < read(samples.x)[rows, samples.y]).all())


def test_the_claim_compares_distributions() -> None:
    sure = lambda x: torch.tensor([[50.0, 0.0]]).expand(len(x), 2)  # noqa: E731
    other = lambda x: torch.tensor([[0.0, 50.0]]).expand(len(x), 2)  # noqa: E731
    x = torch.zeros(3, 1)
    found = claim(sure, other, x, x)
    assert (found.first, found.both) == (pytest.approx(1), pytest.approx(1))
    assert (found.second, found.itself) == (0, 0)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(CktatError, match=r"features \[F, d\]"):
        split(torch.zeros(2, 3), torch.zeros(2, 4))
