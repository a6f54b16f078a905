"""Information discarding against the one feature whose answer is known, and what must hold for every feature."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from cktat.errors import CktatError
from cktat.paper.knowledge import Discarding, discard

QUICK = Discarding(cells=4, steps=100, samples=16)


def images(n: int = 2, side: int = 8) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1))


def linear(outputs: int = 200, cells: int = 4, side: int = 8, spread: float = 0.7) -> Tensor:
    """Weights [outputs, 3, side, side] of a feature that depends on some cells far more than on others."""
    draws = torch.Generator().manual_seed(2)
    weights = torch.randn(outputs, 3, side, side, generator=draws)
    scale = (spread * torch.randn(cells, cells, generator=draws)).exp()
    return weights * scale.repeat_interleave(side // cells, 0).repeat_interleave(side // cells, 1)


def applied(weights: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: torch.einsum("nchw,dchw->nd", x, weights)


def curved() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Tanh(), nn.Conv2d(6, 6, 3, stride=2, padding=1), nn.ReLU())


@pytest.mark.parametrize("how", [QUICK, replace(QUICK, bound=1.0), replace(QUICK, xi=0.03)])
def test_a_linear_feature_has_the_entropies_of_the_closed_form(how: Discarding) -> None:
    weights = linear()
    found = discard(applied(weights), images(), how)
    # With w_i the squared weights on cell i, E ||f(x + sigma noise) - f(x)||^2 = sum_i w_i sigma_i^2 and delta^2 is the
    # same at sigma = xi; the derivative by log sigma_i, 2 w_i sigma_i^2 / delta^2 - alpha, is 0 at the minimum.
    w = weights.square().sum(dim=(0, 1)).reshape(4, 2, 4, 2).sum(dim=(1, 3))
    sigma = (how.bound / 16 * how.xi**2 * w.sum() / w).sqrt()
    expected = torch.log(sigma * math.sqrt(2 * math.pi * math.e))
    assert expected.max() - expected.min() > 1.5
    assert (found.entropy - expected).abs().max() < 0.1
    assert (found.entropy - expected).mean().abs() < 0.03
    assert (found.change / how.bound - 1).abs().max() < 0.1


def test_one_pixel_is_a_cell_where_there_are_no_more() -> None:
    found = discard(applied(linear(cells=8)), images(), replace(QUICK, cells=16, steps=2))
    assert found.entropy.shape == (2, 8, 8)


@pytest.mark.parametrize("scale", [1e-4, 1e5])
def test_a_rescaled_and_shifted_feature_has_the_same_entropies(scale: float) -> None:
    f, x = curved().double(), images().double()
    plain = discard(f, x, replace(QUICK, steps=30))
    other = discard(lambda x: scale * (f(x) + 7), x, replace(QUICK, steps=30))
    assert torch.allclose(plain.entropy, other.entropy, atol=1e-5)
    assert torch.allclose(plain.change, other.change, rtol=1e-5)


def test_an_image_is_the_same_in_any_company() -> None:
    x, f = images(3), curved()
    alone = discard(f, x[1:2], replace(QUICK, steps=20))
    together = discard(f, x, replace(QUICK, steps=20))
    assert torch.allclose(alone.entropy[0], together.entropy[1], atol=1e-3)
    assert not torch.allclose(together.entropy[0], together.entropy[1], atol=1e-2)


def test_the_seed_decides_and_matters_little() -> None:
    first, again, other = (discard(curved(), images(), replace(QUICK, seed=seed)).entropy for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert 0 < (first - other).square().mean().sqrt() < 0.1


def test_the_objective_has_settled_and_nothing_nearby_is_better() -> None:
    f, x = curved(), images()
    found = discard(f, x, QUICK)
    assert len(found.objective) == QUICK.steps
    assert (found.objective[-1] < found.objective[0] - 0.05).all()
    assert found.settled.abs().max() < 0.01
    longer = discard(f, x, replace(QUICK, steps=300, seed=3))
    assert (found.entropy - longer.entropy).square().mean().sqrt() < 0.06

    noise = torch.randn(1500, 3, 8, 8, generator=torch.Generator().manual_seed(9))

    @torch.no_grad()
    def objective(entropy: Tensor) -> Tensor:  # written anew, of the first image, with noise of its own
        def moved(sigma: Tensor) -> Tensor:
            noisy = x[:1] + sigma.repeat_interleave(2, 0).repeat_interleave(2, 1) * noise
            return (f(noisy) - f(x[:1])).square().sum(dim=(1, 2, 3)).mean()

        sigma = entropy.exp() / math.sqrt(2 * math.pi * math.e)
        return moved(sigma) / moved(torch.full((4, 4), QUICK.xi)) - 2 * QUICK.bound / 16 * entropy.sum()

    least = objective(longer.entropy[0])
    draws = torch.Generator().manual_seed(4)
    for _ in range(10):
        step = 0.4 * torch.randn(4, 4, generator=draws)
        assert objective(longer.entropy[0] + step) > least


def test_a_part_that_the_feature_ignores_bears_all_noise() -> None:
    weights = linear()
    weights[:, :, :2, :2] = 0
    found = discard(applied(weights), images(), QUICK)
    assert torch.allclose(found.entropy[:, 0, 0], torch.tensor(0.5 * math.log(2 * math.pi * math.e)))
    assert (found.entropy[:, 1:, 1:] < 0).all()


@pytest.mark.parametrize("broken", [lambda x: torch.zeros(len(x), 4), lambda x: x.flatten(1) * math.nan])
def test_a_feature_that_cannot_be_asked_is_refused(broken: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(CktatError, match="nothing can be learned"):
        discard(broken, images(), QUICK)


@pytest.mark.parametrize(
    "wrong", [{"cells": 0}, {"steps": 1}, {"samples": 0}, {"bound": 0.0}, {"xi": -1.0}, {"rate": math.inf}]
)
def test_settings_without_sense_are_refused(wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(CktatError, match=name):
        replace(QUICK, **wrong)  # type: ignore[arg-type]
