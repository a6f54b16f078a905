"""Student's t against closed forms, printed tables and integration; means over seeds."""

import math
from statistics import NormalDist, fmean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cktat.evaluation import Spread, spread, student_p, student_quantile
from cktat.evaluation.statistics import incomplete_beta


@given(st.floats(1e-3, 1e3))
def test_one_and_two_degrees_have_closed_forms(t: float) -> None:
    """Cauchy's distribution, and P(T < t) = 1/2 + t / (2 sqrt(2 + t^2))."""
    assert student_p(t, 1) == pytest.approx(2 * math.atan2(1, t) / math.pi, rel=1e-10)
    # 1 - t / sqrt(2 + t^2), without the difference of two numbers that are nearly equal
    root = math.sqrt(2 + t * t)
    assert student_p(t, 2) == pytest.approx(2 / (root * (root + t)), rel=1e-10)


@given(st.floats(0.0, 20.0), st.integers(3, 60))
def test_every_whole_number_of_degrees_has_a_finite_sum(t: float, freedom: int) -> None:
    """Abramowitz & Stegun 26.7.3 and 26.7.4, of P(|T| < t)."""
    odd, angle = freedom % 2, math.atan(t / math.sqrt(freedom))
    term, total = math.cos(angle) ** odd, 0.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= math.cos(angle) ** 2 * k / (k + 1)
    inside = 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
    assert 1 - student_p(t, freedom) == pytest.approx(inside, abs=1e-10)


@pytest.mark.parametrize(
    ("freedom", "confidence", "t"),
    [
        # NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2
        (1, 0.95, 12.706), (2, 0.95, 4.303), (3, 0.95, 3.182), (4, 0.95, 2.776), (5, 0.95, 2.571), (9, 0.95, 2.262),
        (30, 0.95, 2.042), (100, 0.95, 1.984), (2, 0.9, 2.920), (7, 0.98, 2.998), (10, 0.99, 3.169),
    ],
)  # fmt: skip
def test_tabulated_points(freedom: int, confidence: float, t: float) -> None:
    assert student_quantile(freedom, confidence) == pytest.approx(t, abs=5e-4)


@pytest.mark.parametrize("freedom", [1.7, 12.3, 480.5])
def test_broken_degrees_of_freedom_by_integration(freedom: float) -> None:
    front = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    steps = 4000
    heights = [front * (1 + (2.2 * i / steps) ** 2 / freedom) ** (-(freedom + 1) / 2) for i in range(steps + 1)]
    simpson = 2.2 / steps / 3 * sum(h * (1 if i in (0, steps) else 4 if i % 2 else 2) for i, h in enumerate(heights))
    assert student_p(2.2, freedom) == pytest.approx(1 - 2 * simpson, abs=1e-10)


@settings(max_examples=30)
@given(st.floats(1, 1e5), st.floats(0.01, 0.999))
def test_a_quantile_is_where_the_probability_is_as_asked(freedom: float, confidence: float) -> None:
    assert student_p(student_quantile(freedom, confidence), freedom) == pytest.approx(1 - confidence, rel=1e-8)


def test_without_end_it_is_the_normal_distribution() -> None:
    assert student_quantile(math.inf) == pytest.approx(NormalDist().inv_cdf(0.975), abs=1e-9)
    assert student_p(1.3, 1e7) == pytest.approx(student_p(1.3, math.inf), abs=1e-7)
    assert student_p(0.0, 3) == 1.0


@given(st.floats(0.3, 40), st.floats(0.3, 40), st.integers(0, 2**20))
def test_the_incomplete_beta_function_mirrors_and_recurs(a: float, b: float, part: int) -> None:
    """DLMF 8.17.4 and 8.17.20, at x whose 1 - x is exact."""
    x = part / 2**20
    assert incomplete_beta(a, b, x) == pytest.approx(1 - incomplete_beta(b, a, 1 - x), abs=1e-10)
    step = x**a * (1 - x) ** b * math.exp(math.lgamma(a + b) - math.lgamma(a + 1) - math.lgamma(b))
    assert incomplete_beta(a, b, x) == pytest.approx(incomplete_beta(a + 1, b, x) + step, abs=1e-9)


def test_a_mean_over_seeds() -> None:
    values = [0.61, 0.64, 0.59]
    found = spread(values)
    assert found == Spread(fmean(values), stdev(values), 3)
    assert found is not None and found.half == pytest.approx(4.302653 * stdev(values) / math.sqrt(3), rel=1e-6)
    alone = spread([0.5])
    assert alone is not None and (alone.mean, alone.half) == (0.5, None)
    assert spread([]) is None
