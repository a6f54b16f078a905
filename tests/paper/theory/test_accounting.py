"""Eq. 7 to 12 and the learning condition, against their own formulas and each other."""

from __future__ import annotations

import inspect
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from cktat.errors import CktatError
from cktat.paper.theory import (
    EXAMPLE,
    boundary_mu,
    clean_error_after,
    clean_error_before,
    lacks_incentive,
    learning_gain,
    least_k2,
    robust_error_after,
    robust_error_before,
    worked_example,
)

SIX = (
    robust_error_before, robust_error_after, clean_error_before, clean_error_after, learning_gain, lacks_incentive,
)  # fmt: skip
share = st.floats(0, 1)
terms = st.fixed_dictionaries(
    {"mu": share, "k1": share, "k2": share, "a": st.floats(0.01, 5), "D": st.floats(0.01, 20)}
)


@pytest.mark.parametrize("function", SIX)
def test_all_six_take_the_same_terms(function: Any) -> None:
    assert list(inspect.signature(function).parameters) == ["mu", "k1", "k2", "a", "D"]


@given(terms)
def test_the_formulas_as_printed(t: dict[str, float]) -> None:
    mu, k1, k2, a, D = (t[name] for name in ("mu", "k1", "k2", "a", "D"))
    e = math.exp
    p1, p2 = e(a) / (e(a) + e(k1 * D)), e(a) / (e(a) + e(k2 * D))
    p12 = e(2 * a) / (e(2 * a) + e((k1 + k2) * D))
    assert robust_error_before(**t) == pytest.approx(0.5 * mu * (2 - p1) + (1 - mu) * (1 - p1))
    assert robust_error_after(**t) == pytest.approx(0.5 * mu * (1 - p2) + 0.5 * mu * (1 - p1) + (1 - mu) * (1 - p12))
    assert clean_error_before(**t) == 0.5 * mu and clean_error_after(**t) == 0


@given(terms)
def test_eq_11_is_eq_8_less_eq_7_and_eq_12_is_eq_10_less_eq_9(t: dict[str, float]) -> None:
    difference = robust_error_after(**t) - robust_error_before(**t)
    assert -learning_gain(**t) == pytest.approx(difference, abs=1e-12)
    assert clean_error_after(**t) - clean_error_before(**t) == -0.5 * t["mu"]
    assert lacks_incentive(**t) == (learning_gain(**t) <= 0)


@given(terms, share)
def test_more_mixture_in_the_second_feature_never_helps(t: dict[str, float], other: float) -> None:
    low, high = sorted((t["k2"], other))
    assert learning_gain(**(t | {"k2": high})) <= learning_gain(**(t | {"k2": low})) + 1e-12
    assert robust_error_after(**(t | {"k2": high})) >= robust_error_after(**(t | {"k2": low})) - 1e-12


@given(terms)
def test_the_boundary_in_mu_is_where_the_condition_turns(t: dict[str, float]) -> None:
    mu = t.pop("mu")
    edge = boundary_mu(**t)
    assert 0 <= edge <= 1
    assume(abs(mu - edge) > 1e-6 and mu > 1e-6)
    assert lacks_incentive(mu, **t) == (mu < edge)


@given(terms)
def test_below_a_over_d_it_always_pays(t: dict[str, float]) -> None:
    assume(t["k2"] < least_k2(t["a"], t["D"]) * 0.999 and t["mu"] > 0)
    assert boundary_mu(t["k1"], t["k2"], t["a"], t["D"]) == 0
    assert not lacks_incentive(**t)


def test_the_worked_example() -> None:
    found = worked_example()
    assert round(found.by_formula, 3) == 0.147
    assert round(found.as_printed, 3) == 0.102
    assert found.holds and lacks_incentive(**EXAMPLE) is True
    assert found.boundary > EXAMPLE["mu"]
    assert found.after - found.before == pytest.approx(found.by_formula)


@pytest.mark.parametrize("function", SIX)
def test_tensors_and_arrays_broadcast_to_the_same_numbers(function: Any) -> None:
    mu, k2 = torch.linspace(0, 1, 5, dtype=torch.float64), torch.linspace(0, 1, 3, dtype=torch.float64)[:, None]
    of_tensors = function(mu, 0.3, k2, 1.0, torch.tensor(3.0, dtype=torch.float64))
    of_arrays = function(mu.numpy(), 0.3, k2.numpy(), 1.0, 3.0)
    assert isinstance(of_tensors, torch.Tensor) and of_tensors.shape == of_arrays.shape == (3, 5)
    np.testing.assert_allclose(of_tensors.numpy(), of_arrays)
    for i in range(3):
        for j in range(5):
            assert of_arrays[i, j] == pytest.approx(function(float(mu[j]), 0.3, float(k2[i, 0]), 1.0, 3.0))


def test_large_outputs_do_not_overflow() -> None:
    assert math.isfinite(robust_error_after(0.4, 1.0, 1.0, 900.0, 2000.0))
    assert 0 <= boundary_mu(1.0, 1.0, 1.0, 2000.0) <= 1
    assert least_k2(1.0, 0.0) == math.inf


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mu": 1.5}, "0 <= mu <= 1"), ({"k1": -0.1}, "0 <= k1 <= 1"), ({"k2": 2.0}, "0 <= k2 <= 1"),
        ({"a": -1.0}, "0 <= a < inf"), ({"D": float("inf")}, "0 <= D < inf"), ({"D": "x"}, "D must be a number"),
        ({"mu": float("nan")}, "0 <= mu <= 1"), ({"k2": torch.tensor([0.1, 3.0])}, "not k2 = 3"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("function", SIX)
def test_bad_terms_name_the_inequality(function: Any, change: dict[str, Any], said: str) -> None:
    with pytest.raises(CktatError) as error:
        function(**(EXAMPLE | change))
    assert said in str(error.value)
