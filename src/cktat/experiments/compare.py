"""Designs side by side: each trained with several seeds and attacked, and the table of means and spreads."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from cktat.attacks import named
from cktat.designs import make
from cktat.errors import CktatError
from cktat.evaluation import CLEAN
from cktat.evaluation.table import results_of
from cktat.experiments.api import evaluate, train
from cktat.experiments.configure import configure
from cktat.experiments.runs import identity_of
from cktat.experiments.store import Store
from cktat.training import RunFolder, device_of, precision_of


@dataclass(frozen=True)
class Entry:
    """A design with its hyper-parameters, as written: `trades`, or `cktat tau=1 beta=1`; trained in `precision`, None for
    what the device supports."""

    text: str
    design: str
    set: dict[str, Any]
    precision: str | None = None

    @classmethod
    def read(cls, text: str) -> Entry:
        """Raises CktatError for an unknown design or parameter."""
        words = shlex.split(text)
        if not words:
            raise CktatError("a design to compare is empty; write a name, or 'cktat tau=1 beta=1'")
        hyper = dict(assignment(word) for word in words[1:])
        make(words[0], **hyper)
        return cls(text, words[0], hyper)

    def trained_in(self, precision: str) -> Entry:
        """The same in this precision. Raises CktatError for an unknown one."""
        precision = precision_of(precision, device_of("auto"))
        return replace(self, text=f"{self.text}, {precision}", precision=precision)


def assignment(text: str) -> tuple[str, Any]:
    """Name and value of NAME=VALUE, the value read as YAML. Raises CktatError for other text."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise CktatError(f"{text!r} must be NAME=VALUE, such as tau=3")
    key = name.strip().replace("-", "_")
    try:
        found = yaml.safe_load(value)
        return key, float(value) if isinstance(found, str) else found  # YAML takes 1e-3 for text
    except (yaml.YAMLError, ValueError):
        return key, value


@dataclass(frozen=True)
class Comparison:
    """Every entry, with seeds 0, 1, ... `seeds` - 1, under every attack, best and last weights.

    options: of `cktat.train`, the same for all. test_images: the first so many; None is all. store: where the runs lie.
    """

    entries: tuple[Entry, ...]
    seeds: int
    attacks: tuple[str, ...]
    options: dict[str, Any]
    test_images: int | None = None
    store: str | Path | None = None

    def run(self, jobs: int, say: Callable[[str], None]) -> list[str]:
        """Trains and measures what is not there yet; returns a line for each run that failed.

        jobs: so many processes of one thread each; 1 works in this process. A network that several need is trained by the
        first that comes, and the others wait at its folder's lock. The same call goes on where an earlier one stopped.
        """
        for name in self.attacks:
            named(name)
        tasks = [(entry, seed) for seed in range(self.seeds) for entry in self.entries]
        failures: list[str] = []

        def note(entry: Entry, seed: int, failure: str | None) -> None:
            text = f"{entry.text}, seed {seed}: {failure or 'done'}"
            say(text)
            failures.extend([text] if failure else [])

        if jobs == 1:
            for entry, seed in tasks:
                note(entry, seed, self.work(entry, seed))
            return failures
        with _one_thread(), ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
            futures = {pool.submit(self.work, *task): task for task in tasks}
            for future in as_completed(futures):
                note(*futures[future], future.result())
        return failures

    def work(self, entry: Entry, seed: int) -> str | None:
        """One run, trained and measured; returns why it failed, if it did."""
        try:
            run = train(store=self.store, ensure=True, show=False, **self._options(entry, seed))
            for pick in ("best", "last"):
                evaluate(
                    run, self.attacks, weights=pick, examples=self.test_images, batch_size=500, show=False, draw=False
                )
        except CktatError as error:  # one run that fails leaves the others running; its cell says so
            return str(error)
        return None

    def table(self) -> list[tuple[str, ...]]:
        """Header and rows: design, weights, number of runs, accuracy in % as mean ± standard deviation over seeds, median
        seconds per epoch. Read from the runs' files; what was not measured stays empty."""
        columns = (CLEAN, *self.attacks)
        lines: list[tuple[str, ...]] = [("design", "weights", "n", *columns, "s/epoch")]
        for entry in self.entries:
            runs = [run for seed in range(self.seeds) if (run := self._find(entry, seed))]
            seconds = [line["seconds"] for run in runs for line in run.history()]
            for pick in ("best", "last"):
                measured = [results for run in runs if (results := results_of(run, pick))]
                cells = [_mean([100 * found[name].accuracy for found in measured if name in found]) for name in columns]
                pace = f"{statistics.median(seconds):.2f}" if seconds and pick == "best" else ""
                lines.append((entry.text if pick == "best" else "", pick, str(len(measured)), *cells, pace))
        return lines

    def record(self) -> list[dict[str, Any]]:
        """What stands behind the table, one record per run: configuration, commit, versions, hardware, seconds per epoch,
        and every result with its interval, its protocol and which images were right. JSON values."""
        records = []
        for entry in self.entries:
            for seed in range(self.seeds):
                run = self._find(entry, seed)
                if run is None:
                    continue
                there = run.read()
                about = {
                    key: there.get(key) for key in ("identity", "config", "commit", "versions", "hardware", "inputs")
                }
                results = [
                    {"weights": pick, "attack": name, "correct": found.correct, "images": found.images}
                    | {"interval": found.interval, "protocol": found.protocol, "robust": found.robust}
                    for pick in ("best", "last")
                    for name, found in results_of(run, pick).items()
                ]
                seconds = [line["seconds"] for line in run.history()]
                records.append(
                    {"design": entry.text, "seed": seed} | about | {"seconds_per_epoch": seconds, "results": results}
                )
        return records

    def differences(self) -> list[tuple[str, ...]]:
        """Header and rows: for a design in two precisions, the second's accuracy minus the first's, in points of a
        hundred, for each seed and as mean ± standard deviation. A seed that lacks one of the two stays empty."""
        lines: list[tuple[str, ...]] = [
            ("difference", "weights", "attack", *(f"seed {seed}" for seed in range(self.seeds)), "mean")
        ]
        for one, other in zip(self.entries, self.entries[1:], strict=False):
            if (one.design, one.set) != (other.design, other.set) or one.precision == other.precision:
                continue
            runs = [[self._find(entry, seed) for entry in (one, other)] for seed in range(self.seeds)]
            for pick in ("best", "last"):
                measured = [[results_of(run, pick) if run else {} for run in pair] for pair in runs]
                for name in (CLEAN, *self.attacks):
                    points = [
                        100 * (pair[1][name].accuracy - pair[0][name].accuracy)
                        if all(name in of for of in pair)
                        else None
                        for pair in measured
                    ]
                    cells = ["" if difference is None else f"{difference:+.1f}" for difference in points]
                    mean = _mean([difference for difference in points if difference is not None], "+")
                    title = f"{other.text} - {one.precision}" if (pick, name) == ("best", CLEAN) else ""
                    lines.append((title, pick if name == CLEAN else "", name, *cells, mean))
        return lines

    def _options(self, entry: Entry, seed: int) -> dict[str, Any]:
        own = {} if entry.precision is None else {"precision": entry.precision}
        return {"design": entry.design, "set": entry.set, "seed": seed, **self.options, **own}

    def _find(self, entry: Entry, seed: int) -> RunFolder | None:
        config, data = configure(**self._options(entry, seed))
        return Store(self.store).find(identity_of(config, data, make(config.design, **config.set)))


@contextmanager
def _one_thread() -> Iterator[None]:
    # Read by processes when they start: two of one thread do more than one of two, and never wait for each other.
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        os.environ.pop("OMP_NUM_THREADS")
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


def _mean(values: Sequence[float], sign: str = "") -> str:
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):{sign}.1f}{spread}"
