"""How sure a measured share is, and a mean over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, fmean, stdev

from cktat.errors import CktatError


def wilson(correct: int, images: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of correct / images (Wilson, JASA 1927): honest near 0 and 1, unlike +- two deviations.

    Raises CktatError unless 0 <= correct <= images and images > 0.
    """
    if not 0 <= correct <= images or images == 0:
        raise CktatError(f"no interval for {correct} of {images} images")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / images
    middle = share + z * z / (2 * images)
    half = z * math.sqrt(share * (1 - share) / images + z * z / (4 * images * images))
    scale = 1 + z * z / images
    # the exact ends at 0 and 1, where rounding would leave 1e-17
    low = 0.0 if correct == 0 else (middle - half) / scale
    high = 1.0 if correct == images else (middle + half) / scale
    return low, high


def student_p(t: float, freedom: float) -> float:
    """Probability of a |t| at least this large, both tails together, under Student's t with `freedom` > 0 degrees.

    I_{f / (f + t^2)}(f / 2, 1 / 2), with I the regularised incomplete beta function (Abramowitz & Stegun 26.5.27).
    """
    if not math.isfinite(freedom):
        return 2 * NormalDist().cdf(-abs(t))
    if abs(t) < 1:  # from the other side, or rounding of a number near 1 would eat a small t
        return 1 - incomplete_beta(0.5, freedom / 2, t * t / (freedom + t * t))
    return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


@lru_cache(maxsize=1024)
def student_quantile(freedom: float, confidence: float = 0.95) -> float:
    """The t with that much of Student's distribution between -t and t: 12.706 for 1 degree of freedom and 95 %."""
    low, high = 0.0, 1.0
    while student_p(high, freedom) > 1 - confidence:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:  # halving, since the probability falls in t
        middle = (low + high) / 2
        low, high = (middle, high) if student_p(middle, freedom) > 1 - confidence else (low, middle)
    return high


def incomplete_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b) for positive a and b and 0 <= x <= 1, by its continued fraction (DLMF 8.17.22)."""
    if x in (0.0, 1.0):
        return x
    if x > (a + 1) / (a + b + 2):  # there the fraction of the mirror image converges fast
        return 1 - incomplete_beta(b, a, 1 - x)
    fraction = 1.0
    for m in range(100 + 2 * int(math.sqrt(max(a, b))), 0, -1):  # from the innermost term out
        odd = -(a + m - 1) * (a + b + m - 1) * x / ((a + 2 * m - 2) * (a + 2 * m - 1))
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        fraction = 1 + odd / (1 + even / fraction)
    front = a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(front) / (a * fraction)


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (of a sample, n - 1) over n seeds."""

    mean: float
    deviation: float
    n: int

    @property
    def half(self) -> float | None:
        """Half of the mean's 95 % interval (Student's t); None for one seed."""
        return student_quantile(self.n - 1) * self.deviation / self.n**0.5 if self.n > 1 else None


def spread(values: Sequence[float]) -> Spread | None:
    """Over seeds: of one value each, or of the differences of two networks that share a seed. None of nothing."""
    if not values:
        return None
    return Spread(fmean(values), stdev(values) if len(values) > 1 else 0.0, len(values))
