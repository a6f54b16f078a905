"""Whether one network, or one way of training, is more accurate than another on the same images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from cktat.errors import CktatError
from cktat.evaluation.statistics import Spread, spread


@dataclass(frozen=True)
class Paired:
    """What `compare_pair` found: the accuracy of the first less that of the second, in [-1, 1].

    low, high: its 95 % interval. p: probability of a difference at least as large, were there none. by_seed: the difference
    of each seed. only_first, only_second: images that one alone classifies rightly, summed over seeds.
    """

    difference: float
    low: float
    high: float
    p: float
    images: int
    by_seed: tuple[float, ...]
    only_first: int
    only_second: int

    @property
    def seeds(self) -> int:
        return len(self.by_seed)

    @property
    def spread(self) -> Spread:
        """Over seeds, of the paired differences; its interval leaves the choice of images out of account."""
        found = spread(self.by_seed)
        assert found is not None
        return found

    @property
    def significant(self) -> bool:
        """p < 0.05, of this comparison alone: see `holm` for many."""
        return self.p < 0.05


def compare_pair(first: str | Sequence[str], second: str | Sequence[str]) -> Paired:
    """Compares two networks, or two ways of training with several seeds, on the same images in the same order.

    first, second: flags as in `Result.robust`, one character per image, "1" where it is classified rightly; a list of them
    for several seeds, the same seeds in the same order. Raises CktatError if they do not fit each other.

    One seed: of these two networks. McNemar's exact test, the binomial one on images that one network alone classifies
    rightly, and the interval of Bonett & Price (J. Educ. Behav. Stat. 37, 2012), for which each network wins one image more.

    Several seeds: of the two ways of training, on other images and with other seeds. Pooling the images of all seeds would
    count an image as often as there are seeds, though networks tend to fail on the same ones; a t-test over seeds alone
    would take these test images for all there are. So images and seeds are both random and crossed, as cases and readers are
    in diagnostic trials: the flags' differences are a mean + a share of the seed + one of the image + a rest, whose
    variances come from the two-way analysis of variance, and the mean is tested with Student's t with Satterthwaite's
    degrees of freedom (Hillis, Stat. Med. 26, 2007, for one difference). No variance is taken to be negative, which errs
    toward "not significant" (as do few seeds), and each side wins one image more, as above, in every seed.

    Example:
        >>> found = compare_pair("1" * 90 + "0" * 10, "1" * 60 + "0" * 40)
        >>> round(found.difference, 2), found.significant
        (0.3, True)
    """
    rows = _flags(first), _flags(second)
    if rows[0].shape != rows[1].shape:
        sizes = " and ".join(f"{len(flags)} x {flags.shape[1]}" for flags in rows)
        raise CktatError(f"only flags of the same seeds and images can be compared, not {sizes} (seeds x images)")
    difference = rows[0] - rows[1]  # [S, N] of -1, 0, 1
    seeds, images = difference.shape
    won, lost = int((difference > 0).sum()), int((difference < 0).sum())
    by_seed = tuple(float(value) for value in difference.mean(axis=1))
    middle, deviation, freedom = _crossed(difference) if seeds > 1 else _one(won, lost, images)
    student = scipy.stats.t(freedom)
    p = float(2 * student.sf(abs(middle) / deviation)) if seeds > 1 else mcnemar(won, lost)
    half = float(student.isf(0.025)) * deviation
    low, high = max(middle - half, -1.0), min(middle + half, 1.0)
    return Paired(float(difference.mean()), low, high, p, images, by_seed, won, lost)


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact p, two-sided, of two networks that alone classify so many images rightly (1 if there are none)."""
    images = only_first + only_second
    if min(only_first, only_second) < 0:
        raise CktatError(f"counts of images cannot be negative: {only_first}, {only_second}")
    return float(scipy.stats.binomtest(only_first, images).pvalue) if images else 1.0


def holm(p: Sequence[float]) -> list[float]:
    """Each p corrected for their number (Holm, Scand. J. Stat. 6, 1979): below 0.05 for all is wrong at most once in 20.

    Example:
        >>> holm([0.01, 0.04])
        [0.02, 0.04]
    """
    order = sorted(range(len(p)), key=lambda i: p[i])
    corrected, least = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        least = max(least, min(1.0, (len(p) - rank) * p[i]))
        corrected[i] = least
    return corrected


def _flags(given: str | Sequence[str]) -> np.ndarray:
    rows = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(row, str) for row in rows):
        raise CktatError(f'flags must be text of "0" and "1", as in Result.robust, not {type(rows[0]).__name__}')
    if not rows or not rows[0] or len({len(row) for row in rows}) > 1 or set("".join(rows)) - {"0", "1"}:
        raise CktatError('flags must be of "0" and "1", one for each of the same images in every seed')
    return np.array([[flag == "1" for flag in row] for row in rows], dtype=np.float64)  # [S, N]


def _one(won: int, lost: int, images: int) -> tuple[float, float, float]:
    """Middle, standard deviation and degrees of freedom of the adjusted difference of two networks."""
    middle = (won - lost) / (images + 2)
    return middle, math.sqrt(((won + lost + 2) / (images + 2) - middle**2) / (images + 2)), math.inf


def _crossed(difference: np.ndarray) -> tuple[float, float, float]:
    """The same of two ways of training, from differences [S, N] with S > 1."""
    more = np.ones((len(difference), 1))
    d = np.concatenate([difference, more, -more], axis=1)
    seeds, images = d.shape
    middle, of_seed, of_image = d.mean(), d.mean(axis=1, keepdims=True), d.mean(axis=0, keepdims=True)
    rest = ((d - of_seed - of_image + middle) ** 2).sum() / ((seeds - 1) * (images - 1))
    # mean squares, of which rest is a part: E = rest + N * variance of seeds, and rest + S * variance of images
    from_seeds = max(images * ((of_seed - middle) ** 2).sum() / (seeds - 1), rest)
    from_images = max(seeds * ((of_image - middle) ** 2).sum() / (images - 1) - rest, 0.0)
    total = from_seeds + from_images
    freedom = total**2 / (from_seeds**2 / (seeds - 1) + from_images**2 / (images - 1))
    return float(middle), math.sqrt(total / (seeds * images)), float(freedom)
