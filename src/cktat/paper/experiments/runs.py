"""Runs of the theory's experiments: trained through the project's own loop, one after another or several at a time."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from cktat.api.configure import configure
from cktat.api.progress import Silent
from cktat.api.runner import Runner, identity_of
from cktat.api.store import Store
from cktat.designs import make
from cktat.errors import CktatError
from cktat.grid.comparison import DesignEntry
from cktat.paper.experiments.setting import CLEAN, Condition, ExperimentSetting
from cktat.paper.experiments.summary import Record
from cktat.runs import RunFolder, Stop


@dataclass(frozen=True)
class ExperimentTask:
    """One run to train and to measure, below the folder `out`."""

    setting: ExperimentSetting
    design: str
    condition: Condition
    seed: int
    out: Path

    def __str__(self) -> str:
        return f"{self.design}, {self.condition}, seed {self.seed}"


def tasks(setting: ExperimentSetting, out: Path) -> list[ExperimentTask]:
    """All runs of a setting, clean ones first: the others need them."""
    return [
        ExperimentTask(setting, design, condition, seed, out)
        for design in sorted(setting.designs, key=lambda d: d != CLEAN)
        for condition in setting.conditions
        for seed in range(setting.seeds)
        if design in setting.designs_at(condition)
    ]


def trained(task: ExperimentTask, watch: Callable[[RunFolder], Silent]) -> RunFolder:
    """The finished run in out/runs. watch: what follows it while it is trained, made from its folder."""
    entry, setting, condition = DesignEntry.read(task.design), task.setting, task.condition
    config, dataset = configure(
        design=entry.design, set=entry.set, data=setting.spec(condition, task.seed), model=setting.model, norm="L2",
        eps=condition.eps, step=2 * condition.eps / setting.training["steps"], epochs=condition.epochs, seed=task.seed,
        device="cpu", precision="fp32", threads=1, **setting.training,
    )  # fmt: skip
    made, store = make(entry.design, **entry.set), Store(task.out / "runs")
    folder = store.place(config, identity_of(config, dataset, made))
    with Stop() as stop:
        runner = Runner(store, stop, watch(folder), partial(print, flush=True))
        return runner.train(config, dataset, design=made, folder=folder, ensure=True)


def each(
    todo: Sequence[ExperimentTask],
    work: Callable[[ExperimentTask], Record],
    *,
    jobs: int = 1,
    say: Callable[[str], None] = print,
) -> list[Record]:
    """The records of `work` on every task, in `jobs` processes of one thread each, and a line said of each that is done.

    Raises CktatError if a task fails, after the others are done.
    """
    began, records, failures = time.monotonic(), [], []

    def note(result: Record | str) -> None:
        if isinstance(result, str):
            failures.append(result)
            say(result)
            return
        records.append(result)
        what = f"{result['design']}, {result['condition_text']}, seed {result['seed']}"
        say(f"{len(records)}/{len(todo)} {what} ({time.monotonic() - began:.0f} s)")

    if jobs == 1:
        for task in todo:
            note(_caught(work, task))
    else:
        with ProcessPoolExecutor(
            jobs, mp_context=multiprocessing.get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            try:
                for future in as_completed([pool.submit(partial(_caught, work), task) for task in todo]):
                    note(future.result())
            except BaseException:  # an interrupt ends what runs and begins nothing more
                pool.shutdown(cancel_futures=True)
                raise
    if failures:
        raise CktatError(f"{len(failures)} of {len(todo)} runs failed: {failures[0]}")
    return records


def _caught(work: Callable[[ExperimentTask], Record], task: ExperimentTask) -> Record | str:
    try:
        return work(task)
    except CktatError as error:  # one run that fails leaves the others running
        return f"{task}: {error}"
