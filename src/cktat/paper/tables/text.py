"""Measured tables as Markdown, LaTeX and CSV."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from cktat.pages.downloads import DownloadTable
from cktat.pages.template import rendered
from cktat.pages.text import mean_sd, number
from cktat.paper.tables.compared_table import ComparedCell, ComparedTable, compared
from cktat.paper.tables.measured_table import MeasuredTable
from cktat.paper.tables.verdicts import ClaimVerdict, claims_about

SWEPT = {"3b": "tau", "3c": "beta"}
"""What the rows of a table are values of."""


def ours(entry: ComparedCell, seeds: int | None) -> str:
    """Mean ± standard deviation over seeds, "failed", or "". seeds: those of the whole row, None to say them here."""
    if entry.ours is None:
        return "failed" if entry.failed else ""
    return mean_sd(entry.ours) + ("" if seeds else f" (n = {entry.ours.n})")


def heading(filled: MeasuredTable) -> str:
    return f"Table {filled.name}: {filled.title}"


def row_name(filled: MeasuredTable, row: str) -> str:
    """A row in a sentence: "tau = 5" where rows are values of something."""
    return f"{SWEPT[filled.name]} = {row}" if filled.name in SWEPT else row


def explained(table: ComparedTable) -> list[str]:
    """The sentences that a reader of the table needs, without its setting and failures."""
    filled = table.filled
    counts = {entry.ours.n for entry in table.entries.values() if entry.ours}
    said = f"Accuracy in %, {filled.weights} weights."
    if counts - {1}:
        said += " Ours: mean ± standard deviation over n seeds."
    if 1 in counts:
        said += " Where n is 1 there is no spread to tell."
    if filled.paper:
        said += " Difference: ours less the paper's."
    lines = [f"{said} An empty cell was not run."]
    if table.comparisons:
        seeds = [entry.against.seeds for entry in table.entries.values() if entry.against]
        how = "images and seeds" if min(seeds) > 1 else "images and, where there are several, seeds"
        if max(seeds) == 1:
            how = "images: of these networks, and not of others that are trained alike with other seeds"
        lines.append(
            f"*: p < 0.05 against {row_name(filled, filled.against or '')} in the same column, paired over {how}; "
            f"**: so after Holm's correction for all {table.comparisons} comparisons, too."
        )
    return lines


def setting(filled: MeasuredTable) -> str:
    return "; ".join(f"{name} {value}" for name, value in filled.setting.items())


def shown(table: ComparedTable, escape: Callable[[str], str], note: Callable[[int], str]) -> dict[str, Any]:
    """The values of a template of a table: all text is escaped; `note` marks the failure of this number.

    rows: for each row its lines, the paper's numbers and the difference only where the paper has that row. A line is the
    row (at its first line only), what the line shows, and the cells.
    """
    filled, rows = table.filled, []
    for row in filled.rows:
        entries, seeds = table.row(row), table.seeds_of(row)
        label = "ours" if not seeds else f"ours (n = {seeds})"
        measured = [
            escape(ours(entry, seeds) + (f" {entry.mark}" if entry.mark else ""))
            + ("" if entry.note is None else f" {note(entry.note)}")
            for entry in entries
        ]
        found = [("", label, measured)]
        if any(entry.paper is not None for entry in entries):
            found.insert(0, ("", "paper", [number(entry.paper, 2) for entry in entries]))
            found.append(("", "difference", [escape(number(entry.difference, signed=True)) for entry in entries]))
        rows.append([(escape(row), *found[0][1:]), *found[1:]])
    return {
        "name": filled.name, "heading": escape(heading(filled)), "title": escape(filled.title), "rows": rows,
        "setting": escape(setting(filled)), "swept": SWEPT.get(filled.name, ""), "heads": [*map(escape, filled.heads)],
        "sentences": [*map(escape, explained(table))], "failures": [*map(escape, table.failures)],
    }  # fmt: skip


def markdown(filled: MeasuredTable) -> str:
    """A heading, the setting, the table and its notes, as GitHub's Markdown."""
    values = shown(compared(filled), _markdown, lambda number: f"[^{filled.name}-{number}]")
    return rendered("paper/tables/table.md.jinja", **values)


def claims_markdown(filleds: Sequence[MeasuredTable]) -> str:
    """What the paper says of these tables, on its numbers and on ours; "" if it says nothing of them."""

    def cell(found: ClaimVerdict) -> str:
        sure = (
            f" ({found.significant} of {found.measured} at p < 0.05)"
            if found.significant is not None and found.measured
            else ""
        )
        return "; ".join([found.says + sure, *found.broken])

    claims = claims_about(filleds)
    if not claims:
        return ""
    rows = [
        [_markdown(text) for text in (here.claim.sentence, here.claim.section, cell(paper), cell(here))]
        for paper, here in claims
    ]
    return rendered("paper/tables/claims.md.jinja", rows=rows)


def latex(filled: MeasuredTable) -> str:
    r"""A table environment, its setting and notes below it, for a document with \usepackage{booktabs} and, where more than
    three columns are scaled to the width of the text, \usepackage{graphicx}."""
    values = shown(compared(filled), _latex, lambda number: rf"\textsuperscript{{{number}}}")
    label = re.sub("[^A-Za-z0-9-]", "-", filled.name)
    return rendered("paper/tables/table.tex.jinja", label=label, **values)


CSV_COLUMNS = (
    "table", "row", "column", "weights", "paper", "ours", "deviation", "n", "seeds", "images", "difference", "against",
    "against_difference", "against_low", "against_high", "p", "p_corrected", "failure",
)  # fmt: skip


def saved(filled: MeasuredTable) -> DownloadTable:
    """One line per cell, run or not. Accuracies, deviation and differences in %, with all digits; seeds parted by blanks.

    against_difference: ours less that of the row `against`, with its 95 % interval; p_corrected: Holm's.
    """
    rows = []
    for entry in compared(filled).entries.values():
        line: dict[str, Any] = dict.fromkeys(CSV_COLUMNS)
        line |= {"table": filled.name, "row": entry.row, "column": entry.column, "weights": filled.weights}
        line |= {"paper": entry.paper, "difference": entry.difference, "failure": entry.failure}
        if entry.ours:
            line |= {"ours": entry.ours.mean, "n": entry.ours.n, "images": entry.images}
            line |= {"deviation": entry.ours.deviation if entry.ours.n > 1 else None}
            line |= {"seeds": " ".join(map(str, entry.seeds))}
        if found := entry.against:
            line |= {"against": filled.against, "against_difference": 100 * found.difference}
            line |= {"against_low": 100 * found.low, "against_high": 100 * found.high}
            line |= {"p": found.p, "p_corrected": entry.corrected}
        rows.append(tuple(line.values()))
    return DownloadTable(CSV_COLUMNS, rows)


def csv_text(filled: MeasuredTable) -> str:
    """`saved` as comma-separated values."""
    return saved(filled).csv


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_|<>\[\]#~&$])", r"\\\1", " ".join(text.split()))


LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "[": "{[}", "]": "{]}", "−": "$-$", "±": r"$\pm$", "×": r"$\times$", "–": r"\textendash{}", "—": r"\textemdash{}", "’": "'",
    "…": r"\dots{}",
    "τ": r"$\tau$", "β": r"$\beta$", "ε": r"$\epsilon$", "∞": r"$\infty$", "≤": r"$\leq$", "≥": r"$\geq$", "′": r"$'$",
}  # fmt: skip

LETTERS = "äöüÄÖÜßéèêëáàâíìîïóòôúùûçñåøæÅØÆÇÑ"
"""Beyond ASCII: what LaTeX sets without a package."""


def _latex(text: str) -> str:
    """Text that stands for itself; a character that LaTeX has no letter for becomes its number, [U+2603]."""

    def one(character: str) -> str:
        if character in LATEX:
            return LATEX[character]
        known = character.isprintable() and (character.isascii() or character in LETTERS)
        return character if known else f"{{[}}U+{ord(character):04X}{{]}}"

    return re.sub("-(?=-)", "-{}", "".join(map(one, " ".join(text.split()))))  # of --resume no dash is made
