"""Designs side by side: each trained with several seeds and attacked, and the table of means and spreads."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
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
from cktat.training import RunFolder


@dataclass(frozen=True)
class Entry:
    """A design with its hyper-parameters, as written: `trades`, or `cktat tau=1 beta=1`."""

    text: str
    design: str
    set: dict[str, Any]

    @classmethod
    def read(cls, text: str) -> Entry:
        """Raises CktatError for an unknown design or parameter."""
        words = shlex.split(text)
        if not words:
            raise CktatError("a design to compare is empty; write a name, or 'cktat tau=1 beta=1'")
        hyper = dict(assignment(word) for word in words[1:])
        make(words[0], **hyper)
        return cls(text, words[0], hyper)


def assignment(text: str) -> tuple[str, Any]:
    """Name and value of NAME=VALUE, the value read as YAML. Raises CktatError for other text."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise CktatError(f"{text!r} must be NAME=VALUE, such as tau=3")
    key = name.strip().replace("-", "_")
    try:
        return key, float(value) if isinstance(found := yaml.safe_load(value), str) else found  # YAML takes 1e-3 for text
    except (yaml.YAMLError, ValueError):
        return key, value


def compare(
    entries: Sequence[Entry],
    seeds: int,
    attacks: Sequence[str],
    options: dict[str, Any],
    store: str | Path | None,
    *,
    jobs: int = 1,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Trains and attacks, best and last weights, what is not there yet; returns a line for each that failed.

    jobs: so many processes of one thread each; 1 works in this process. A network that several need is trained by the
    first that comes, and the others wait at its folder's lock. The same call goes on where an earlier one stopped.
    """
    for name in attacks:
        named(name)
    tasks = [(entry, options | {"seed": seed}, tuple(attacks), store) for seed in range(seeds) for entry in entries]
    failures: list[str] = []

    def note(task: tuple[Entry, dict[str, Any], tuple[str, ...], str | Path | None], failure: str | None) -> None:
        text = f"{task[0].text}, seed {task[1]['seed']}"
        say(f"{text}: {failure or 'done'}")
        failures.extend([f"{text}: {failure}"] if failure else [])

    if jobs == 1:
        for task in tasks:
            note(task, _work(*task))
        return failures
    threads = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"  # read by the processes when they start
    try:
        with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
            futures = {pool.submit(_work, e, o | {"threads": 1}, a, s): (e, o, a, s) for e, o, a, s in tasks}
            for future in as_completed(futures):
                note(futures[future], future.result())
    finally:
        if threads is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = threads
    return failures


def _work(entry: Entry, options: dict[str, Any], attacks: tuple[str, ...], store: str | Path | None) -> str | None:
    try:
        run = train(entry.design, set=entry.set, store=store, ensure=True, show=False, **options)
        for pick in ("best", "last"):
            evaluate(run, attacks, weights=pick, show=False)
    except CktatError as error:  # one run that fails leaves the others running; its cell says so
        return str(error)
    return None


def table(
    entries: Sequence[Entry], seeds: int, attacks: Sequence[str], options: dict[str, Any], store: str | Path | None
) -> list[tuple[str, ...]]:
    """Header and rows: design, weights, runs, mean +- standard deviation over seeds in % per attack, seconds per epoch.

    Read from the runs' files; what was not measured stays empty.
    """
    where = Store(store)
    lines: list[tuple[str, ...]] = [("design", "weights", "n", *(name for name in (CLEAN, *attacks)), "s/epoch")]
    for entry in entries:
        runs = [run for seed in range(seeds) if (run := _find(where, entry, options | {"seed": seed}))]
        seconds = [line["seconds"] for run in runs for line in run.history()]
        for pick in ("best", "last"):
            measured = [results for run in runs if (results := results_of(run, pick))]
            cells = [
                _mean([100 * results[name].accuracy for results in measured if name in results])
                for name in (CLEAN, *attacks)
            ]
            pace = f"{statistics.median(seconds):.2f}" if seconds and pick == "best" else ""
            lines.append((entry.text if pick == "best" else "", pick, str(len(measured)), *cells, pace))
    return lines


def _find(store: Store, entry: Entry, options: dict[str, Any]) -> RunFolder | None:
    config, data = configure(design=entry.design, set=entry.set, **options)
    return store.find(identity_of(config, data, make(config.design, **config.set)))


def _mean(values: Sequence[float]) -> str:
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{spread}"
