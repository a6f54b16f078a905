"""What is known of runs already: in the store's run folders, and in records that were exported from a store.

A record is one JSON file per run, without weights: configuration, seed, commit, hardware, log, and every result with the
images that were right. It stands for its run where the run's folder is not: on another machine, or after it was thrown away.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from cktat.api.store import Store
from cktat.errors import CktatError
from cktat.evaluation import ResultRow, current_rows, measured
from cktat.evaluation.rows import BEST_AND_LAST
from cktat.runs import Kept, RunFolder, Threat, read_sealed, write_sealed
from cktat.runs.schemas import EpochKept, OfData

FIELDS = ("identity", "design", "config", "data", "commit", "versions", "hardware", "inputs", "calibrated")


RECORD = "the record of a run that `cktat table` keeps"


class FoundKept(Kept):
    """A result in a record: of which weights, and which images were right."""

    weights: Literal["best", "last"]
    attack: str
    accuracy: float
    interval: list[float]
    correct: Annotated[int, Field(ge=0)]
    images: Annotated[int, Field(ge=1)]
    protocol: dict[str, Any]
    robust: Annotated[str, Field(pattern="^[01]+$")]

    @model_validator(mode="after")
    def _counted(self) -> FoundKept:
        if (len(self.robust), self.robust.count("1")) != (self.images, self.correct):
            raise ValueError("its counts are not those of its flags")
        return self


class RecordKept(Kept):
    """A run's record."""

    identity: str
    design: str
    seed: int | None
    config: dict[str, Any]
    data: OfData | None
    history: list[EpochKept]
    seconds_per_epoch: list[float]
    results: list[FoundKept]


def read_record(path: Path) -> dict[str, Any]:
    """The record in a file. Raises CktatError if it is broken or was edited."""
    return read_sealed(path, RecordKept, RECORD)


class Evidence:
    """Results and logs of runs, by identity. records: the folder of exported records, None for none.

    Raises CktatError for a record that was edited.
    """

    def __init__(self, store: Store, records: Path | None = None) -> None:
        self.store, self.folders = store, store.by_identity()
        paths = sorted(records.glob("*.json")) if records else []
        self.records = {record["identity"]: (path, record) for path in paths for record in [read_record(path)]}

    def finished(self, identity: str) -> bool:
        """Whether the run's weights are there to be used."""
        return identity in self.folders and self.folders[identity].finished

    def result(self, identity: str, weights: str, attack: str, images: int, threat: Threat) -> ResultRow | None:
        """The result of one attack on the first `images` test images.

        threat: the ball, since a clean run is trained for none. None if it was not measured, or while the run is not
        finished: its weights will be others. Raises CktatError for a result file that was edited.
        """
        if self.finished(identity):
            for first in (None, images):
                found = measured(self.folders[identity], weights, attack, first, eps=threat.eps, norm=threat.norm)
                if found is not None and found.images == images:
                    return found
        for row in self._recorded(identity):
            same = (row.weights, row.attack, row.images) == (weights, attack, images)
            if same and row.in_ball(threat.eps, threat.norm):
                return row
        return None

    def held(self, identity: str) -> list[ResultRow]:
        """Every result of a run, whether it was asked for or not."""
        there = results(self.folders[identity]) if self.finished(identity) else []
        return there + self._recorded(identity)

    def _recorded(self, identity: str) -> list[ResultRow]:
        return _of_record(*self.records[identity]) if identity in self.records else []

    def about(self, identity: str) -> dict[str, Any]:
        """Configuration, commit, versions, hardware and log of a run, {} if nothing is known of it.
        A folder that cannot be read is passed over."""
        folder = self.folders.get(identity)
        known = self.records.get(identity, (None, {}))[1]
        if folder is not None and (not known or folder.finished):
            try:
                return about(folder)
            except CktatError as error:
                self.store.pass_over(folder, error)
        return known


def about(run: RunFolder) -> dict[str, Any]:
    """What stands behind a run's numbers, and its log. JSON values."""
    there, history = run.read(), run.history()
    return (
        {key: there.get(key) for key in FIELDS}
        | {"design": there["design"]["name"], "seed": there["config"].get("seed")}
        | {"config": there["config"] | {"root": None}}  # where the data lay is nobody's business
        | {"seconds_per_epoch": [line["seconds"] for line in history], "history": history}
    )


def results(run: RunFolder) -> list[ResultRow]:
    """Every result of the run's present weights. Raises CktatError for a result file that was edited."""
    return [row for weights in BEST_AND_LAST for row in current_rows(run, weights)]


def _of_record(path: Path, record: dict[str, Any]) -> list[ResultRow]:
    return [ResultRow.of_record(path, record, one) for one in record["results"]]


def export(run: RunFolder, folder: Path) -> None:
    """Writes the record of a run into `folder`, if it is finished.

    What an earlier record holds beyond it is kept: results that were measured elsewhere. Raises CktatError for a result
    file that was edited, and where a record of another run has the same name.
    """
    path = folder / f"{run.path.name}.json"
    earlier = read_record(path) if path.is_file() else {"results": []}
    if earlier.get("identity", own := run.read()["identity"]) != own:
        raise CktatError(f"{path} is the record of another run than {run.path}; give another --out")
    rows = results(run)
    if not run.finished or (earlier["results"] and not rows):
        return
    by_key = {row.key: row for row in [*_of_record(path, earlier), *rows]}
    record = about(run) | {"results": [by_key[key].recorded() for key in sorted(by_key)]}
    if earlier != record:
        write_sealed(path, record)
