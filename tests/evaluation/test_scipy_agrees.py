"""What stands here and scipy.stats say the same, before one takes the place of the other."""

import math

import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from cktat.evaluation import mcnemar, student_p, student_quantile
from cktat.evaluation.statistics import incomplete_beta

freedoms = st.one_of(st.floats(0.5, 1e6), st.integers(1, 200).map(float), st.just(math.inf))


@given(st.floats(-50, 50), freedoms)
def test_the_p_of_a_t(t: float, freedom: float) -> None:
    theirs = 2 * scipy.stats.t.sf(abs(t), freedom)
    # the normal distribution's tail stands here as 1 - erf, which keeps 16 digits behind the point and no more
    assert student_p(t, freedom) == pytest.approx(theirs, rel=1e-8, abs=1e-15 if freedom == math.inf else 1e-300)


@given(freedoms, st.floats(0.01, 0.999))
def test_the_t_of_a_confidence(freedom: float, confidence: float) -> None:
    theirs = scipy.stats.t.isf((1 - confidence) / 2, freedom)
    assert student_quantile(freedom, confidence) == pytest.approx(theirs, rel=1e-8)


@given(st.floats(0.3, 40), st.floats(0.3, 40), st.floats(0, 1))
def test_the_incomplete_beta_function(a: float, b: float, x: float) -> None:
    assert incomplete_beta(a, b, x) == pytest.approx(scipy.special.betainc(a, b, x), rel=1e-8, abs=1e-12)


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_mcnemar(first: int, second: int) -> None:
    theirs = scipy.stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(theirs, rel=1e-8, abs=1e-300)
