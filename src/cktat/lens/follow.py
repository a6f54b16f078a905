"""What a student has left of its label after every epoch, measured while it trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cktat.api.run import Run
from cktat.data import Dataset
from cktat.lens.difficulty import left_over
from cktat.lens.taught import Taught
from cktat.runs import Kept, RunFolder, read_sealed, write_sealed
from cktat.training import Begun, Callback

CURVE = "the curve of what a student has left"


class LensCurveKept(Kept):
    """A curve in out/curves."""

    identity: str
    left: list[float]


class Follow(Callback):
    """Writes, for each run that trains, what is left of the label after each epoch on the first `images` training images, in
    nats: out/curves/RUN.json. A run that goes on goes on in its file."""

    def __init__(self, out: Path, data: Dataset, images: int, store: str | None) -> None:
        self.out, self.data, self.images, self.store = out, data, images, store
        self.run: Run | None = None

    def begin(self, run: Begun) -> None:
        self.run = Run(run.folder)

    def epoch(self, record: dict[str, Any]) -> None:
        assert self.run is not None
        identity, before = str(self.run.read()["identity"]), curve(self.out, self.run)
        taught = Taught.of(self.run, self.data, store=self.store)
        found = taught.answers(self.data.train.first(min(self.images, len(self.data.train))))
        left = float(left_over(found.label, found.output).mean())
        path = _file(self.out, self.run)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_sealed(path, {"identity": identity, "left": [*before[: record["epoch"] - 1], left]})


def curve(out: Path, run: RunFolder) -> list[float]:
    """What was left after each epoch that was followed; empty where the run was trained without it."""
    path = _file(out, run)
    if not path.exists():
        return []
    kept = read_sealed(path, LensCurveKept, CURVE)
    return list(kept["left"]) if kept["identity"] == run.read()["identity"] else []


def area(curve: list[float], constant: float, epochs: int) -> float | None:
    """The mean over the epochs of what was left, in units of what a constant answer has left of the last epoch's label: 0 is
    learned at once, 1 not learned at all. None where an epoch was not followed, or there is nothing to learn."""
    if len(curve) != epochs or constant <= 1e-12:
        return None
    return sum(curve) / epochs / constant


def _file(out: Path, run: RunFolder) -> Path:
    return out / "curves" / f"{run.path.resolve().name}.json"
