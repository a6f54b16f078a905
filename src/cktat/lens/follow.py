"""After every epoch, from its checkpoint: what a student has left of its label, and how right that label is then."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from torch import Tensor

from cktat.api.run import Run
from cktat.data import Dataset
from cktat.lens.difficulty import left_over
from cktat.lens.guidance import guidance
from cktat.lens.taught import Taught
from cktat.runs import Kept, RunFolder, read_sealed, write_sealed
from cktat.training import Begun, Callback

CURVES = ("left", "brier", "kl")
CURVE = "the curve of what a student has left"


class LensCurveKept(Kept):
    """A curve in out/curves."""

    identity: str
    left: list[float]
    brier: list[float]
    kl: list[float | None]


class Follow(Callback):
    """Writes out/curves/RUN.json for each run that trains. After each epoch: what is left of the label on the first `images`
    training images, in nats, and how right the label is of as many test images, held against `people` [N, K] or y. A run
    that goes on goes on in its file."""

    def __init__(self, out: Path, data: Dataset, images: int, store: str | None, people: Tensor | None = None) -> None:
        self.out, self.data, self.images, self.store, self.people = out, data, images, store, people
        self.run: Run | None = None

    def begin(self, run: Begun) -> None:
        self.run = Run(run.folder)

    def epoch(self, record: dict[str, Any]) -> None:
        assert self.run is not None
        identity, before, epoch = str(self.run.read()["identity"]), followed(self.out, self.run), record["epoch"] - 1
        taught = Taught.of(self.run, self.data, store=self.store)
        found = taught.answers(self.data.train.first(min(self.images, len(self.data.train))))
        test = self.data.test.first(min(self.images, len(self.data.test)))
        right = guidance(taught.labels(test), test.labels if self.people is None else self.people[: len(test)]).means()
        now = {
            "left": float(left_over(found.label, found.output).mean()),
            "brier": right["brier"],
            "kl": right["kl"] if math.isfinite(right["kl"]) else None,
        }
        path = _file(self.out, self.run)
        path.parent.mkdir(parents=True, exist_ok=True)
        curves = {name: [*before[name][:epoch], value] for name, value in now.items()}
        write_sealed(path, {"identity": identity, **curves})


def followed(out: Path, run: RunFolder) -> dict[str, list[float]]:
    """What was seen after each epoch that was followed: "left", "brier" and "kl" (None where it is infinite); empty where the
    run was trained without it."""
    path = _file(out, run)
    if path.exists():
        kept = read_sealed(path, LensCurveKept, CURVE)
        if kept["identity"] == run.read()["identity"]:
            return {name: list(kept[name]) for name in CURVES}
    return {name: [] for name in CURVES}


def area(curve: list[float], constant: float, epochs: int) -> float | None:
    """The mean over the epochs of what was left, in units of what a constant answer has left of the last epoch's label: 0 is
    learned at once, 1 not learned at all. None where an epoch was not followed, or there is nothing to learn."""
    if len(curve) != epochs or constant <= 1e-12:
        return None
    return sum(curve) / epochs / constant


def _file(out: Path, run: RunFolder) -> Path:
    return out / "curves" / f"{run.path.resolve().name}.json"
