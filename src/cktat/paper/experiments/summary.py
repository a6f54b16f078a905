"""Means and spreads over seeds, and what they say of each claim."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cktat.evaluation import Spread, spread
from cktat.paper.experiments.setting import CLEAN, Condition, ExperimentSetting

Record = dict[str, Any]
Value = Callable[[Record], float | None]


@dataclass(frozen=True)
class ExperimentVerdict:
    """A claim, where, the difference over paired seeds, and whether its 95 % interval is above 0, below or holds it."""

    claim: str
    condition: str
    difference: Spread
    says: str


class Summary:
    """All records of an experiment, asked by design and condition."""

    def __init__(self, setting: ExperimentSetting, records: Sequence[Record]) -> None:
        self.setting = setting
        self._by = {(r["design"], r["condition_text"], r["seed"]): r for r in records}

    def records(self, design: str, condition: Condition) -> list[Record]:
        """One for each seed that is there."""
        by_seed = (self._by.get((design, str(condition), seed)) for seed in range(self.setting.seeds))
        return [record for record in by_seed if record is not None]

    def spread(self, design: str, condition: Condition, value: Value) -> Spread | None:
        """Over the seeds for which there is a value."""
        return spread([v for r in self.records(design, condition) if (v := value(r)) is not None])

    def difference(self, design: str, other: str, condition: Condition, value: Value) -> Spread | None:
        """Design minus other, seed by seed."""
        theirs = {r["seed"]: value(r) for r in self.records(other, condition)}
        pairs = [(value(r), theirs.get(r["seed"])) for r in self.records(design, condition)]
        return spread([a - b for a, b in pairs if a is not None and b is not None])

    def verdicts(self) -> list[ExperimentVerdict]:
        """Every claim that is a difference, in every condition where both designs were trained."""
        guided = [d for d in self.setting.designs if d.split()[0] == "cktat"]
        claims = [(CLEAN, "pgd_at", "both clean"), (CLEAN, "pgd_at", "single clean"), (CLEAN, "trades", "both clean")]
        for design in guided:
            claims += [
                (design, "pgd_at", key) for key in ("both clean", "single clean", "both attacked", "single attacked")
            ]
            claims += [(design, "trades", "single attacked")]
        found = []
        for design, other, key in claims:
            for condition in self.setting.conditions:
                if difference := self.difference(design, other, condition, measure(key)):
                    found.append(
                        ExperimentVerdict(
                            f"{key}: {design} above {other}", str(condition), difference, says(difference)
                        )
                    )
        return found


def says(difference: Spread) -> str:
    """holds, fails (the opposite is seen) or undecided."""
    if difference.half is None:
        return "undecided (one seed)"
    if difference.deviation == 0:
        return "no difference" if difference.mean == 0 else ("holds" if difference.mean > 0 else "opposite")
    if abs(difference.mean) <= difference.half:
        return "undecided"
    return "holds" if difference.mean > 0 else "opposite"


def measure(key: str) -> Value:
    """The value of a record that `measured` holds under a key."""
    return lambda record: record["measured"][key]


def mixture(key: str) -> Value:
    """The value of a record that `mixtures` holds under a key, None where nothing was learned."""
    return lambda record: record["mixtures"][key]


def one_first(record: Record) -> float | None:
    """Lemma B.1: the share of classes of which one feature was learned in an earlier epoch than the other, or alone."""
    known = [pair for pair in record["learned_after"] if any(epoch is not None for epoch in pair)]
    return sum(a != b for a, b in known) / len(known) if known else None


def first_epoch(record: Record) -> float | None:
    """Mean epoch after which a class has learned its first feature."""
    known = [
        min(e for e in pair if e is not None) for pair in record["learned_after"] if any(e is not None for e in pair)
    ]
    return statistics.fmean(known) if known else None


def gap(record: Record) -> float | None:
    """Mean epochs from the first feature to the second, of classes that learned both."""
    known = [abs(a - b) for a, b in record["learned_after"] if a is not None and b is not None]
    return statistics.fmean(known) if known else None


def summarise(setting: ExperimentSetting, records: Sequence[Record]) -> Summary:
    return Summary(setting, records)
