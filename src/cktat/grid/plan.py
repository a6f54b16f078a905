"""What a grid will do and what it will cost, before anything is done."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from cktat.designs import make
from cktat.errors import CktatError
from cktat.evaluation import CLEAN, result_files
from cktat.grid.cost import forward, of_attack, of_measurement, of_training
from cktat.grid.evidence import BEST_AND_LAST, Evidence
from cktat.grid.graph import GridRun
from cktat.grid.grid import Grid
from cktat.runs import RunFolder, hardware

Pace = dict[tuple[str, str], float]
"""Operations per second of ("training" or "measuring", model), as earlier runs on this hardware had them."""


@dataclass(frozen=True)
class Step:
    """What is left to do of one run, in floating-point operations, and in seconds where the pace is known."""

    run: str
    needs: tuple[str, ...]
    state: str
    training: float
    measuring: float
    seconds: float | None

    def cells(self) -> tuple[str, ...]:
        operations = [flop(value) for value in (self.training, self.measuring)]
        time = "" if self.seconds is None else duration(self.seconds)
        return self.run, ", ".join(self.needs), self.state, *operations, time


COLUMNS = ("run", "needs", "state", "training", "measuring", "time")


def plan(grid: Grid) -> list[Step]:
    """Every run of the grid, each after those it needs, and what is left of it. Nothing is computed but shapes."""
    tasks, _ = grid.left()
    left, evidence = {task.key for task in tasks}, grid.evidence()
    pace = paces(grid, evidence)
    steps = []
    for identity, run in grid.runs.items():
        done = len(evidence.about(identity).get("history", ())) if identity in evidence.folders else 0
        trains = (identity, None) in left
        epochs = run.config.recipe.epochs
        training = of_training(run, grid.data, epochs - done) if trains else 0.0
        wanted = [m for of, m in left if of == identity and m is not None]
        measuring = sum(of_measurement(m, run.config.model, grid.data) for m in wanted)
        state = "finished" if evidence.finished(identity) else f"{done} of {epochs} epochs" if trains else "recorded"
        if trains and not done:
            state = f"{epochs} epochs to do"
        needs = tuple(grid.labels[need] for need in run.needs)
        seconds = _seconds(pace, run.config.model, training, measuring)
        steps.append(Step(grid.labels[identity], needs, state, training, measuring, seconds))
    return steps


def summary(steps: list[Step]) -> str:
    """The sum of a plan in one line."""
    training, measuring = sum(step.training for step in steps), sum(step.measuring for step in steps)
    runs = sum(step.training > 0 for step in steps)
    text = (
        f"{runs} of {len(steps)} runs to train ({flop(training) or 0}), {flop(measuring) or 0} at most to measure them"
    )
    known = [step.seconds for step in steps if step.seconds is not None]
    if len(known) < len(steps):
        return f"{text}; no earlier run on this hardware says how long that takes"
    return f"{text}: about {duration(sum(known))} of one worker, at the pace of earlier runs on this hardware"


def paces(grid: Grid, evidence: Evidence) -> Pace:
    """How fast runs on the same data were on this hardware, in the grid's precision and on a CPU with as many threads.
    Runs that cannot be read are passed over."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run in evidence.folders.values():
        try:
            for what, rate in _rates(grid, run):
                found[what, run.config().model].append(rate)
        except CktatError:
            continue
    return {key: statistics.median(rates) for key, rates in found.items()}


def _rates(grid: Grid, run: RunFolder) -> Iterator[tuple[str, float]]:
    there, config, ours = run.read(), run.config(), grid.asked[0].config
    here = hardware(torch.device(ours.device)) | {"threads": ours.threads}
    what = ("cpu", "gpu") if "gpu" in here else ("cpu", "gpu", "threads")

    def alike(record: dict[str, Any]) -> bool:
        return all((record.get("hardware") or {}).get(key) == here.get(key) for key in what)

    if there.get("data", {}).get("fingerprint") != grid.data.fingerprint or there.get("imported"):
        return
    if (history := run.history()) and alike(there) and config.precision == ours.precision:
        design = make(config.design, **config.set)
        seconds = statistics.median(line["seconds"] + line["seconds_held_out"] for line in history)
        yield "training", of_training(GridRun(run.path.name, config, design, (), config), grid.data, 1) / seconds
    for weights in BEST_AND_LAST:
        for result in result_files(run, weights):
            if result.attack != CLEAN and alike(result.provenance):  # without an attack it is too short to tell
                passes = result.images * of_attack(result.attack) * forward(config.model, grid.data)
                yield "measuring", passes / result.provenance["seconds"]


def _seconds(pace: Pace, model: str, training: float, measuring: float) -> float | None:
    """None if something is to do whose pace is not known."""
    total = 0.0
    for what, operations in (("training", training), ("measuring", measuring)):
        if operations and (what, model) not in pace:
            return None
        total += operations / pace[what, model] if operations else 0.0
    return total


def flop(operations: float) -> str:
    """Operations as people write them: 3.4 PFLOP; "" for none."""
    for unit, size in (("PFLOP", 1e15), ("TFLOP", 1e12), ("GFLOP", 1e9)):
        if operations >= size:
            return f"{operations / size:.3g} {unit}"
    return f"{operations:.0f} FLOP" if operations else ""


def duration(seconds: float) -> str:
    """Seconds as people write them: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
