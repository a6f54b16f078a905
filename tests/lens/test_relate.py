"""What designs' numbers say of one another, against scipy, closed forms, and data in which nothing is related."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy

from cktat.errors import CktatError
from cktat.lens.relate import foretold, relation


def test_rho_is_that_of_scipy_with_ties_and_infinities_in_their_rank() -> None:
    x, y = [1.0, 2.0, 2.0, 5.0, 4.0, math.inf], [3.0, 1.0, 4.0, 9.0, 9.0, 6.0]
    assert relation(x, y).rho == pytest.approx(scipy.stats.spearmanr([1, 2, 2, 5, 4, 99], y).statistic)


def test_a_perfect_order_is_sure_and_a_reversed_one_is_negative() -> None:
    up, down = relation(range(8), [v**3 for v in range(8)]), relation(range(8), [-v for v in range(8)])
    assert up.rho == 1.0 and up.n == 8
    assert (up.low, up.high, up.least, up.most) == tuple(map(pytest.approx, (1.0, 1.0, 1.0, 1.0)))
    assert down.rho == -1.0 and down.high == pytest.approx(-1.0)


def test_leaving_out_the_one_design_that_makes_a_relation_shows_it() -> None:
    # without the last the order is reversed
    found = relation([1, 2, 3, 4, 100], [4, 3, 2, 1, 100])
    assert found.least == pytest.approx(-1.0) and found.most == pytest.approx(0.2)
    assert found.rho == pytest.approx(0.0)


def test_the_interval_covers_nothing_where_nothing_is_there() -> None:
    # of unrelated numbers, 0 lies inside nearly always; this is the property that makes the interval worth showing
    numbers = np.random.default_rng(0)
    inside = 0
    for _ in range(60):
        found = relation(numbers.normal(size=13), numbers.normal(size=13), draws=200)
        assert found.low is not None and found.high is not None and found.rho is not None
        assert found.low <= found.rho <= found.high
        inside += found.low <= 0 <= found.high
    assert inside >= 50


def test_the_same_value_for_all_designs_has_no_order() -> None:
    found = relation([1, 1, 1, 1], [1, 2, 3, 4])
    assert (found.rho, found.low, found.least, found.n) == (None, None, None, 4)


@pytest.mark.parametrize(
    ("x", "y"), [([1, 2, 3], [1, 2, 3]), ([1, 2, 3, 4], [1, 2, 3]), ([1, 2, 3, math.nan], [1, 2, 3, 4])]
)
def test_too_few_designs_and_missing_numbers_are_refused(x: list[float], y: list[float]) -> None:
    with pytest.raises(CktatError, match="rank correlation"):
        relation(x, y)


def test_a_plane_foretells_what_is_one_and_nothing_else() -> None:
    numbers = np.random.default_rng(1)
    axes = numbers.normal(size=(12, 2))
    assert foretold(axes.tolist(), (axes @ [2.0, -1.0] + 3).tolist()) == pytest.approx(1.0)
    assert foretold(axes.tolist(), numbers.normal(size=12).tolist()) < 0.5  # type: ignore[operator]


def test_foretelling_is_leaving_one_out_by_hand() -> None:
    x, y = [0.0, 1.0, 2.0, 4.0], [0.0, 1.0, 3.0, 2.0]
    plane, mean = [], []
    for i in range(4):
        others = [j for j in range(4) if j != i]
        slope, at_zero = np.polyfit([x[j] for j in others], [y[j] for j in others], 1)
        plane.append(y[i] - slope * x[i] - at_zero)
        mean.append(y[i] - sum(y[j] for j in others) / 3)
    assert foretold([[value] for value in x], y) == pytest.approx(1 - np.square(plane).sum() / np.square(mean).sum())


def test_an_infinite_axis_and_too_few_designs_foretell_nothing() -> None:
    assert foretold([[1.0], [2.0], [math.inf], [3.0]], [1, 2, 3, 4]) is None
    assert foretold([[1.0], [2.0], [3.0]], [1, 2, 3]) is None
    assert foretold([[1.0], [2.0], [3.0], [4.0]], [1, 1, 1, 1]) is None
