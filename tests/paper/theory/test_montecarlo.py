"""The formulas are what samples and a hand-set model give."""

from __future__ import annotations

import pytest
import torch

from cktat.errors import CktatError
from cktat.paper.theory import MultiView, TwoFeatureModel, monte_carlo
from cktat.paper.theory.montecarlo import _beside

TERMS = [(0.4, 0.3, 0.8, 1.0, 3.0), (0.1, 0.0, 1.0, 2.0, 5.0), (0.9, 1.0, 0.2, 0.5, 1.0), (0.0, 0.5, 0.5, 1.0, 2.0)]


@pytest.mark.parametrize("terms", TERMS)
def test_samples_agree_with_the_formulas(terms: tuple[float, ...]) -> None:
    found = monte_carlo(*terms, n=20_000, seed=3)
    assert [c.name.partition(",")[0] for c in found] == [f"Eq. {number}" for number in range(7, 13)]
    for checked in found:
        assert checked.deviations < 4, checked


def test_the_sign_of_the_example_does_not_hang_on_the_conventions() -> None:
    eq_11 = monte_carlo(0.4, 0.3, 0.8, 1.0, 3.0, n=20_000)[4]
    assert eq_11.sampled > 0 and eq_11.literal > 0


def test_a_wrong_formula_would_be_seen() -> None:
    right, wrong = (monte_carlo(0.4, 0.3, k2, 1.0, 3.0, n=20_000)[1] for k2 in (0.8, 0.75))
    assert abs(right.sampled - wrong.formula) > 10 * right.standard_error


def test_the_model_answers_as_section_3_2_says() -> None:
    data = MultiView.two_classes()
    model = TwoFeatureModel(data.features, _beside(data), (0.3, 0.8), (True, True), 1.0, 3.0)
    found = data.sample(50)
    shown = found.z.sum(-1)
    clean, moved = model(found.x), model(model.perturb(found.x, shown))
    own, rows = shown[torch.arange(50), found.y], torch.arange(50)
    torch.testing.assert_close(clean[rows, found.y], own.sum(1).float())
    torch.testing.assert_close(clean[rows, 1 - found.y], torch.zeros(50), rtol=0, atol=1e-5)
    torch.testing.assert_close(moved[rows, found.y], own.sum(1).float())  # sigma leaves the label's output alone
    mixture = (own * torch.tensor([0.9, 2.4])).sum(1).float()
    torch.testing.assert_close(moved[rows, 1 - found.y], mixture)


def test_bad_requests() -> None:
    for seed in (-1, 2**63):
        with pytest.raises(CktatError, match="a seed of 0 or more, below"):
            monte_carlo(0.4, 0.3, 0.8, 1.0, 3.0, n=10, seed=seed)
    with pytest.raises(CktatError, match="at least 2 samples"):
        monte_carlo(0.4, 0.3, 0.8, 1.0, 3.0, n=1)
    with pytest.raises(CktatError, match="0 <= k1 <= 1"):
        monte_carlo(0.4, 1.3, 0.8, 1.0, 3.0, n=10)
