"""How sure a measured share is, and a mean over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

import scipy

from cktat.errors import CktatError


def wilson(correct: int, images: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of correct / images (Wilson, JASA 1927): honest near 0 and 1, unlike +- two deviations.

    Raises CktatError unless 0 <= correct <= images and images > 0.

    Example:
        >>> [round(end, 3) for end in wilson(80, 100)]
        [0.711, 0.867]
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


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (of a sample, n - 1) over n seeds."""

    mean: float
    deviation: float
    n: int

    @property
    def half(self) -> float | None:
        """Half of the mean's 95 % interval (Student's t); None for one seed."""
        return float(scipy.stats.t.isf(0.025, self.n - 1)) * self.deviation / self.n**0.5 if self.n > 1 else None


def spread(values: Sequence[float]) -> Spread | None:
    """Over seeds: of one value each, or of the differences of two networks that share a seed. None of nothing.

    Example:
        >>> found = spread([0.5, 0.7])
        >>> round(found.mean, 2), round(found.deviation, 2), found.n
        (0.6, 0.14, 2)
    """
    if not values:
        return None
    return Spread(fmean(values), stdev(values) if len(values) > 1 else 0.0, len(values))
