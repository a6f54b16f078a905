"""Tables as grids: which runs and measurements they ask for, and what is measured of them, cell by cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cktat.errors import CktatError
from cktat.evaluation import CLEAN
from cktat.evaluation.table import eps_text
from cktat.grid import Evidence, Grid, Measurement, configured, export
from cktat.grid.tasks import Key
from cktat.pages.text import commit_text
from cktat.paper.tables.declared import Table, TableRow, model_of
from cktat.paper.tables.measured_table import MeasuredCell, MeasuredTable
from cktat.paper.tables.paper import paper_numbers, paper_tables
from cktat.runs import RunFolder

COSTLY = ("aa",)
"""Attacks that have a number of test images of their own."""


@dataclass(frozen=True)
class How:
    """How tables are run. options: of `cktat.train`, the same for all rows. attacks: None is each table's own. images: the
    first so many test images, None is all; costly_images: the same for the COSTLY attacks, None is as for the others.
    store: where runs lie; records: a folder of exported records that count as measured.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 1
    weights: str = "best"
    attacks: tuple[str, ...] | None = None
    images: int | None = None
    costly_images: int | None = None
    store: str | Path | None = None
    records: Path | None = None

    def attacks_of(self, table: Table) -> tuple[str, ...]:
        return table.attacks if self.attacks is None else self.attacks

    def measurements(self, table: Table) -> tuple[Measurement, ...]:
        """What is measured of every run of a table."""
        attacks = self.attacks_of(table)
        if self.costly_images in (None, self.images) or not set(attacks) & set(COSTLY):
            return (Measurement(self.weights, attacks, self.images),)
        usual = tuple(name for name in attacks if name not in COSTLY)
        costly = tuple(name for name in attacks if name in COSTLY)
        return Measurement(self.weights, usual, self.images), Measurement(self.weights, costly, self.costly_images)


class TableGrid:
    """The runs of several tables as one grid, so that what they share is computed once.

    Raises CktatError for options that make no sense, before anything is run.
    """

    def __init__(self, tables: Sequence[Table], how: How) -> None:
        if how.weights not in ("best", "last"):
            raise CktatError(f"weights must be best or last, not {how.weights!r}")
        self.tables, self.how = tuple(tables), how
        asked = [
            (_label(table, row, seed), self._options(table, row, seed), how.measurements(table))
            for seed in range(how.seeds)
            for table in tables
            for row in table.rows
        ]
        self.grid = Grid(*configured(asked), how.store, how.records)

    def _options(self, table: Table, row: TableRow, seed: int) -> dict[str, Any]:
        model = model_of(table, self.how.options.get("model") or "small")
        own = {"design": row.design, "set": dict(row.set), "seed": seed, "model": model}
        return {**self.how.options, **own, **row.options}

    def fill(self, failures: Mapping[Key, str] | None = None) -> list[MeasuredTable]:
        """The tables as far as they are measured by now. failures: what the grid reported, shown in its cells."""
        evidence = self.grid.evidence()
        return [self._fill(table, evidence, failures or {}) for table in self.tables]

    def folders(self, table: Table, seed: int = 0) -> list[RunFolder]:
        """The run folders of a table's rows that are trained."""
        folders = self.grid.evidence().folders
        identities = [self._identity(table, row, seed) for row in table.rows]
        return [folders[identity] for identity in identities if identity in folders and folders[identity].finished]

    def export(self, records: Path) -> list[str]:
        """Writes a record of every run into the folder: what stands behind the tables, without weights. Returns why runs
        have none whose result files were edited."""
        evidence, faults = self.grid.evidence(), []
        for identity in self.grid.runs:
            if identity in evidence.folders:
                try:
                    export(evidence.folders[identity], records)
                except CktatError as error:
                    faults.append(str(error))
        return faults

    def _fill(self, table: Table, evidence: Evidence, failures: Mapping[Key, str]) -> MeasuredTable:
        columns = (CLEAN, *self.how.attacks_of(table))
        where: dict[str, Measurement] = {}
        for measurement in self.how.measurements(table):
            for attack in (CLEAN, *measurement.attacks):
                where.setdefault(attack, measurement)
        cells = {}
        for row in table.rows:
            for column in columns:
                cell = self._cell(table, row, column, where[column], evidence, failures)
                if cell.measured or cell.failure:
                    cells[row.label, column] = cell
        identities = {
            row.label: [self._identity(table, row, seed) for seed in range(self.how.seeds)] for row in table.rows
        }
        return MeasuredTable(
            table.name,
            table.title,
            tuple(row.label for row in table.rows),
            columns,
            cells,
            paper_of(table, self.grid.data.name),
            weights=self.how.weights,
            setting=self._setting(table, evidence, where),
            against=table.against,
            histories={
                label: tuple(tuple(about["history"]) for of in names if (about := evidence.about(of)))
                for label, names in identities.items()
            },
        )

    def _cell(
        self,
        table: Table,
        row: TableRow,
        column: str,
        measurement: Measurement,
        evidence: Evidence,
        failures: Mapping[Key, str],
    ) -> MeasuredCell:
        measured, failed = [], []
        for seed in range(self.how.seeds):
            identity = self._identity(table, row, seed)
            failure = failures.get((identity, measurement), "")
            try:
                found = self.grid.result(evidence, _label(table, row, seed), measurement, column)
            except CktatError as error:
                found, failure = None, str(error)
            if found is not None:
                measured.append(found)
            elif failure:
                failed.append(f"seed {seed}: {failure}")
        return MeasuredCell(tuple(measured), "; ".join(failed))

    def _identity(self, table: Table, row: TableRow, seed: int) -> str:
        return self.grid.identities[_label(table, row, seed)]

    def _setting(self, table: Table, evidence: Evidence, where: Mapping[str, Measurement]) -> dict[str, str]:
        labels = {_label(table, row, seed) for row in table.rows for seed in range(self.how.seeds)}
        asked = [one for one in self.grid.asked if one.label in labels]
        configs = [one.config for one in asked]
        known = [about for label in labels if (about := evidence.about(self.grid.identities[label]))]
        data, sizes = self.grid.data, {name: self.grid.images(m) for name, m in where.items()}
        usual = sizes[CLEAN]
        others = ", ".join(f"{name} {size:,}" for name, size in sizes.items() if size != usual)
        recipes = [config.recipe for config in configs]
        threats = [config.threat for config in configs]
        trained = _join(f"{t.norm}, eps {eps_text(t.eps)}, PGD-{t.steps} in training" for t in threats)
        elsewhere = [eps_text(one.ball.eps) for one in asked if one.ball != one.config.threat]
        versions = [f"torch {about['versions']['torch']}" for about in known if about.get("versions")]
        hardware = [of.get("gpu") or f"{of['cpu']}, {of['threads']} thread(s)" for of in _hardware(known)]
        return {
            "data": data.name,
            "training images": f"{len(data.train):,}",
            "test images": f"{usual:,} ({others})" if others else f"{usual:,}",
            "model": _join(config.model for config in configs),
            "adversary": trained + (f", eps {_join(elsewhere)} in evaluation" if elsewhere else ""),
            "recipe": self.how.options.get("recipe") or "common",
            "epochs": _join(str(recipe.epochs) for recipe in recipes),
            "batch size": _join(str(recipe.batch_size) for recipe in recipes),
            "lr": _join(f"{recipe.lr:g}" for recipe in recipes),
            "precision": f"{_join(config.precision for config in configs)} in training, fp32 in evaluation",
            "seeds": f"0 to {self.how.seeds - 1}" if self.how.seeds > 1 else "0",
            "hardware": _join(hardware),
            "versions": _join(versions),
            "commit": _join(commit_text(about["commit"]) for about in known if about.get("commit")),
        }


def paper_of(table: Table, data: str) -> Mapping[tuple[str, str], float]:
    """The paper's percentages, where the table is filled on the data that they are of."""
    return paper_numbers(table.name) if data == table.data and table.name in paper_tables() else {}


def _label(table: Table, row: TableRow, seed: int) -> str:
    return f"{table.name} {row.label}, seed {seed}"


def _hardware(known: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [about["hardware"] for about in known if about.get("hardware")]


def _join(texts: Iterable[str]) -> str:
    return ", ".join(sorted(set(texts)))
