"""Markdown, LaTeX and CSV of a table: what was measured, what failed, what was not run, and odd names."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

import pytest
from markdown_it import MarkdownIt

from cktat.errors import CktatError
from cktat.evaluation import ResultRow, compare_pair, holm
from cktat.paper.tables import MeasuredCell, MeasuredTable, claims_markdown, csv_text, latex, markdown, paper_numbers
from cktat.paper.tables.text import CSV_COLUMNS


def result(seed: int, flags: str, path: Path) -> ResultRow:
    """A result of which a table needs no more."""
    return ResultRow("pgd20", flags, (), (), {}, {}, "run", "PGDAT", {"seed": seed}, "best", path)


Make = Callable[..., MeasuredTable]
EVIL = r"a|b_c*d #1 & 50% of <it> {x} $y$ [z] \n ~ ^ τ ☃ &lt; --resume"


def some(row: str, column: str) -> float | None:
    """All but the CW of TRADES, and nothing of HAT."""
    return None if row == "HAT" or (row, column) == ("TRADES", "cw") else paper_numbers("4a")[row, column] / 100


@pytest.fixture
def table(filled: Make) -> MeasuredTable:
    failures = {("HAT", "clean"): "training diverged", ("HAT", "aa"): "killed", ("MART", "aa"): "training diverged"}
    return filled("4a", accuracy=some, failures=failures, against="CKTAT beta=6")


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def test_csv_says_all_numbers_and_can_be_read_back(table: MeasuredTable) -> None:
    lines = list(csv.DictReader(io.StringIO(csv_text(table))))
    assert [(line["row"], line["column"]) for line in lines] == [(r, c) for r in table.rows for c in table.columns]
    assert tuple(lines[0]) == CSV_COLUMNS
    tested: list[dict[str, str]] = []
    for line in lines:
        place = line["row"], line["column"]
        cell = table.cells.get(place, MeasuredCell())
        assert float(line["paper"]) == table.paper[place] and line["failure"] == cell.failure
        values = [100 * found.accuracy for found in cell.measured]
        if not values:
            assert {line[name] for name in ("ours", "n", "images", "difference", "p", "against", "deviation")} == {""}
            continue
        assert (float(line["ours"]), float(line["deviation"])) == pytest.approx((fmean(values), stdev(values)))
        assert (line["n"], line["seeds"], line["images"]) == ("3", "0 1 2", "360")
        assert float(line["difference"]) == pytest.approx(fmean(values) - table.paper[place])
        if line["row"] == table.against:
            assert line["p"] == ""
            continue
        named = table.cells["CKTAT beta=6", line["column"]].measured
        pair = compare_pair([found.robust for found in cell.measured], [found.robust for found in named])
        assert float(line["p"]) == pytest.approx(pair.p)
        assert float(line["against_difference"]) == pytest.approx(100 * pair.difference)
        assert (float(line["against_low"]), float(line["against_high"])) == pytest.approx(
            (100 * pair.low, 100 * pair.high)
        )
        tested.append(line)
    assert [float(line["p_corrected"]) for line in tested] == pytest.approx(holm([float(line["p"]) for line in tested]))
    assert len(tested) == 8 * 6 - 7


def test_markdown_has_three_lines_for_a_row(table: MeasuredTable) -> None:
    text = markdown(table)
    lines = [cells_of(line) for line in text.splitlines() if line.startswith("|")]
    assert lines[0] == ["", "", *table.columns] and len(lines) == 2 + 3 * len(table.rows)
    at = 2 + 3 * table.rows.index("TRADES")
    paper, ours, difference = lines[at : at + 3]
    assert paper == ["TRADES", "paper", "82.40", "53.84", "50.64", "54.03", "51.47", "48.72"]
    values = [100 * found.accuracy for found in table.cells["TRADES", "clean"].measured]
    assert ours[:2] == ["", "ours (n = 3)"] and ours[2].startswith(f"{fmean(values):.1f} ± {stdev(values):.1f}")
    assert ours[6] == difference[6] == ""  # not run
    assert difference[2] == f"{fmean(values) - 82.40:+.1f}".replace("-", "−")
    at = 2 + 3 * table.rows.index("HAT")
    assert lines[at + 1] == ["", "ours", "failed [^4a-1]", "", "", "", "", "failed [^4a-2]"]
    assert re.search(r"± \d\.\d( \\\*+)? \[\^4a-1\]", lines[2 + 3 * table.rows.index("MART") + 1][-1])
    assert "[^4a-1]: training diverged" in text and "[^4a-2]: killed" in text
    assert "Holm's correction for all 41 comparisons" in text and "data digits; model small" in text


def test_latex_has_the_lines_of_the_markdown(table: MeasuredTable) -> None:
    def plain(text: str) -> list[str]:
        return re.findall(r"[0-9]+\.[0-9]+|failed|paper|difference|ours|[−+]", text.replace("$-$", "−"))

    body = latex(table).partition(r"\midrule")[2].partition(r"\bottomrule")[0]
    rows = [line for line in body.splitlines() if "&" in line]
    lines = [line for line in markdown(table).splitlines() if line.startswith("|")][2:]
    assert len(rows) == len(lines)
    for row, line in zip(rows, lines, strict=True):
        shown, expected = row.removesuffix(r" \\").split("&"), cells_of(line)
        assert [plain(cell) for cell in shown[1:]] == [plain(cell) for cell in expected[1:]]
        assert shown[0].strip() == expected[0]


def test_a_claim_stands_beside_the_paper_and_beside_ours(filled: Make) -> None:
    def falling(row: str, column: str) -> float:
        return 0.9 - 0.1 * int(row)

    head, _, *rows = (cells_of(line) for line in claims_markdown([filled("3b", accuracy=falling)]).splitlines())
    assert head == ["claim", "where", "on the paper's numbers", "on ours"]
    ((sentence, section, paper, own),) = rows
    assert sentence.startswith("Clean and robust accuracy rise with tau") and section == "5.1, Table 3b"
    assert paper == "holds" and own.startswith("fails (10 of 10 at p") and own.count("not above") == 8


def test_marks_are_those_of_the_numbers(table: MeasuredTable) -> None:
    lines = [cells_of(line) for line in markdown(table).splitlines() if line.startswith("|")]
    marks = set()
    for line in csv.DictReader(io.StringIO(csv_text(table))):
        shown = lines[2 + 3 * table.rows.index(line["row"]) + 1][2 + table.columns.index(line["column"])]
        sure = [float(line[name]) < 0.05 for name in ("p", "p_corrected") if line[name]]
        assert shown.count("*") == sum(sure)
        marks.add(sum(sure))
    assert marks == {0, 1, 2}


def test_seeds_are_said_where_they_differ_and_one_has_no_spread(table: MeasuredTable) -> None:
    cells = dict(table.cells)
    cells["PGDAT", "clean"] = MeasuredCell(cells["PGDAT", "clean"].measured[:1])
    text = markdown(replace(table, cells=cells))
    line = next(line for line in text.splitlines() if line.startswith("|  | ours |"))
    assert re.search(r"\| \d\d\.\d (\\\*)?\(n = 1\) \|.*± \d\.\d \(n = 3\)", line) and "there is no spread" in text
    assert "where there are several, seeds" in text


def test_seeds_are_those_of_the_files_and_are_paired_by_their_number(table: MeasuredTable) -> None:
    """Two rows that share seed 7 alone: it is compared, whatever its place."""
    places = {row: table.cells[row, "clean"].measured for row in ("TRADES", "CKTAT beta=6")}
    seeds = {"TRADES": (4, 7), "CKTAT beta=6": (7, 9, 11)}
    cells = {
        (row, "clean"): MeasuredCell(
            tuple(replace(found, config={"seed": seed}) for found, seed in zip(places[row], seeds[row], strict=False))
        )
        for row in places
    }
    lines = {line["row"]: line for line in csv.DictReader(io.StringIO(csv_text(replace(table, cells=cells))))
             if line["column"] == "clean" and line["n"]}  # fmt: skip
    assert {row: line["seeds"] for row, line in lines.items()} == {"TRADES": "4 7", "CKTAT beta=6": "7 9 11"}
    pair = compare_pair(places["TRADES"][1].robust, places["CKTAT beta=6"][0].robust)
    assert float(lines["TRADES"]["against_difference"]) == pytest.approx(100 * pair.difference)
    assert float(lines["TRADES"]["p"]) == pytest.approx(pair.p)


def test_a_table_of_one_seed_says_what_its_test_is_of(filled: Make) -> None:
    text = markdown(filled("3c", seeds=1, against="6"))
    assert "of these networks" in text and "±" not in text and "against beta = 6" in text
    assert "| beta |" in text and "| tau |" in markdown(filled("3b"))


def test_nothing_was_run_yet(filled: Make) -> None:
    empty = filled("3b", accuracy=lambda row, column: None)
    for text in (markdown(empty), latex(empty)):
        assert "53.4" in text and "failed" not in text and "±" not in text
    assert all(line["ours"] == line["n"] == "" for line in csv.DictReader(io.StringIO(csv_text(empty))))


def test_claims_are_those_about_the_tables(filled: Make) -> None:
    rows = [
        cells_of(line)
        for line in claims_markdown(
            [filled("1b", accuracy=lambda row, column: 0.9 - 0.1 * (row == "ARD"))]
        ).splitlines()
    ]
    assert len(rows) == 3 and rows[2][:3] == [
        "Clean teachers lower clean and robust accuracy of the smaller network.", "4.2, Table 1b",
        "fails; 1b clean: PGDAT 83.92, not above RSLAD 86.93",
    ]  # fmt: skip
    assert rows[2][3].startswith("fails")
    assert (
        claims_markdown([]) == ""
        and claims_markdown([filled("7", rows=["a"], columns=["clean"], accuracy=lambda *_: 0.5)]) == ""
    )


def test_a_row_that_the_paper_has_not(filled: Make) -> None:
    own = filled("3a", rows=["mine"], columns=["clean"], accuracy=lambda row, column: 0.5)
    lines = [line for line in markdown(own).splitlines() if line.startswith("|")]
    assert len(lines) == 3 and cells_of(lines[2])[:2] == ["mine", "ours (n = 3)"]


def odd(filled: Make) -> MeasuredTable:
    """Every text that may come from a user is odd."""
    return filled(
        "3b", rows=[EVIL, "other"], columns=["clean", "a_b"], accuracy=lambda row, c: 0.5 if row == EVIL else None,
        failures={("other", "clean"): EVIL}, title=EVIL, setting={EVIL: EVIL}, against=EVIL,
    )  # fmt: skip


def test_odd_names_do_not_break_markdown_or_csv(filled: Make) -> None:
    table = odd(filled)
    lines = [line for line in markdown(table).splitlines() if line.startswith("|")]
    assert {len(cells_of(line)) for line in lines} == {4}
    (shown,) = (token.children or [] for token in MarkdownIt().parse(cells_of(lines[2])[0]) if token.type == "inline")
    assert "".join(token.content for token in shown) == EVIL and {token.type for token in shown} <= {
        "text",
        "text_special",
    }
    assert "$" not in re.sub(r"\\\$", "", cells_of(lines[2])[0]), "no formula, where one would be set"
    assert [line["row"] for line in csv.DictReader(io.StringIO(csv_text(table)))] == [EVIL, EVIL, "other", "other"]


def test_odd_names_are_escaped_in_latex(filled: Make) -> None:
    text = latex(odd(filled))
    row = next(line for line in text.splitlines() if line.lstrip().startswith("a\\textbar"))
    assert (
        r"a\textbar{}b\_c*d \#1 \& 50\% of \textless{}it\textgreater{} \{x\} \$y\$ {[}z{]} \textbackslash{}n "
        r"\textasciitilde{} \textasciicircum{} $\tau$ {[}U+2603{]} \&lt; -{}-resume &" in row
    )
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule"))


@pytest.mark.parametrize("made", ["whole", "odd"])
def test_latex_compiles(made: str, table: MeasuredTable, filled: Make, tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed, so that nothing can be compiled")
    head = "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}\n"
    (tmp_path / "table.tex").write_text(head + latex(table if made == "whole" else odd(filled)) + "\\end{document}")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]
    assert made == "odd" or "Overfull" not in done.stdout


def test_what_cannot_be_compared_is_refused(table: MeasuredTable) -> None:
    with pytest.raises(CktatError, match="unknown row of table 4a 'CKTAT'"):
        markdown(replace(table, against="CKTAT"))
    cells = dict(table.cells)
    cells["PGDAT", "clean"] = MeasuredCell((result(0, "0101", Path("short.json")),))
    with pytest.raises(CktatError, match=r"short\.json is of 4 images and .* of 360"):
        csv_text(replace(table, cells=cells))
