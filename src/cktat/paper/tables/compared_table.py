"""A measured table beside the paper's numbers and a named row: what every rendering of it shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from cktat.errors import CktatError, unknown
from cktat.evaluation import Paired, ResultRow, Spread, compare_pair, holm, spread
from cktat.paper.tables.measured_table import MeasuredCell, MeasuredTable

SETTING_APART = ("test images", "seeds", "hardware", "versions", "commit")
"""What may differ between tables whose numbers are compared all the same (of the same images, cell by cell)."""


@dataclass(frozen=True)
class ComparedCell:
    """One cell. paper and ours are percentages, None where there is none; images: tested; seeds: that were measured.

    against: compared with the same column of the named row, over the seeds that both have; corrected: its p after Holm's
    correction for all comparisons of the table. failure: why something is missing; note: its number in the footnotes.
    """

    row: str
    column: str
    paper: float | None
    ours: Spread | None
    images: int
    seeds: tuple[int | None, ...]
    against: Paired | None
    corrected: float | None
    failure: str
    note: int | None

    @property
    def difference(self) -> float | None:
        """Ours less the paper's, in points."""
        return self.ours.mean - self.paper if self.ours and self.paper is not None else None

    @property
    def failed(self) -> bool:
        """Whether there is a failure and no number."""
        return bool(self.failure) and self.ours is None

    @property
    def mark(self) -> str:
        """ "*" for p < 0.05 against the named row, "**" where that holds after the correction, too."""
        if self.against is None or self.corrected is None or not self.against.significant:
            return ""
        return "**" if self.corrected < 0.05 else "*"


@dataclass(frozen=True)
class ComparedTable:
    """All entries of a table, and the reasons of its failures: footnote n is failures[n - 1]."""

    filled: MeasuredTable
    entries: dict[tuple[str, str], ComparedCell]
    failures: tuple[str, ...]

    def row(self, row: str) -> list[ComparedCell]:
        return [self.entries[row, column] for column in self.filled.columns]

    def seeds_of(self, row: str) -> int | None:
        """How many seeds every measured cell of a row has; None if they differ, 0 if none is measured."""
        counts = {entry.ours.n for entry in self.row(row) if entry.ours}
        return None if len(counts) > 1 else max(counts, default=0)

    @property
    def comparisons(self) -> int:
        return sum(entry.against is not None for entry in self.entries.values())


def compared(filled: MeasuredTable) -> ComparedTable:
    """Raises CktatError if the named row is not in the table, or its cells are not of the same images."""
    if filled.against is not None and filled.against not in filled.rows:
        raise unknown(f"row of table {filled.name}", filled.against, filled.rows)
    places = [(row, column) for row in filled.rows for column in filled.columns]
    failures = tuple(dict.fromkeys(cell.failure for place in places if (cell := _cell(filled, place)).failure))
    entries = {place: _entry(filled, place, failures) for place in places}
    tested = [place for place in places if entries[place].against]
    corrected = holm([entries[place].against.p for place in tested])  # type: ignore[union-attr]
    entries |= {place: replace(entries[place], corrected=p) for place, p in zip(tested, corrected, strict=True)}
    return ComparedTable(filled, entries, failures)


def pair(first: Sequence[ResultRow], second: Sequence[ResultRow]) -> Paired | None:
    """First less second over the seeds that both have; None if there is none. Raises CktatError for other images."""
    by_seed = {result.seed: result for result in second}
    both = [(result, by_seed[result.seed]) for result in first if result.seed in by_seed]
    if not both:
        return None
    for one, other in both:
        if one.images != other.images:
            raise CktatError(
                f"{one.path} is of {one.images} images and {other.path} of {other.images}: they cannot be compared"
            )
    return compare_pair([one.robust for one, _ in both], [other.robust for _, other in both])


def comparable(one: MeasuredTable, other: MeasuredTable) -> bool:
    """Whether numbers of two tables are of one setting: what is the same for each is the same for both."""
    settings = [{k: v for k, v in f.setting.items() if k not in SETTING_APART} for f in (one, other)]
    return one is other or (settings[0] == settings[1] and one.weights == other.weights)


def measured(filled: MeasuredTable) -> Iterator[tuple[str, str, ResultRow]]:
    """(row, column, result) of all results of a table, in its order."""
    for row in filled.rows:
        for column in filled.columns:
            yield from ((row, column, result) for result in _cell(filled, (row, column)).measured)


def _cell(filled: MeasuredTable, place: tuple[str, str]) -> MeasuredCell:
    return filled.cells.get(place, MeasuredCell())


def _entry(filled: MeasuredTable, place: tuple[str, str], failures: Sequence[str]) -> ComparedCell:
    row, column = place
    cell = _cell(filled, place)
    against = None
    if filled.against is not None and row != filled.against:
        against = pair(cell.measured, _cell(filled, (filled.against, column)).measured)
    return ComparedCell(
        row=row,
        column=column,
        paper=filled.paper.get(place),
        ours=spread([100 * result.accuracy for result in cell.measured]),
        images=cell.measured[0].images if cell.measured else 0,
        seeds=tuple(result.seed for result in cell.measured),
        against=against,
        corrected=None,
        failure=cell.failure,
        note=failures.index(cell.failure) + 1 if cell.failure else None,
    )
