"""How sure a measured share is."""

from __future__ import annotations

import math
from statistics import NormalDist

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
