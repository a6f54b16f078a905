"""The experiment: every run trained through the project's own loop, measured, and one JSON file of it written."""

from __future__ import annotations

import multiprocessing
import re
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch

from cktat.designs import make
from cktat.errors import CktatError
from cktat.experiments.compare import Entry
from cktat.experiments.configure import configure
from cktat.experiments.runs import Runner, identity_of
from cktat.experiments.store import Store
from cktat.experiments.theory.measure import FeatureWatch, Probes, at_end, followed, learning, network
from cktat.experiments.theory.mixtures import definition_4_1, mixtures
from cktat.experiments.theory.setting import CLEAN, Condition, Setting
from cktat.training import RunFolder, Stop, commit, hardware, read_json, versions, write_json

Task = tuple[Setting, str, Condition, int, Path]


def experiment(
    setting: Setting, out: Path, *, jobs: int = 1, say: Callable[[str], None] = print
) -> list[dict[str, Any]]:
    """Trains and measures what is not there yet, in `jobs` processes of one thread each; returns every run's record.

    Runs lie in out/runs, their records in out/results. The same call goes on where an earlier one stopped. Raises CktatError
    if a run fails, after the others are done.
    """
    tasks: list[Task] = [
        (setting, design, condition, seed, out)
        for design in sorted(setting.designs, key=lambda d: d != CLEAN)  # the others need the clean networks
        for condition in setting.conditions
        for seed in range(setting.seeds)
        if design in setting.designs_at(condition)
    ]
    (out / "results").mkdir(parents=True, exist_ok=True)
    began, records, failures = time.time(), [], []

    def note(result: dict[str, Any] | str) -> None:
        if isinstance(result, str):
            failures.append(result)
            say(result)
            return
        records.append(result)
        done = f"{len(records)}/{len(tasks)}"
        say(
            f"{done} {result['design']}, {result['condition_text']}, seed {result['seed']} ({time.time() - began:.0f} s)"
        )

    if jobs == 1:
        for task in tasks:
            note(_work(task))
    else:
        with ProcessPoolExecutor(
            jobs, mp_context=multiprocessing.get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            try:
                for future in as_completed([pool.submit(_work, task) for task in tasks]):
                    note(future.result())
            except BaseException:  # an interrupt ends what runs and begins nothing more
                pool.shutdown(cancel_futures=True)
                raise
    if failures:
        raise CktatError(f"{len(failures)} of {len(tasks)} runs failed: {failures[0]}")
    return sorted(records, key=lambda r: (r["condition_text"], r["design"], r["seed"]))


def _work(task: Task) -> dict[str, Any] | str:
    try:
        return measured(*task)
    except CktatError as error:  # one run that fails leaves the others running
        return f"{task[1]}, {task[2]}, seed {task[3]}: {error}"


def measured(setting: Setting, design: str, condition: Condition, seed: int, out: Path) -> dict[str, Any]:
    """The record of one run: trained and measured, or read if it is there for the same run."""
    data = setting.distribution(condition, seed)
    probes = Probes.draw(data)
    clean = trained(setting, CLEAN, condition, seed, out, probes)
    run = trained(setting, design, condition, seed, out, probes) if design != CLEAN else clean
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", f"{design} {condition} s{seed}")
    path = out / "results" / f"{slug}.json"
    identity = {"run": run.read()["identity"], "clean": clean.read()["identity"], "eps": condition.eps}
    if path.is_file() and (old := read_json(path)).get("identity") == identity:
        return old
    net, clean_net, lines = network(run), network(clean), followed(run)
    record: dict[str, Any] = {
        "identity": identity,
        "design": design,
        "condition": vars(condition),
        "condition_text": str(condition),
        "seed": seed,
        "data": setting.spec(condition, seed),
        "measured": at_end(net, probes, condition.eps),
        "mixtures": mixtures(net, clean_net, probes, condition.eps),
        "definition_4_1": definition_4_1(net, probes, condition.eps) if design == CLEAN else None,
        "learned_after": learning(lines),
        "curve": lines,
        "provenance": {
            "commit": commit(),
            "versions": versions(),
            "hardware": hardware(torch.device("cpu")),
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds_of_training": sum(line["seconds"] for line in run.history()),
        },
    }
    write_json(path, record)
    return read_json(path)


def trained(setting: Setting, design: str, condition: Condition, seed: int, out: Path, probes: Probes) -> RunFolder:
    """The finished run of a design, with its features followed after every epoch."""
    entry = Entry.read(design)
    config, dataset = configure(
        design=entry.design, set=entry.set, data=setting.spec(condition, seed), model="patchnet", norm="L2",
        eps=condition.eps, step=2 * condition.eps / setting.training["steps"], epochs=condition.epochs, seed=seed,
        device="cpu", precision="fp32", threads=1, **setting.training,
    )  # fmt: skip
    made, store = make(entry.design, **entry.set), Store(out / "runs")
    folder = store.place(config, identity_of(config, dataset, made))
    with Stop() as stop:
        runner = Runner(store, stop, FeatureWatch(folder, probes), lambda text: None)
        return runner.train(config, dataset, design=made, folder=folder, ensure=True)
