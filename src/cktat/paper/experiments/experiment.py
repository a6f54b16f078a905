"""The experiments: every run trained, followed, measured, and one JSON file of it written."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cktat.api.configure import configure
from cktat.api.runner import Runner, identity_of
from cktat.api.store import Store
from cktat.designs import make
from cktat.grid.comparison import DesignEntry
from cktat.grid.execute import execute
from cktat.grid.tasks import Key
from cktat.paper.experiments import measure, mixtures, sparse
from cktat.paper.experiments.setting import CLEAN, Condition, ExperimentSetting
from cktat.paper.experiments.summary import Record
from cktat.paper.theory import MultiView, SparseCoding
from cktat.runs import Kept, RunFolder, Stop, commit, hardware, read_sealed, versions, write_sealed
from cktat.training import Callback

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
    if a run fails, after the others are done, and Stopped when asked to stop.
    """
    (out / "results").mkdir(parents=True, exist_ok=True)
    todo = tasks(setting, out)
    execute(todo, jobs=jobs, say=say).require_all(len(todo))
    records = [read_sealed(task.record, ExperimentKept, RECORD) for task in todo]
    return sorted(records, key=lambda r: (r["condition_text"], r["design"], r["seed"]))


def tasks(setting: ExperimentSetting, out: Path) -> list[ExperimentTask]:
    """All runs of a setting, clean ones first: the others need them."""
    return [
        ExperimentTask(setting, design, condition, seed, out)
        for design in sorted(setting.designs, key=lambda d: d != CLEAN)
        for condition in setting.conditions
        for seed in range(setting.seeds)
        if design in setting.designs_at(condition)
    ]


@dataclass(frozen=True)
class ExperimentTask:
    """One run to train and to measure, below the folder `out`: a task of a grid."""

    setting: ExperimentSetting
    design: str
    condition: Condition
    seed: int
    out: Path
    device: str = "cpu"
    threads: int = 1

    @property
    def label(self) -> str:
        return f"{self.design}, {self.condition}, seed {self.seed}"

    @property
    def key(self) -> Key:
        return self.label, None

    @property
    def clean(self) -> ExperimentTask:
        """The clean network of the same condition and seed."""
        return replace(self, design=CLEAN)

    @property
    def needs(self) -> tuple[Key, ...]:
        """Of a design the clean network. Of a clean network that at the base's radius, which is the same: it knows of none."""
        at_base = replace(self.clean, condition=replace(self.condition, eps=self.setting.base.eps))
        return tuple(task.key for task in (self.clean, at_base) if task != self)

    @property
    def record(self) -> Path:
        """The file of what is measured."""
        slug = re.sub(r"[^A-Za-z0-9.]+", "-", f"{self.design} {self.condition} s{self.seed}")
        return self.out / "results" / f"{slug}.json"

    def on(self, device: str) -> ExperimentTask:
        return replace(self, device=device)

    def trained(self, stop: Stop, watch: Callable[[RunFolder], Callback]) -> RunFolder:
        """The finished run in out/runs. watch: what follows it while it is trained, made from its folder."""
        entry, setting, condition = DesignEntry.read(self.design), self.setting, self.condition
        config, dataset = configure(
            design=entry.design, set=entry.set, data=setting.spec(condition, self.seed), model=setting.model, norm="L2",
            eps=condition.eps, step=2 * condition.eps / setting.training["steps"], epochs=condition.epochs, seed=self.seed,
            device=self.device, precision="fp32", threads=self.threads, **setting.training,
        )  # fmt: skip
        made, store = make(entry.design, **entry.set), Store(self.out / "runs")
        folder = store.place(config, identity_of(config, dataset, made))
        if folder.finished:  # without a lock, since several tasks look at a clean network at a time
            return folder
        runner = Runner(store, stop, watch(folder), lambda text: None)
        return runner.train(config, dataset, design=made, folder=folder, ensure=True, wait=False)

    def carry_out(self, stop: Stop) -> str:
        """Trains and measures, unless the record of the same run is there."""
        data = self.setting.distribution(self.condition, self.seed)
        probes, (at_epoch, at_end, mixed, definition_4_1) = _measures(data)
        watch = partial(measure.FeatureLog, partial(at_epoch, probes=probes))
        clean = self.clean.trained(stop, watch)
        run = clean if self.design == CLEAN else self.trained(stop, watch)
        eps = self.condition.eps
        identity = {"run": run.read()["identity"], "clean": clean.read()["identity"], "eps": eps}
        if self.record.exists() and read_sealed(self.record, ExperimentKept, RECORD)["identity"] == identity:
            return "is there"
        clean_net = measure.network(clean)
        net, lines = clean_net if run is clean else measure.network(run), measure.followed(run)
        record: Record = {
            "identity": identity,
            "design": self.design,
            "condition": vars(self.condition),
            "condition_text": str(self.condition),
            "seed": self.seed,
            "data": self.setting.spec(self.condition, self.seed),
            "measured": at_end(net, probes, eps),
            "mixtures": mixed(net, clean_net, probes, eps),
            "definition_4_1": definition_4_1(clean_net, probes, eps) if run is clean else None,
            **({} if isinstance(data, MultiView) else {"one_weight": sparse.one_weight(net, clean_net, probes)}),
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
        write_sealed(self.record, record)
        return "trained and measured"


def _measures(data: MultiView | SparseCoding) -> tuple[Any, tuple[Callable[..., Any], ...]]:
    """Fresh samples, and what measures networks on them: after an epoch, at the end, their mixtures, Definition 4.1."""
    if isinstance(data, MultiView):
        return measure.Probes.draw(data), (measure.at_epoch, measure.at_end, mixtures.mixtures, mixtures.definition_4_1)
    return sparse.SparseProbes.draw(data), (sparse.at_epoch, sparse.at_end, sparse.mixtures, sparse.definition_4_1)
