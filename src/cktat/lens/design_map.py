"""The map: designs trained with several seeds and looked at through the lens, one file a run, as tasks of a grid."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from cktat.api.configure import configure
from cktat.api.records import identity_of
from cktat.api.run import Run
from cktat.api.runner import Runner
from cktat.api.store import Store
from cktat.designs import make
from cktat.grid.comparison import DesignEntry
from cktat.grid.execute import execute
from cktat.grid.tasks import Key
from cktat.lens.follow import Follow
from cktat.lens.measured import measured
from cktat.lens.people import read_marked, read_people
from cktat.lens.taught import Taught
from cktat.runs import Kept, Stop, commit, hardware, read_sealed, versions, write_sealed
from cktat.runs.door import read_bytes

RECORD = "the record of a run through the lens"


class LensKept(Kept):
    """A run's record in out/runs."""

    asked: dict[str, Any]
    design: str
    seed: int
    declared: str
    seen: dict[str, Any]
    provenance: dict[str, Any]


@dataclass(frozen=True)
class LensSetting:
    """What is asked of every run: how it is trained, on how many images it is looked at, and what people say.

    Attributes:
        options: of `cktat.train`, the same for all.
        images: training and test images that are looked at.
        attacks: what accuracy is measured under, beside clean.
        people: a file, see `read_people`.
        marked: a file, see `read_marked`.
        store: where the runs lie.
    """

    options: dict[str, Any]
    images: int = 500
    attacks: tuple[str, ...] = ("pgd20",)
    people: Path | None = None
    marked: Path | None = None
    store: str | None = None


@dataclass(frozen=True)
class LensTask:
    """A design to train with a seed and to look at: a task of a grid."""

    entry: DesignEntry
    seed: int
    setting: LensSetting
    out: Path
    device: str = "cpu"
    threads: int = 1
    needs: tuple[Key, ...] = field(default=())

    @property
    def label(self) -> str:
        return f"{self.entry.text}, seed {self.seed}"

    @property
    def key(self) -> Key:
        return self.label, None

    @property
    def record(self) -> Path:
        """The file of what is seen."""
        return self.out / "runs" / f"{re.sub(r'[^A-Za-z0-9.]+', '-', self.entry.text)}-s{self.seed}.json"

    def on(self, device: str) -> LensTask:
        """The same: the lens looks on a CPU."""
        return self

    def carry_out(self, stop: Stop) -> str:
        """Trains the run where it is not finished, and looks at it, unless the record of the same is there."""
        setting, entry = self.setting, self.entry
        options = {"threads": self.threads} | setting.options | {"seed": self.seed, "set": entry.set, "device": "cpu"}
        config, data = configure(design=entry.design, **options)
        made, store = make(entry.design, **entry.set), Store(setting.store)
        name = identity_of(config, data, made)
        asked = {
            "run": name,
            "images": setting.images,
            "attacks": list(setting.attacks),
            "people": _sum(setting.people),
        }
        if setting.marked is not None:
            asked["marked"] = _sum(setting.marked)
        if self.record.exists() and read_sealed(self.record, LensKept, RECORD)["asked"] == asked:
            return "is there"
        people = None if setting.people is None else read_people(setting.people, data.test.labels, len(data.classes))
        marked = None if setting.marked is None else read_marked(setting.marked, len(data.train))
        follow = Follow(self.out, data, setting.images, str(store.root), people)
        folder = store.find(name)
        if folder is None or not folder.finished:
            folder = Runner(store, stop, follow, lambda text: None).train(config, data, ensure=True, wait=False)
        run = Run(folder.path)
        taught = Taught.of(run, data, store=str(store.root))
        seen = measured(
            run,
            taught,
            self.out,
            images=setting.images,
            people=people,
            attacks=setting.attacks,
            marked=marked,
            stop=stop,
        )
        self.record.parent.mkdir(parents=True, exist_ok=True)
        about = {
            "commit": commit(), "versions": versions(), "hardware": hardware(torch.device("cpu")),
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "config": config.model_dump(mode="json"),
        }  # fmt: skip
        whole = {"asked": asked, "design": entry.text, "seed": self.seed, "declared": str(taught.design), "seen": seen}
        write_sealed(self.record, whole | {"provenance": about})
        return "trained and looked at"


def looked_at(
    entries: Sequence[DesignEntry],
    seeds: int,
    setting: LensSetting,
    out: Path,
    *,
    jobs: int,
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Trains and looks at what is not there yet, in `jobs` processes; the record of every run, by design and seed.

    Runs lie in the store, records in out/runs. The same call goes on where an earlier one stopped.

    Raises:
        CktatError: a run failed, after the others are done.
        Stopped: it was asked to stop.
    """
    todo = [LensTask(entry, seed, setting, out) for seed in range(seeds) for entry in entries]
    execute(todo, jobs=jobs, say=say).require_all(len(todo))
    records = [read_sealed(task.record, LensKept, RECORD) for task in todo]
    places = {entry.text: number for number, entry in enumerate(entries)}
    return sorted(records, key=lambda record: (places[record["design"]], record["seed"]))


def _sum(people: Path | None) -> str | None:
    return None if people is None else hashlib.sha256(read_bytes(Path(people))).hexdigest()
