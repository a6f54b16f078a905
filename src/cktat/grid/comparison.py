"""Designs side by side: each trained with several seeds and attacked, and the table of means and spreads."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from cktat.designs import make
from cktat.errors import CktatError
from cktat.evaluation import CLEAN, spread
from cktat.grid.evidence import BEST_AND_LAST, results
from cktat.grid.graph import Measurement
from cktat.grid.grid import Grid, configured
from cktat.pages.text import mean_sd
from cktat.runs import Stopped, assignment, device_of, precision_of


@dataclass(frozen=True)
class DesignEntry:
    """A design with its hyper-parameters, as written: `trades`, or `cktat tau=1 beta=1`; trained in `precision`, None for
    what the device supports."""

    text: str
    design: str
    set: dict[str, Any]
    precision: str | None = None

    @classmethod
    def read(cls, text: str) -> DesignEntry:
        """Raises CktatError for an unknown design or parameter."""
        words = shlex.split(text)
        if not words:
            raise CktatError("a design to compare is empty; write a name, or 'cktat tau=1 beta=1'")
        hyper = dict(assignment(word) for word in words[1:])
        make(words[0], **hyper)
        return cls(text, words[0], hyper)

    def trained_in(self, precision: str) -> DesignEntry:
        """The same in this precision. Raises CktatError for an unknown one."""
        precision = precision_of(precision, device_of("auto"))
        return replace(self, text=f"{self.text}, {precision}", precision=precision)


@dataclass(frozen=True)
class Comparison:
    """Every entry, with seeds 0, 1, ... `seeds` - 1, under every attack, best and last weights.

    options: of `cktat.train`, the same for all. test_images: the first so many; None is all. store: where the runs lie.
    """

    entries: tuple[DesignEntry, ...]
    seeds: int
    attacks: tuple[str, ...]
    options: dict[str, Any]
    test_images: int | None = None
    store: str | Path | None = None

    @cached_property
    def grid(self) -> Grid:
        """The runs of all entries and seeds. Raises CktatError for unknown attacks, and options that make no sense."""
        measurements = tuple(Measurement(weights, self.attacks, self.test_images) for weights in BEST_AND_LAST)
        return Grid(
            *configured(
                [
                    (_label(entry, seed), self._options(entry, seed), measurements)
                    for seed in range(self.seeds)
                    for entry in self.entries
                ]
            ),
            self.store,
        )

    def run(self, jobs: int, say: Callable[[str], None]) -> list[str]:
        """Trains and measures what is not there yet; returns a line for each run that failed.

        jobs: so many processes, 1 works in this process. The same call goes on where an earlier one stopped. Raises Stopped
        when asked to stop.
        """
        outcome = self.grid.run(jobs=jobs, say=say)
        if outcome.stopped:
            raise Stopped(f"{outcome.stopped}; the same command goes on")
        why = {identity: text for (identity, _), text in reversed(outcome.failures.items())}
        failed = {label: why[identity] for label, identity in self.grid.identities.items() if identity in why}
        return [f"{label}: {text}" for label, text in failed.items()]

    def table(self) -> list[tuple[str, ...]]:
        """Header and rows: design, weights, number of runs, accuracy in % as mean ± standard deviation over seeds, median
        seconds per epoch. Read from the runs' files; what was not measured stays empty."""
        columns, found, evidence = (CLEAN, *self.attacks), self._accuracies(), self.grid.evidence()
        lines: list[tuple[str, ...]] = [("design", "weights", "n", *columns, "s/epoch")]
        for entry in self.entries:
            known = [evidence.about(self._identity(entry, seed)) for seed in range(self.seeds)]
            seconds = [line["seconds"] for about in known for line in about.get("history", ())]
            for weights in BEST_AND_LAST:
                values = [
                    [v for seed in range(self.seeds) if (v := found(entry, seed, weights, a)) is not None]
                    for a in columns
                ]
                means = [mean_sd(spread(seeds)) for seeds in values]
                pace = f"{statistics.median(seconds):.2f}" if seconds and weights == "best" else ""
                n = str(max(map(len, values)))
                lines.append((entry.text if weights == "best" else "", weights, n, *means, pace))
        return lines

    def record(self) -> list[dict[str, Any]]:
        """What stands behind the table, one record per run: configuration, commit, versions, hardware, log, and every result
        with its interval, its protocol and which images were right. JSON values."""
        evidence, found = self.grid.evidence(), []
        for entry in self.entries:
            for identity in (self._identity(entry, seed) for seed in range(self.seeds)):
                if about := evidence.about(identity):
                    rows = [row.recorded() for row in results(evidence.folders[identity])]
                    found.append(about | {"design": entry.text, "results": rows})
        return found

    def differences(self) -> list[tuple[str, ...]]:
        """Header and rows: for a design in two precisions, the second's accuracy minus the first's, in points of a
        hundred, for each seed and as mean ± standard deviation. A seed that lacks one of the two stays empty."""
        lines: list[tuple[str, ...]] = [
            ("difference", "weights", "attack", *(f"seed {seed}" for seed in range(self.seeds)), "mean")
        ]
        found = self._accuracies()
        for one, other in zip(self.entries, self.entries[1:], strict=False):
            if (one.design, one.set) != (other.design, other.set) or one.precision == other.precision:
                continue
            for weights in BEST_AND_LAST:
                for name in (CLEAN, *self.attacks):
                    pairs = [
                        [found(entry, seed, weights, name) for entry in (one, other)] for seed in range(self.seeds)
                    ]
                    points = [None if a is None or b is None else b - a for a, b in pairs]
                    cells = ["" if difference is None else f"{difference:+.1f}" for difference in points]
                    mean = mean_sd(spread([point for point in points if point is not None]), signed=True)
                    title = f"{other.text} - {one.precision}" if (weights, name) == ("best", CLEAN) else ""
                    lines.append((title, weights if name == CLEAN else "", name, *cells, mean))
        return lines

    def _accuracies(self) -> Callable[[DesignEntry, int, str, str], float | None]:
        """Of an entry, a seed, the weights and an attack: the accuracy in %, None if it was not measured."""
        evidence = self.grid.evidence()

        def accuracy(entry: DesignEntry, seed: int, weights: str, attack: str) -> float | None:
            wanted = Measurement(weights, self.attacks, self.test_images)
            found = self.grid.result(evidence, _label(entry, seed), wanted, attack)
            return None if found is None else 100 * found.accuracy

        return accuracy

    def _options(self, entry: DesignEntry, seed: int) -> dict[str, Any]:
        own = {} if entry.precision is None else {"precision": entry.precision}
        return {"design": entry.design, "set": entry.set, "seed": seed, **self.options, **own}

    def _identity(self, entry: DesignEntry, seed: int) -> str:
        return self.grid.identities[_label(entry, seed)]


def _label(entry: DesignEntry, seed: int) -> str:
    return f"{entry.text}, seed {seed}"
