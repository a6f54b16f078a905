"""Wilson's interval against its definition as a test that is inverted, published numbers, and its properties; means
over seeds against printed tables."""

import math
from statistics import fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cktat.errors import CktatError
from cktat.evaluation import Spread, spread, wilson

Z = 1.959963984540054  # the 97.5 % point of the normal distribution


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int]:
    images = draw(st.integers(1, 20_000))
    return draw(st.integers(0, images)), images


@pytest.mark.parametrize(
    ("correct", "images", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_intervals(correct: int, images: int, low: float, high: float) -> None:
    assert wilson(correct, images) == pytest.approx((low, high), abs=5e-5)


@given(counts())
def test_its_ends_are_the_shares_that_a_score_test_just_accepts(count: tuple[int, int]) -> None:
    """p is in the interval if |share - p| <= z sqrt(p (1 - p) / n); the ends are the roots of the equality."""
    correct, images = count
    # z^2 = n (share - p)^2 / (p (1 - p))  <=>  (n + z^2) p^2 - (2 k + z^2) p + k^2 / n = 0
    a, b, c = images + Z**2, -(2 * correct + Z**2), correct**2 / images
    root = math.sqrt(max(b * b - 4 * a * c, 0.0))
    assert wilson(correct, images) == pytest.approx(((-b - root) / (2 * a), (-b + root) / (2 * a)), abs=1e-9)


@given(counts())
def test_it_lies_in_the_unit_interval_and_holds_the_share(count: tuple[int, int]) -> None:
    correct, images = count
    low, high = wilson(correct, images)
    assert 0 <= low <= correct / images <= high <= 1
    assert low < high


@given(counts())
def test_right_and_wrong_mirror_each_other(count: tuple[int, int]) -> None:
    correct, images = count
    low, high = wilson(correct, images)
    assert wilson(images - correct, images) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@given(counts(), st.integers(2, 50))
def test_more_images_and_less_confidence_narrow_it(count: tuple[int, int], times: int) -> None:
    def width(ends: tuple[float, float]) -> float:
        return ends[1] - ends[0]

    correct, images = count
    assert width(wilson(times * correct, times * images)) < width(wilson(correct, images))
    assert width(wilson(correct, images, confidence=0.8)) < width(wilson(correct, images))


@pytest.mark.parametrize("images", [50, 500])
@pytest.mark.parametrize("share", [0.03, 0.1, 0.5, 0.92])
def test_it_covers_the_truth_about_as_often_as_it_says(images: int, share: float) -> None:
    """Summed over all outcomes, no draw: the binomial probability of those whose interval holds the true share."""
    covered = 0.0
    for correct in range(images + 1):
        low, high = wilson(correct, images)
        if low <= share <= high:
            covered += math.comb(images, correct) * share**correct * (1 - share) ** (images - correct)
    assert 0.92 < covered < 0.985


@pytest.mark.parametrize(("correct", "images"), [(0, 0), (-1, 10), (11, 10)])
def test_impossible_counts_are_refused(correct: int, images: int) -> None:
    with pytest.raises(CktatError, match=f"{correct} of {images}"):
        wilson(correct, images)


@pytest.mark.parametrize(
    ("freedom", "t"),
    # NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (30, 2.042), (100, 1.984)],
)
def test_a_mean_lies_within_the_tabulated_t(freedom: int, t: float) -> None:
    half = Spread(0.5, 2.0, freedom + 1).half
    assert half == pytest.approx(t * 2.0 / math.sqrt(freedom + 1), abs=1e-3 / math.sqrt(freedom + 1))


def test_a_mean_over_seeds() -> None:
    values = [0.61, 0.64, 0.59]
    found = spread(values)
    assert found == Spread(fmean(values), stdev(values), 3)
    assert found is not None and found.half == pytest.approx(4.302653 * stdev(values) / math.sqrt(3), rel=1e-6)
    alone = spread([0.5])
    assert alone is not None and (alone.mean, alone.half) == (0.5, None)
    assert spread([]) is None
