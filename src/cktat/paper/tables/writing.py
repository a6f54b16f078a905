"""Writing tables into a folder: as Markdown, LaTeX and CSV, what was asked for, what the paper says of them, and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cktat.errors import CktatError
from cktat.grid.tasks import Key
from cktat.paper.tables.declared import Table
from cktat.paper.tables.measured_table import MeasuredTable
from cktat.paper.tables.page import write_page
from cktat.paper.tables.table_folder import SETTINGS, TableFolder, TableKept, again, widened
from cktat.paper.tables.table_grid import How, TableGrid
from cktat.paper.tables.text import claims_markdown, csv_text, latex, markdown
from cktat.runs import write_atomic

OPTIONS = tuple(name for name in SETTINGS if not name.endswith("_images"))
"""The SETTINGS that are options of a run."""


class Written:
    """The tables that a command writes into a folder, each with the rows, columns and seeds that it has there already.

    The page and the claims are of all tables in the folder. anew: write what is asked for, whatever is there. Raises
    CktatError for a file there that was edited, and where another table there is of data that cannot be found.
    """

    def __init__(self, folder: TableFolder, tables: Sequence[Table], how: How, *, anew: bool) -> None:
        self.folder, self.anew = folder, anew
        there = folder.all()
        self.asked = [
            _Part(table, how, None) if anew or (kept := there.get(table.name)) is None else _grown(table, how, kept)
            for table in tables
        ]
        names = {table.name for table in tables}
        self.others = [_Part(again(kept), _how(kept, how), kept) for name, kept in there.items() if name not in names]

    def filled(self, failures: Mapping[Key, str]) -> list[MeasuredTable]:
        """The tables that are written, as far as they are measured. Raises CktatError where one would hold less than the
        one in the folder."""
        tables = [part.filled(failures) for part in self.asked]
        less = [said for one in tables if not self.anew and (said := self.folder.lacking(one))]
        if less:
            raise CktatError(f"{less[0]}: nothing is written over; give another --out, or --replace")
        return tables

    def write(self, failures: Mapping[Key, str]) -> Path:
        """Writes all files and returns the page. Raises as `filled` does, before anything is written."""
        folder, found = self.folder, self.filled(failures)
        for part, filled in zip(self.asked, found, strict=True):
            for ending, text in (("md", markdown), ("tex", latex), ("csv", csv_text)):
                write_atomic(folder.file(f"table-{filled.name}", ending), text(filled).encode())
            folder.write(part.kept(filled))
        everything = sorted([*found, *(part.filled({}) for part in self.others)], key=lambda one: one.name)
        if claims := claims_markdown(everything):
            write_atomic(folder.file("claims", "md"), claims.encode())
        return write_page(everything, folder.file("tables", "html"))


class _Part:
    """A table in a folder, how it is filled, and what was asked for when it was written before."""

    def __init__(self, table: Table, how: How, before: TableKept | None) -> None:
        self.table, self.how, self.before, self.grid = table, how, before, TableGrid((table,), how)

    def filled(self, failures: Mapping[Key, str]) -> MeasuredTable:
        (tables,) = self.grid.fill(failures)
        return tables if self.before is None else self.before.with_failures(tables)

    def kept(self, filled: MeasuredTable) -> TableKept:
        how, failures = self.how, dict[str, dict[str, str]]()
        for (row, column), cell in filled.cells.items():
            if cell.failure:
                failures.setdefault(row, {})[column] = cell.failure
        options: dict[str, Any] = {"weights": how.weights} | {name: how.options.get(name) for name in OPTIONS}
        options |= {"precision": self.grid.grid.asked[0].config.precision}
        return TableKept(
            table=self.table.name, rows=filled.rows, attacks=how.attacks_of(self.table),
            seeds=how.seeds, test_images=how.images, aa_images=how.costly_images, failures=failures, **options,
        )  # fmt: skip


def _how(kept: TableKept, how: How) -> How:
    """How a table there was filled; where runs and data lie, and who computes, is as of `how`."""
    return replace(
        how, options={**how.options, **{name: getattr(kept, name) for name in OPTIONS}}, seeds=kept.seeds,
        attacks=kept.attacks, images=kept.test_images, costly_images=kept.aa_images,
    )  # fmt: skip


def _grown(table: Table, how: How, kept: TableKept) -> _Part:
    attacks = (*kept.attacks, *(name for name in how.attacks_of(table) if name not in kept.attacks))
    return _Part(widened(table, kept), replace(how, seeds=max(how.seeds, kept.seeds), attacks=attacks), kept)
