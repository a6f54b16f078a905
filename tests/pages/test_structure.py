"""What every kind of page has, read from its text: landmarks, the result on top, captions, areas that keys reach, contrast,
and tables that can be saved."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from cktat.pages.downloads import DownloadTable, download
from cktat.pages.template import ENVIRONMENT

from .kinds import KINDS
from .test_looks import contrast


@pytest.fixture(params=KINDS)
def path(request: pytest.FixtureRequest, run: Any, runs: Any, tmp_path: Path) -> Path:
    return KINDS[request.param](tmp_path, run, runs)


def saved(link: Element) -> str:
    return base64.b64decode((link.get("href") or "").partition(";base64,")[2]).decode()


def test_every_kind_of_page(path: Path, shown: Any) -> None:
    page = shown.page(path)
    assert [len(list(page.iter(tag))) for tag in ("main", "h1", "footer")] == [1, 1, 1]
    (main,) = page.iter("main")
    result = next(p for p in main.iter("p") if p.get("class") in ("result", "lead"))
    assert result.get("class") == "result" and shown.text(result).endswith("."), "the result stands before all else"

    for table in page.iter("table"):
        assert table[0].tag == "caption" and shown.text(table[0])
        for th in table.iter("th"):
            assert th.get("scope") in ("row", "col", "colgroup"), shown.text(th)
            assert shown.text(th)
    areas = [div for div in page.iter("div") if div.get("class") == "scroll"]
    assert all(div.get("tabindex") == "0" and div.get("role") == "region" for div in areas)
    names = [div.get("aria-label") for div in areas]
    assert all(names) and len(set(names)) == len(names)
    inside = {id(table) for div in areas for table in div.iter("table")}
    assert all(id(table) in inside for table in page.iter("table"))
    assert all(shown.text(next(figure.iter("figcaption"))) for figure in page.iter("figure"))
    assert all(image.get("alt") for image in page.iter("img"))
    targets = {element.get("id") for element in page.iter()}
    assert {(a.get("href") or "")[1:] for a in page.iter("a") if (a.get("href") or "").startswith("#")} <= targets

    links = [a for a in page.iter("a") if a.get("download")]
    files = [a.get("download") or "" for a in links]
    assert len(set(files)) == len(files)
    for one, other in zip(links[::2], links[1::2], strict=True):
        head, *rows = csv.reader(io.StringIO(saved(one)))
        content = json.loads(saved(other))
        assert content["columns"] == head and len(set(map(len, rows))) <= 1
        assert [["" if cell is None else str(cell) for cell in row] for row in content["data"]] == rows
    lists = [d for d in page.iter("details") if len(list(d.iter("tr"))) > 1]
    assert all(re.search(r"\(\d+", shown.text(d[0])) for d in lists), "what is folded says how much it is"


def test_what_is_saved_is_what_was_measured(run: Any, runs: Any, shown: Any, tmp_path: Path) -> None:
    page = shown.page(KINDS["report"](tmp_path, run, runs))
    text = saved(next(a for a in page.iter("a") if a.get("download") == "accuracy-of-every-run.csv"))
    lines = list(csv.DictReader(io.StringIO(text)))
    found = {(line["run"], line["weights"], line["attack"]): int(line["correct"]) for line in lines}
    assert found == {
        ("one", "best", "clean"): 9, ("one", "best", "pgd20"): 5, ("one", "best", "cw"): 4,
        ("one", "best", "worst case"): 4, ("one", "last", "clean"): 10, ("two", "best", "clean"): 10,
        ("two", "best", "pgd20"): 5, ("two", "best", "cw"): 4, ("two", "best", "worst case"): 4,
    }  # fmt: skip
    assert {float(line["accuracy"]) for line in lines if line["attack"] == "pgd20"} == {0.5}


def test_saved_text_comes_back_whole() -> None:
    table = DownloadTable(("a", "b"), [('say "x", y\nz', None), ("∞ – é", 0.1)])
    assert list(csv.reader(io.StringIO(table.csv))) == [["a", "b"], ['say "x", y\nz', ""], ["∞ – é", "0.1"]]
    assert json.loads(table.json) == {"columns": ["a", "b"], "data": [['say "x", y\nz', None], ["∞ – é", 0.1]]}
    assert DownloadTable.of([]).csv == "\n" and "<b>" not in download("<b>", table)


STYLE = ENVIRONMENT.get_template("pages/base.html.jinja").render(title="", today="")
ON = {
    "--ink": ("--page", "--panel"), "--soft": ("--page", "--panel"), "--good": ("--page",), "--bad": ("--page",),
    "--link": ("--page",), **{f"--run{n}": ("--page",) for n in range(1, 14)},
}  # fmt: skip


@pytest.mark.parametrize("ground", ["light", "dark"])
def test_what_is_written_can_be_read(ground: str) -> None:
    blocks = re.findall(r":root \{(.*?)\}", STYLE, flags=re.DOTALL)
    assert len(blocks) == 2
    colours = dict(re.findall(r"(--\w+): (#[0-9a-f]{3,6});", blocks[ground == "dark"]))
    for ink, grounds in ON.items():
        for under in grounds:
            assert contrast(colours[ink], colours[under]) >= 4.5, (ink, under)
    for rule in re.findall(r"\.tag \{.*?\}", STYLE, flags=re.DOTALL):
        assert "background: var(--c)" in rule and "color: var(--page)" in rule


def test_paper_has_all_that_is_folded() -> None:
    printed = STYLE.partition("@media print {")[2]
    assert (
        "details::details-content { content-visibility: visible" in printed
        and ".get, .contents { display: none; }" in printed
    )
    assert "screen and (prefers-color-scheme: dark)" in STYLE
