"""The experiments: every run trained, followed, measured, and one JSON file of it written."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cktat.models import Normalised
from cktat.paper.experiments import measure, mixtures, sparse
from cktat.paper.experiments.runs import ExperimentTask, each, tasks, trained
from cktat.paper.experiments.setting import CLEAN, ExperimentSetting
from cktat.paper.experiments.summary import Record
from cktat.paper.theory import MultiView, SparseCoding
from cktat.runs import Kept, commit, hardware, read_sealed, versions, write_sealed

RECORD = "the record of a run of the theory's experiment"


class ExperimentKept(Kept):
    """A run's record in out/results."""

    identity: dict[str, Any]
    design: str
    condition: dict[str, Any]
    condition_text: str
    seed: int
    measured: dict[str, Any]
    curve: list[dict[str, Any]]
    provenance: dict[str, Any]


def experiment(
    setting: ExperimentSetting, out: Path, *, jobs: int = 1, say: Callable[[str], None] = print
) -> list[Record]:
    """Trains and measures what is not there yet, in `jobs` processes of one thread each; returns every run's record.

    Runs lie in out/runs, their records in out/results. The same call goes on where an earlier one stopped. Raises CktatError
    if a run fails, after the others are done.
    """
    (out / "results").mkdir(parents=True, exist_ok=True)
    records = each(tasks(setting, out), measured, jobs=jobs, say=say)
    return sorted(records, key=lambda r: (r["condition_text"], r["design"], r["seed"]))


def measured(task: ExperimentTask) -> Record:
    """The record of one run: trained and measured, or read if it is there for the same run."""
    design, condition, seed = task.design, task.condition, task.seed
    data = task.setting.distribution(condition, seed)
    look, at_end = _views(data) if isinstance(data, MultiView) else _sparse(data)
    watch = partial(measure.FeatureLog, look)
    clean = trained(replace(task, design=CLEAN), watch)
    run = trained(task, watch) if design != CLEAN else clean
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", f"{design} {condition} s{seed}")
    path = task.out / "results" / f"{slug}.json"
    identity = {"run": run.read()["identity"], "clean": clean.read()["identity"], "eps": condition.eps}
    if path.exists() and (old := read_sealed(path, ExperimentKept, RECORD))["identity"] == identity:
        return old
    clean_net = measure.network(clean)
    net, lines = clean_net if run is clean else measure.network(run), measure.followed(run)
    record: Record = {
        "identity": identity,
        "design": design,
        "condition": vars(condition),
        "condition_text": str(condition),
        "seed": seed,
        "data": task.setting.spec(condition, seed),
        **at_end(net, clean_net, condition.eps),
        "learned_after": measure.learning(lines) if isinstance(data, MultiView) else None,
        "curve": lines,
        "provenance": {
            "commit": commit(),
            "versions": versions(),
            "hardware": hardware(torch.device("cpu")),
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds_of_training": sum(line["seconds"] for line in run.history()),
        },
    }
    write_sealed(path, record)
    return read_sealed(path, ExperimentKept, RECORD)


Look = Callable[[Normalised], dict[str, Any]]
AtEnd = Callable[[Normalised, Normalised, float], dict[str, Any]]
"""From a network, the clean one of the same seed (the same object for the clean design) and a radius to measurements."""


def _views(data: MultiView) -> tuple[Look, AtEnd]:
    probes = measure.Probes.draw(data)

    def at_end(net: Normalised, clean: Normalised, eps: float) -> dict[str, Any]:
        return {
            "measured": measure.at_end(net, probes, eps),
            "mixtures": mixtures.mixtures(net, clean, probes, eps),
            "definition_4_1": mixtures.definition_4_1(clean, probes, eps) if net is clean else None,
        }

    return partial(measure.at_epoch, probes=probes), at_end


def _sparse(data: SparseCoding) -> tuple[Look, AtEnd]:
    probes = sparse.SparseProbes.draw(data)

    def at_end(net: Normalised, clean: Normalised, eps: float) -> dict[str, Any]:
        return {
            "measured": sparse.at_end(net, probes, eps),
            "mixtures": sparse.mixtures(net, clean, probes, eps),
            "definition_4_1": sparse.definition_4_1(clean, probes, eps) if net is clean else None,
            "one_weight": sparse.one_weight(net, clean, probes),
        }

    return partial(sparse.at_epoch, probes=probes), at_end
