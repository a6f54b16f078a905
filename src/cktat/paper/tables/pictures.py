"""What the page of a measured table draws: trade-offs, curves over a hyper-parameter, accuracy over epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from cktat.pages.figures import Line, Point, banded, plot, scatter
from cktat.pages.looks import Look, looks_of, numbered
from cktat.paper.tables.compared_table import ComparedTable
from cktat.paper.tables.measured_table import MeasuredTable
from cktat.paper.tables.text import SWEPT


@dataclass(frozen=True)
class Panels:
    """Drawings of one kind, each with its caption. legend: number, look and name of what they show, and small print."""

    title: str
    legend: Sequence[tuple[int, Look, str, str]]
    drawings: Sequence[tuple[str, Markup]]
    note: str


def pictures(table: ComparedTable) -> list[Panels]:
    """Those for which there is something to draw."""
    found = (_trade_off(table), _sweep(table), _histories(table.filled))
    return [panels for panels in found if panels and panels.drawings]


def looks(table: ComparedTable) -> list[Look]:
    """Of each row, wherever the page shows it."""
    return looks_of(table.filled.rows)


def _numbered(filled: MeasuredTable) -> list[tuple[int, Look, str]]:
    return [(n, look, row) for n, (look, row) in enumerate(zip(looks_of(filled.rows), filled.rows, strict=True), 1)]


def _trade_off(table: ComparedTable) -> Panels | None:
    """Clean accuracy against that under the first and the last attack of the table, ours and the paper's."""
    filled = table.filled
    attacks = list(dict.fromkeys([*filled.columns[1:2], *filled.columns[-1:]]))
    if filled.name in SWEPT or len(filled.columns) < 2:
        return None
    drawings = []
    for attack in attacks:
        measured, printed = [], []
        for number, look, row in _numbered(filled):
            clean, robust = table.entries[row, filled.columns[0]], table.entries[row, attack]
            if clean.ours and robust.ours:
                halves = clean.ours.deviation, robust.ours.deviation
                measured.append(Point(number, clean.ours.mean, robust.ours.mean, *halves, look=look))
            if clean.paper is not None and robust.paper is not None:
                printed.append(Point(number, clean.paper, robust.paper, look=look))
        for whose, points in (("Ours", measured), ("The paper", printed)):
            if points and measured:
                caption = f"{whose}: {attack} accuracy (%) against clean accuracy (%)"
                picture = scatter(points, title=caption, x_label="clean accuracy (%)", x_percent=True, y_percent=True)
                drawings.append((caption, picture))
    return Panels(
        "Clean against robust accuracy", [(*one, "") for one in _numbered(filled)], drawings,
        "The better, the further up and to the right. Bars: one standard deviation over seeds, none where there is one seed. "
        "Each picture has its own axes.",
    )  # fmt: skip


def _sweep(table: ComparedTable) -> Panels | None:
    filled = table.filled
    if filled.name not in SWEPT:
        return None
    drawings = []
    for column in filled.columns:
        entries = [(float(row), table.entries[row, column]) for row in filled.rows if _is_number(row)]
        measured = [(x, [100 * f.accuracy for f in filled.cells[e.row, column].measured]) for x, e in entries if e.ours]
        printed = [(x, e.paper) for x, e in entries if e.paper is not None]
        lines = {
            "Ours": [banded(1, [x for x, _ in measured], [values for _, values in measured])] if measured else [],
            "The paper": [Line(2, [x for x, _ in printed], [y for _, y in printed])] if printed and measured else [],
        }
        for whose, drawn in lines.items():
            if drawn:
                caption = f"{whose}: {column} accuracy (%)"
                picture = plot(drawn, title=caption, x_label=SWEPT[filled.name], percent=True, zoomed=True)
                drawings.append((caption, picture))
    return Panels(
        f"Accuracy over {SWEPT[filled.name]}", [(1, numbered(1), "ours", ""), (2, numbered(2), "the paper", "")], drawings,
        "Bands: one standard deviation over seeds. Each picture has its own upright axis.",
    )  # fmt: skip


def _is_number(row: str) -> bool:
    return row.replace(".", "", 1).isdigit()


def _histories(filled: MeasuredTable) -> Panels | None:
    """Held-out accuracy over epochs, mean over the seeds of a row, as far as all of them are trained."""
    drawings = []
    for key, name in (("clean", "clean"), ("pgd", "PGD")):
        lines = []
        for number, look, row in _numbered(filled):
            seeds = [[100 * epoch["held_out"][key] for epoch in log] for log in filled.histories.get(row, ()) if log]
            values = list(zip(*seeds, strict=False))
            if values:
                lines.append(banded(number, range(1, len(values) + 1), values, look))
        if lines:
            caption = f"Held-out accuracy, {name} (%)"
            drawings.append((caption, plot(lines, title=caption, x_label="epoch", percent=True, zoomed=True)))
    logged = [(*one, "") for one in _numbered(filled) if any(filled.histories.get(one[-1], ()))]
    return Panels(
        "Robust overfitting", logged, drawings,
        "On held-out training images, under the adversary of training; mean over seeds, bands of one standard deviation. A "
        "robust accuracy that falls while the clean one goes on rising is overfitted.",
    )  # fmt: skip
