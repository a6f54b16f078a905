"""A grid: runs that are asked for, what they need, and what of it is left to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cktat.api.configure import configure
from cktat.api.records import identity_of
from cktat.api.store import Store
from cktat.data import Dataset
from cktat.designs import make
from cktat.errors import CktatError
from cktat.evaluation import CLEAN, ResultRow, known_attacks
from cktat.grid.evidence import Evidence
from cktat.grid.execute import GridOutcome, execute
from cktat.grid.graph import Asked, Measurement, graph
from cktat.grid.tasks import Key, Task
from cktat.runs import RunConfig
from cktat.runs.config import Threat


class Grid:
    """Runs on one data set, in one store, and the measurements that are wanted of them.

    records: a folder of exported records, whose results count as measured. Raises CktatError for attacks that there are not,
    for too many test images and for an edited record.
    """

    def __init__(
        self, asked: Sequence[Asked], data: Dataset, store: str | Path | None, records: Path | None = None
    ) -> None:
        self.asked, self.data, self.store, self.records = tuple(asked), data, Store(store), records
        for measurement in {m for one in asked for m in one.measurements}:
            known_attacks(measurement.attacks)
            if not 1 <= self.images(measurement) <= len(data.test):
                raise CktatError(
                    f"cannot measure {measurement.images} images: the test set of {data.name!r} has {len(data.test)}"
                )
        self.runs = graph((one.config for one in asked), data)
        self.balls = {one.label: one.ball for one in asked}
        self.identities = {
            one.label: identity_of(one.config, data, make(one.config.design, **one.config.set)) for one in asked
        }
        self.labels = {identity: str(run) for identity, run in self.runs.items()} | {
            identity: label for label, identity in reversed(self.identities.items())
        }

    def images(self, measurement: Measurement) -> int:
        return len(self.data.test) if measurement.images is None else measurement.images

    def evidence(self) -> Evidence:
        """What is measured by now."""
        return Evidence(self.store, self.records)

    def result(self, evidence: Evidence, label: str, measurement: Measurement, attack: str) -> ResultRow | None:
        """One result of a run that is asked for: see `Evidence.result`."""
        identity, ball = self.identities[label], self.balls[label]
        return evidence.result(identity, measurement.weights, attack, self.images(measurement), ball)

    def left(self) -> tuple[list[Task], dict[Key, str]]:
        """What is to be trained and measured, in an order that the needs allow; and why measurements cannot be used that
        are there, by their files' names."""
        evidence, faults, left = self.evidence(), dict[Key, str](), dict[Key, Task]()

        def train(identity: str) -> tuple[Key, ...]:
            if evidence.finished(identity):
                return ()
            key: Key = (identity, None)
            if key not in left:
                needs = tuple(need for of in self.runs[identity].needs for need in train(of))
                left[key] = self._task(key, needs, self.runs[identity].root)
            return (key,)

        for one in self.asked:
            identity = self.identities[one.label]
            for measurement in one.measurements:
                key: Key = (identity, measurement)
                try:
                    found = [self.result(evidence, one.label, measurement, a) for a in (CLEAN, *measurement.attacks)]
                    if None in found and key not in left:
                        left[key] = self._task(key, train(identity), one.config, one.ball)
                except CktatError as error:
                    faults[key] = str(error)
        return list(left.values()), faults

    def run(
        self,
        *,
        jobs: int = 1,
        on: str = "here",
        stop_after: float | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> GridOutcome:
        """Does what is left. A second call, from here or elsewhere, goes on where the first one ended."""
        left, faults = self.left()
        for key, fault in faults.items():
            say(f"{self.labels[key[0]]}: {fault}")
        outcome = execute(left, jobs=jobs, on=on, stop_after=stop_after, say=say)
        return GridOutcome(faults | outcome.failures, outcome.stopped)

    def _task(self, key: Key, needs: tuple[Key, ...], root: RunConfig, ball: Threat | None = None) -> Task:
        where = str(self.store.root.resolve())
        return Task(key, self.labels[key[0]], needs, root, self.data.fingerprint, where, ball)


def configured(asked: Sequence[tuple[str, dict[str, Any], tuple[Measurement, ...]]]) -> tuple[list[Asked], Dataset]:
    """Runs that are asked for by label and options (those of `configure`, with the same data for all), and their data.

    All are measured at one radius, the one given or else the data's, also where authors train at another.
    """
    data: Dataset | None = None
    found = []
    for label, options, measurements in asked:
        config, data = configure(data, **options)
        found.append(Asked(label, config, measurements, data.eps if options.get("eps") is None else None))
    if data is None:
        raise CktatError("a grid needs at least one run")
    return found, data
