"""What the grid of conditions says: where second features are left unlearned, and whether Eq. 11 foretells it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
import torch
from torch import Tensor

from cktat.evaluation import Spread, spread
from cktat.paper.experiments.measure import LEARNED
from cktat.paper.experiments.regime import ADVERSARIAL
from cktat.paper.experiments.summary import says
from cktat.paper.theory import Terms, rise

ConditionRows = np.ndarray[Any, Any]

DRAWS = 2000
"""Of conditions, with replacement, for intervals."""


@dataclass(frozen=True, eq=False)
class Fates:
    """Of every seed and class of a condition [S, k], bool. known: clean training learned both features. left: and adversarial
    training one of them alone. lost: and neither. gained: adversarial training learned both, clean training did not.
    rise: Eq. 11 with measured terms [S, k]: above 0 where the second feature would raise the robust error."""

    known: Tensor
    left: Tensor
    lost: Tensor
    gained: Tensor
    rise: Tensor

    def share(self, name: str) -> list[float]:
        """Share of classes, for each seed."""
        return [float(v) for v in getattr(self, name).double().mean(dim=1)]


def fates(record: dict[str, Any]) -> Fates:
    """From a condition's record. Eq. 11 takes a and k1 D of that feature of which the adversarially trained network has more,
    and k2 D / a of the other from the clean network: a new feature's mixture has not been purified."""
    clean, clean_terms = _read(record, "standard")
    adversarial, adversarial_terms = _read(record, ADVERSARIAL)
    both, both_clean, one = adversarial.all(dim=2), clean.all(dim=2), adversarial.any(dim=2)
    a = adversarial_terms.a
    first = a.argmax(dim=2, keepdim=True)
    expected = rise(
        a.gather(2, first)[..., 0], adversarial_terms.taken.gather(2, first)[..., 0],
        clean_terms.share.gather(2, 1 - first)[..., 0], record["condition"]["mu"],
    )  # fmt: skip
    return Fates(both_clean, both_clean & one & ~both, both_clean & ~one, both & ~both_clean, expected)


def _read(record: dict[str, Any], design: str) -> tuple[Tensor, Terms]:
    found = [seed[design] for seed in record["seeds"]]
    accuracy, a, taken = (torch.tensor([f[name] for f in found]) for name in ("accuracy", "a", "taken"))
    return accuracy > LEARNED, Terms(a, taken)


def over(records: Sequence[dict[str, Any]], name: str) -> Spread | None:
    """Share of classes with a fate: mean over conditions of each seed, then over seeds."""
    shares = np.array([fates(record).share(name) for record in records])
    return spread(shares.mean(axis=0).tolist()) if len(shares) else None


def missing(record: dict[str, Any]) -> Spread | None:
    """Classes with both features learned by clean training, less those by adversarial training, over seeds."""
    found = fates(record)
    pairs = zip(found.share("left"), found.share("lost"), found.share("gained"), strict=True)
    return spread([left + lost - gained for left, lost, gained in pairs])


def verdict(record: dict[str, Any]) -> str:
    """Whether adversarial training misses more second features than clean training here: holds, opposite or undecided."""
    found = missing(record)
    return says(found) if found else "undecided"


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval (percentiles of redrawn conditions); None where there is nothing to say."""

    value: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        return "none" if self.value is None else f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def redrawn(statistic: Callable[[ConditionRows], float], conditions: int, draws: int = DRAWS) -> Estimate:
    """statistic: of row numbers, NaN where there is none. Whole conditions are redrawn, since the seeds and classes of one are
    not independent."""
    random = np.random.default_rng(0)
    values = np.array([statistic(random.integers(conditions, size=conditions)) for _ in range(draws)])
    known, value = values[~np.isnan(values)], statistic(np.arange(conditions))
    if np.isnan(value) or not len(known):
        return Estimate(None, None, None)
    low, high = np.percentile(known, (2.5, 97.5))
    return Estimate(float(value), float(low), float(high))


@dataclass(frozen=True)
class Foretold:
    """How well Eq. 11 foretells. rank: Spearman's correlation of the mean rise of a condition with the share of classes of
    which the second feature is left. table: classes (foretold and left, foretold only, left only, neither). found: of classes
    left, the share that was foretold. alarms: of classes not left, the share that was foretold. skill: found less alarms, 0 for
    guessing and 1 for perfect. Of classes of which clean training learned both features and adversarial training one at least.
    """

    rank: Estimate
    table: tuple[int, int, int, int]
    found: Estimate
    alarms: Estimate
    skill: Estimate


def foretold(records: Sequence[dict[str, Any]]) -> Foretold:
    """Eq. 11's condition, rise >= 0, against what was left."""
    counts, rises, shares = [], [], []
    for record in records:
        f = fates(record)
        judged = f.known & ~f.lost
        says_so = f.rise >= 0
        cells = (says_so & f.left, says_so & ~f.left, ~says_so & f.left, ~says_so & ~f.left)
        counts.append([int((cell & judged).sum()) for cell in cells])
        some = bool(judged.any())
        rises.append(float(f.rise[judged].mean()) if some else np.nan)
        shares.append(float(f.left[judged].double().mean()) if some else np.nan)
    table, rise_of, share_of = np.array(counts), np.array(rises), np.array(shares)

    def rank(rows: ConditionRows) -> float:
        a, b = rise_of[rows], share_of[rows]
        known = ~np.isnan(a)
        if len(set(a[known])) < 2 or len(set(b[known])) < 2:
            return float("nan")
        return float(scipy.stats.spearmanr(a[known], b[known]).statistic)

    def found(rows: ConditionRows) -> float:
        hit, _, miss, _ = table[rows].sum(axis=0)
        return float(hit / (hit + miss)) if hit + miss else float("nan")

    def alarms(rows: ConditionRows) -> float:
        _, false, _, quiet = table[rows].sum(axis=0)
        return float(false / (false + quiet)) if false + quiet else float("nan")

    n = len(records)
    hit, false, miss, quiet = (int(v) for v in table.sum(axis=0))
    skill = redrawn(lambda rows: found(rows) - alarms(rows), n)
    return Foretold(redrawn(rank, n), (hit, false, miss, quiet), redrawn(found, n), redrawn(alarms, n), skill)
