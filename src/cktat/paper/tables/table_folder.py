"""A folder of tables: what was asked for there, so that it can be asked again, and nothing in it is replaced by less."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from cktat.errors import CktatError
from cktat.paper.tables.declared import TABLES, Table, TableRow
from cktat.paper.tables.measured_table import MeasuredCell, MeasuredTable
from cktat.runs import Kept, read_sealed, write_sealed

AtLeastOne = Annotated[int, Field(ge=1)]
Names = Annotated[tuple[str, ...], Field(strict=False)]  # JSON has lists only

KIND = "what was asked for of a table"

SETTINGS = (
    "data", "model", "recipe", "epochs", "batch_size", "lr", "examples", "precision", "test_images", "aa_images",
)  # fmt: skip
"""What the numbers of one table have in common. Its rows, columns and seeds may grow from one command to the next."""


class TableKept(Kept):
    """What was asked for when a table was written, None where the recipe or the data decide, and why cells have failed
    (by row and column)."""

    table: str
    rows: Names
    attacks: Names
    weights: Literal["best", "last"]
    seeds: AtLeastOne
    data: str
    model: str
    recipe: str
    epochs: AtLeastOne | None = None
    batch_size: AtLeastOne | None = None
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    examples: AtLeastOne | None = None
    precision: Literal["fp32", "bf16"]
    test_images: AtLeastOne | None = None
    aa_images: AtLeastOne | None = None
    failures: dict[str, dict[str, str]] = Field(default_factory=dict)

    def with_failures(self, filled: MeasuredTable) -> MeasuredTable:
        """The same table, with what is known of cells that neither were measured nor failed anew."""
        known = {
            (row, column): MeasuredCell((), why) for row, of in self.failures.items() for column, why in of.items()
        }
        places = {(row, column) for row in filled.rows for column in filled.columns}
        return replace(filled, cells={place: known[place] for place in known if place in places} | dict(filled.cells))


@dataclass(frozen=True)
class TableFolder:
    """The files of tables in a folder; those of last weights say so in their names, and stand beside those of the best."""

    path: Path
    weights: str = "best"

    def file(self, stem: str, ending: str) -> Path:
        return self.path / f"{stem}{'' if self.weights == 'best' else f'-{self.weights}'}.{ending}"

    def read(self, table: str) -> TableKept | None:
        """What was asked for when a table was written here, None if it was not. Raises CktatError for an edited file."""
        path = self.file(f"table-{table}", "json")
        return TableKept(**read_sealed(path, TableKept, KIND)) if path.is_file() else None

    def all(self) -> dict[str, TableKept]:
        """The tables that were written here, by name."""
        return {name: kept for name in TABLES if (kept := self.read(name)) is not None}

    def write(self, kept: TableKept) -> None:
        write_sealed(self.file(f"table-{kept.table}", "json"), kept.model_dump(mode="json"))

    def lacking(self, filled: MeasuredTable) -> str:
        """What the table here holds and `filled` does not, in words; "" for nothing.

        A cell holds less with fewer seeds or on fewer images. Raises CktatError if the file here is no such table."""
        path = self.file(f"table-{filled.name}", "csv")
        there = _held(path) if path.is_file() else {}
        here = {place: sum(measured.images for measured in cell.measured) for place, cell in filled.cells.items()}
        less = [place for place, held in there.items() if held > here.get(place, 0)]
        if not less:
            return ""
        row, column = less[0]
        return (
            f"{path} holds {sum(held > 0 for held in there.values())} cells, and {len(less)} of them would hold less or "
            f"nothing (such as {row}, {column})"
        )


def _held(path: Path) -> dict[tuple[str, str], float]:
    """By row and column, how many answers (images times seeds) the cells of a table in a CSV file are of."""
    try:
        lines = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        return {
            (line["row"], line["column"]): int(line["n"]) * int(line["images"]) if line["ours"] else 0 for line in lines
        }
    except (KeyError, TypeError, ValueError, csv.Error):
        raise CktatError(
            f"{path} is not a table of this program, so it is not written over; give another --out"
        ) from None


def settled(there: Mapping[str, TableKept], given: Mapping[str, Any], *, firm: bool) -> dict[str, Any]:
    """The SETTINGS, rows, attacks and seeds of a command: those `given` (None is "not given"), else those of the tables
    `there`, by name.

    firm: whether what is given must be what is there. Raises CktatError if it is not, or if the tables there differ.
    """
    options = dict(given)
    for name in (*SETTINGS, "attacks", "seeds"):
        values = {table: getattr(kept, name) for table, kept in there.items()}
        if not values:
            continue
        if given.get(name) is None:
            if len(set(values.values())) > 1:
                said = ", ".join(f"{value} in {table}" for table, value in values.items())
                raise CktatError(f"the tables there differ in {_words(name)} ({said}); ask for one of them, or give it")
            options[name] = next(iter(values.values()))
    if firm and (different := differing(there, options)):
        raise CktatError(different)
    return options


def differing(there: Mapping[str, TableKept], asked: Mapping[str, Any]) -> str:
    """The settings of tables that differ from what is asked, in words; "" for none."""
    found = dict.fromkeys(
        f"{_words(name)} {_text(getattr(kept, name))} there, {_text(asked[name])} asked"
        for kept in there.values()
        for name in SETTINGS
        if asked.get(name) is not None and asked[name] != getattr(kept, name)
    )
    return "; ".join(found)


def widened(table: Table, kept: TableKept | None) -> Table:
    """The table with the rows that it was written with before, too, in its own order."""
    if kept is None:
        return table
    return _of_rows(table, {row.label for row in table.rows} | set(kept.rows))


def again(kept: TableKept) -> Table:
    """The table as it was written."""
    return _of_rows(TABLES[kept.table], set(kept.rows))


def _of_rows(table: Table, labels: set[str]) -> Table:
    whole = TABLES[table.name]
    ordered: Sequence[TableRow] = (*whole.rows, *whole.controls)
    known = {row.label for row in ordered}
    return whole.only((*(row.label for row in ordered if row.label in labels), *sorted(labels - known)))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _text(value: Any) -> str:
    return "not given" if value is None else str(value)
