"""A table as far as it is measured: what the executor hands to whoever prints, compares or checks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cktat.evaluation import ResultRow


@dataclass(frozen=True)
class MeasuredCell:
    """What is known of one row under one column: one result of each seed, and why one is missing, if a run failed."""

    measured: tuple[ResultRow, ...] = ()
    failure: str = ""


@dataclass(frozen=True)
class MeasuredTable:
    """A table's rows x columns. A cell that is not in `cells` was not run.

    name: such as "4a". columns: names of attacks, "clean" first. paper: the paper's percentages where it has the cell.
    weights: "best" or "last". setting: what is the same for all cells (data, model, eps, epochs, seeds, test images,
    hardware, versions, commit), as text. against: the row that the others are compared with, None for none. histories: by
    row, the log of every seed's training (one dictionary per epoch).
    """

    name: str
    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[str, str], MeasuredCell]
    paper: Mapping[tuple[str, str], float]
    weights: str = "best"
    setting: Mapping[str, str] = field(default_factory=dict)
    against: str | None = None
    histories: Mapping[str, tuple[tuple[Mapping[str, Any], ...], ...]] = field(default_factory=dict)

    @property
    def heads(self) -> tuple[str, ...]:
        """The columns as a table's head names them: one measured on fewer images than another says on how many."""
        images = {
            column: max((one.images for row in self.rows for one in self._measured(row, column)), default=0)
            for column in self.columns
        }
        most = max(images.values(), default=0)
        return tuple(
            f"{column} ({images[column]:,} images)" if 0 < images[column] < most else column for column in self.columns
        )

    def _measured(self, row: str, column: str) -> tuple[ResultRow, ...]:
        return self.cells.get((row, column), MeasuredCell()).measured
