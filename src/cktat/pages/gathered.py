"""What the report shows of one run, read once from its folder."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cktat.evaluation import Verdict, verdict_of
from cktat.evaluation.drawn import read_curve, read_pictures
from cktat.evaluation.lowest import ClaimedAccuracy, claim_of
from cktat.evaluation.rows import BEST_AND_LAST, ResultRow, card_of, is_of, result_files
from cktat.evaluation.table import RunRow, row_of
from cktat.pages.figures import picture
from cktat.pages.looks import Look, numbered
from cktat.runs import RunFolder


@dataclass(frozen=True)
class Reported:
    """What the folder of run `number` (from 1) holds.

    rows: best and last weights, as far as they are evaluated. shown: the row of the weights the report was asked for; card,
    verdict, claim, curve and pictures are of these. files: every result file, of whatever weights. look: of its lines.
    """

    number: int
    folder: RunFolder
    record: dict[str, Any]
    card: dict[str, Any]
    history: list[dict[str, Any]]
    rows: list[RunRow]
    shown: RunRow
    verdict: Verdict | None
    claim: ClaimedAccuracy | None
    curve: dict[str, Any] | None
    pictures: dict[str, Any] | None
    files: list[ResultRow]
    look: Look

    @property
    def seconds(self) -> float | None:
        """Of one epoch of training without its scoring: the median, since a first epoch also warms up."""
        return statistics.median(epoch["seconds"] for epoch in self.history) if self.history else None

    @property
    def config(self) -> list[tuple[str, str]]:
        return list(flat(self.record.get("config", {})))

    @property
    def design(self) -> str:
        return json.dumps(self.record["design"], indent=1)

    @property
    def inputs(self) -> dict[str, dict[str, str]]:
        return self.record.get("inputs") or {}


def read(number: int, folder: RunFolder, weights: str) -> Reported:
    """Reads a run's folder. Raises CktatError if a file in it is broken."""
    rows = [row for row in (row_of(folder, each) for each in BEST_AND_LAST) if row.results]
    shown = next((row for row in rows if row.weights == weights), None) or row_of(folder, weights)
    card = card_of(folder, weights)
    return Reported(
        number=number,
        folder=folder,
        record=folder.read(),
        card=card,
        history=folder.history(),
        rows=rows or [shown],
        shown=shown,
        verdict=verdict_of(folder, weights),
        claim=claim_of(folder, weights),
        curve=_read_curve(folder, weights, card),
        pictures=_read_pictures(folder, weights, card),
        files=[row for each in BEST_AND_LAST for row in result_files(folder, each)],
        look=numbered(number),
    )


def _read_curve(run: RunFolder, weights: str, card: dict[str, Any]) -> dict[str, Any] | None:
    path = run.results_path / f"{weights}-curve.json"
    curve = read_curve(path) if path.exists() else None
    return curve if curve is not None and is_of(curve, card) else None


def _read_pictures(run: RunFolder, weights: str, card: dict[str, Any]) -> dict[str, Any] | None:
    path = run.results_path / f"{weights}-pictures.safetensors"
    if not path.exists() or not card:
        return None
    tensors, about = read_pictures(path, len(card["classes"]))
    if not is_of(about, card):
        return None
    # The whole range of a change, -eps to eps, becomes black to white.
    eps, names = card["eps"], card["classes"]
    factor = 0.5 / eps if eps else 1.0
    columns = []
    for x, moved, y, before, after, index in zip(
        *(tensors[key] for key in ("x", "x_adv", "y", "before", "after", "index")), strict=True
    ):
        change = picture(0.5 + factor * (moved - x))
        outcomes = [(names[int(found)], bool(found == y)) for found in (before, after)]
        columns.append((int(index), names[int(y)], picture(x), outcomes[0], picture(moved), outcomes[1], change))
    return {"factor": f"{factor:.3g}", "columns": columns}


def flat(fields: dict[str, Any], before: str = "") -> Iterable[tuple[str, str]]:
    """(dotted name, value as text) of nested settings."""
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{before}{name}.")
        else:
            yield before + name, value if isinstance(value, str) else json.dumps(value)
