"""The page of measured tables: whole, in one file, honest about gaps, and deaf to markup in names."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cktat.errors import CktatError
from cktat.paper.tables import MeasuredCell, MeasuredTable, paper_numbers, write_page

Make = Callable[..., MeasuredTable]
EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Tags and words; fails on a tag that is closed without having been opened."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:  # nothing is fetched
            assert name not in ("src", "href", "xlink:href") or (value or "").startswith(
                ("#", "data:text/csv", "data:application/json")
            )
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)


def test_a_page_of_all_kinds_of_tables(filled: Make, tmp_path: Path) -> None:
    four = filled(
        "4a", accuracy=lambda row, column: None if row == "HAT" else paper_numbers("4a")[row, column] / 100,
        failures={("HAT", column): "training diverged" for column in ("clean", "aa")}, epochs=6, against="CKTAT beta=6",
    )  # fmt: skip
    out = write_page(
        [four, filled("3b"), filled("3c", against="6"), filled("1b", seeds=1)], tmp_path / "new" / "tables.html"
    )
    page = Page(out)
    assert "Table 4a: table 4a of digits" in page.text and "commit 0123456789ab" in page.text
    assert "1 failed : training diverged" in page.text and page.text.count("failed") >= 3
    assert "paper 51.87" in page.text and "n = 3" in page.text and "n = 1" in page.text
    assert "Less CKTAT beta=6, on the same images" in page.text and "Less beta = 6" in page.text
    # two trade-offs of 4a, one of 1b, each beside the paper's; clean and PGD-20 of two sweeps; two curves over epochs
    assert page.tags.count("figure") == 2 * 2 + 2 * 1 + 2 * 4 + 2
    assert "Robust overfitting" in page.text and "Accuracy over tau" in page.text
    assert "Clean teachers lower clean and" in page.text and "1b clean: PGDAT 83.92, not above RSLAD 86.93" in page.text
    assert "Table 4b" not in page.text and "Table 3a" not in page.text  # no claim about a table that is not there
    assert f"The result files of table 4a ({3 * 8 * 6})" in page.text
    assert "runs/TRADES-s2/results/best-aa.json" in page.text


def test_a_table_that_was_not_run_is_the_papers_and_nothing_more(filled: Make, tmp_path: Path) -> None:
    page = Page(write_page([filled("4b", accuracy=lambda row, column: None)], tmp_path / "t.html"))
    assert "28.51" in page.text and "±" not in page.text and "svg" not in page.tags and "failed" not in page.text
    assert "not measured" in page.text and "result files" not in page.text


def test_markup_in_names_stays_text(filled: Make, tmp_path: Path) -> None:
    odd = filled(
        "4a", rows=[EVIL, "b"], columns=["clean", EVIL], accuracy=lambda row, c: 0.5 if row == EVIL else None, title=EVIL,
        failures={("b", "clean"): EVIL}, setting={EVIL: EVIL}, epochs=2, against=EVIL,
    )  # fmt: skip
    page = Page(write_page([odd], tmp_path / "t.html", title=EVIL))
    assert "script" not in page.tags and page.text.count(EVIL) > 8


def test_curves_end_where_the_shortest_seed_does(filled: Make, tmp_path: Path) -> None:
    table = filled("3b", rows=["1", "2"], epochs=5)
    first = table.histories["1"]
    page = Page(
        write_page([replace(table, histories={"1": (first[0][:2], first[1]), "2": ((),)})], tmp_path / "t.html")
    )
    assert "Robust overfitting" in page.text
    assert "Robust overfitting" not in Page(write_page([replace(table, histories={})], tmp_path / "t.html")).text


def test_a_row_beside_the_numbers_of_a_sweep_and_no_numbers_of_the_paper(filled: Make, tmp_path: Path) -> None:
    table = replace(filled("3b", rows=["1", "2.5", "auto"], accuracy=lambda row, column: 0.5), paper={})
    page = Page(write_page([table], tmp_path / "t.html"))
    assert page.tags.count("figure") == 2 and "auto" in page.text and "paper 5" not in page.text
    assert "Difference" not in page.text


def test_a_single_number(filled: Make, tmp_path: Path) -> None:
    one = filled("4a", rows=["PGDAT"], columns=["clean"], seeds=1)
    assert "svg" not in Page(write_page([one], tmp_path / "t.html")).tags
    gap = replace(one, cells={("PGDAT", "clean"): MeasuredCell(failure="no such data")})
    assert "no such data" in Page(write_page([gap], tmp_path / "t.html")).text


def test_what_cannot_be_shown_is_refused(filled: Make, tmp_path: Path) -> None:
    with pytest.raises(CktatError, match="no tables"):
        write_page([], tmp_path / "t.html")
    with pytest.raises(CktatError, match="is a folder"):
        write_page([filled("3b")], tmp_path)
    with pytest.raises(CktatError, match="only one"):
        write_page([filled("3b"), filled("3b")], tmp_path / "t.html")
    assert not (tmp_path / "t.html").exists()
