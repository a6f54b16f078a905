"""Measured tables that nobody measured: flags drawn around accuracies that a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cktat.evaluation import ResultRow
from cktat.paper.tables.measured_table import MeasuredCell, MeasuredTable
from cktat.paper.tables.paper import paper_numbers, paper_tables


def result(seed: int, flags: str, path: Path) -> ResultRow:
    """A result of which a table needs no more."""
    return ResultRow("pgd20", flags, (), (), {}, {}, "run", "PGDAT", {"seed": seed}, "best", path)


Make = Callable[..., MeasuredTable]
SETTING = {
    "data": "digits", "model": "small", "eps": "0.15", "epochs": "20", "test images": "360", "seeds": "0, 1, 2",
    "hardware": "a processor, 2 threads", "versions": "cktat 0.1.0, torch 2.13.0", "commit": "0123456789ab",
}  # fmt: skip


def make_filled(
    name: str = "4a",
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    accuracy: Callable[[str, str], float | None] | None = None,
    seeds: int = 3,
    images: int = 360,
    failures: Mapping[tuple[str, str], str] | None = None,
    epochs: int = 0,
    **changes: Any,
) -> MeasuredTable:
    """accuracy: of a row under a column, None for a cell that was not run; the paper's, roughly, if it is not given. Images
    are easy or hard for all networks alike, so that flags agree as those of real networks do."""
    paper = dict(paper_numbers(name)) if name in paper_tables() else {}
    rows = list(dict.fromkeys(row for row, _ in paper)) if rows is None else list(rows)
    columns = list(dict.fromkeys(column for _, column in paper)) if columns is None else list(columns)
    rng = np.random.default_rng(0)
    ease = rng.random(images)
    share = accuracy or (lambda row, column: paper[row, column] / 100)
    cells: dict[tuple[str, str], MeasuredCell] = {}
    for row in rows:
        of_seed = rng.normal(0, 0.008, seeds)
        for column in columns:
            wanted, measured = share(row, column), []
            for seed in range(seeds) if wanted is not None else ():
                right = ease + rng.normal(0, 0.08, images) < wanted + of_seed[seed]
                flags = "".join("1" if flag else "0" for flag in right)
                measured.append(result(seed, flags, Path(f"runs/{row}-s{seed}/results/best-{column}.json")))
            failure = (failures or {}).get((row, column), "")
            if measured or failure:
                cells[row, column] = MeasuredCell(tuple(measured), failure)
    histories = {row: tuple(history(rng, epochs) for _ in range(seeds)) for row in rows} if epochs else {}
    fields: dict[str, Any] = {"title": f"table {name} of digits", "setting": SETTING, "histories": histories} | changes
    return MeasuredTable(name, fields.pop("title"), tuple(rows), tuple(columns), cells, paper, **fields)


def history(rng: np.random.Generator, epochs: int) -> tuple[dict[str, Any], ...]:
    """Clean accuracy that rises, and robust accuracy that falls again in the last third."""
    peak = 2 * epochs / 3
    return tuple(
        {
            "epoch": epoch,
            "held_out": {
                "images": 200,
                "clean": 0.9 - 0.5 * 0.8**epoch + rng.normal(0, 0.01),
                "pgd": 0.5 - 0.4 * 0.8**epoch - 0.01 * max(0, epoch - peak) + rng.normal(0, 0.01),
            },
        }
        for epoch in range(1, epochs + 1)
    )


@pytest.fixture
def filled() -> Make:
    return make_filled
