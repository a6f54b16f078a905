"""Whether one number of designs goes with another: rank correlation, how sure it is, and what designs left out do to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from cktat.errors import CktatError

DRAWS = 2000
FEWEST = 4
"""Designs below which nothing is said."""


@dataclass(frozen=True)
class Relation:
    """Spearman's rank correlation over n designs.

    Attributes:
        rho: from -1 to 1; None where all designs have the same value.
        low, high: its 95 % interval, by drawing designs with repetition; None where rho is.
        least, most: its range over leaving one design out.
        n: designs.
    """

    rho: float | None
    low: float | None
    high: float | None
    least: float | None
    most: float | None
    n: int


def _rho(x: np.ndarray, y: np.ndarray) -> float:
    # infinite values have a rank, so ranks are taken first; NaN where there is but one value
    a, b = scipy.stats.rankdata(x), scipy.stats.rankdata(y)
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) > 0 and np.ptp(b) > 0 else float("nan")


def relation(x: Sequence[float], y: Sequence[float], *, draws: int = DRAWS, seed: int = 0) -> Relation:
    """Rank correlation of two numbers of designs, with its interval.

    Args:
        x: one number a design; infinity is the largest.
        y: another.
        draws: of designs with repetition, behind the interval.
        seed: of these draws.

    Raises:
        CktatError: the two are not of the same designs, or are of fewer than 4.

    Example:
        >>> relation([1, 2, 3, 4], [1, 8, 27, 64]).rho
        1.0
    """
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if a.shape != b.shape or a.ndim != 1:
        raise CktatError(f"a rank correlation is of two numbers of the same designs, not of {a.shape} and {b.shape}")
    if len(a) < FEWEST or np.isnan(a).any() or np.isnan(b).any():
        raise CktatError(f"a rank correlation needs {FEWEST} designs with both numbers at least; here are {len(a)}")
    whole = _rho(a, b)
    if np.isnan(whole):
        return Relation(None, None, None, None, None, len(a))
    picks = np.random.default_rng(seed).integers(0, len(a), (draws, len(a)))
    drawn = [found for pick in picks if not np.isnan(found := _rho(a[pick], b[pick]))]
    low, high = (float(end) for end in np.quantile(drawn, (0.025, 0.975)))
    without = [_rho(np.delete(a, i), np.delete(b, i)) for i in range(len(a))]
    without = [found for found in without if not np.isnan(found)]
    return Relation(round(whole, 12), low, high, min(without, default=None), max(without, default=None), len(a))


def foretold(axes: Sequence[Sequence[float]], reached: Sequence[float]) -> float | None:
    """How much better a plane over the axes foretells a design that it has not seen than the others' mean does.

    It is 1 less the ratio of squared errors: 1 is perfect, 0 no better, below 0 worse; None where there are too few designs for
    a plane, or an axis is infinite.

    Args:
        axes: for each design its numbers, all finite.
        reached: what is foretold.
    """
    x, y = np.asarray(axes, dtype=float), np.asarray(reached, dtype=float)
    if len(y) < x.shape[1] + 3 or not np.isfinite(x).all() or np.ptp(y) == 0:
        return None
    plane, mean = [], []
    for i in range(len(y)):
        others = np.arange(len(y)) != i
        inputs = np.column_stack([x[others], np.ones(int(others.sum()))])
        found = np.linalg.lstsq(inputs, y[others], rcond=None)[0]
        plane.append(y[i] - np.append(x[i], 1.0) @ found)
        mean.append(y[i] - y[others].mean())
    return float(1 - np.square(plane).sum() / np.square(mean).sum())
