"""Tables as plain text, numbers as people write them, and the base that all pages stand on."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from cktat.errors import CktatError
from cktat.evaluation import Result, Spread, spread
from cktat.evaluation.table import row_of
from cktat.pages import write_report
from cktat.pages.template import rendered
from cktat.pages.text import aligned, chance, commit_text, mean_sd, not_evaluated, number, text_table
from cktat.runs import RunFolder

Make = Callable[..., RunFolder]


@given(
    st.integers(1, 4).flatmap(
        lambda n: st.lists(st.lists(st.text("ab", max_size=5), min_size=n, max_size=n), min_size=1)
    )
)
def test_columns_of_words_start_together_and_those_of_numbers_end_together(lines: list[list[str]]) -> None:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for words in range(len(widths) + 1):
        for cells, text in zip(lines, aligned(lines, words), strict=True):
            start = 0
            for i, width in enumerate(widths):
                shown = text.ljust(sum(widths) + 2 * len(widths))[start : start + width]
                assert shown.strip() == cells[i] and (
                    shown.startswith(cells[i]) if i < words else shown.endswith(cells[i])
                )
                start += width + 2
            assert text == text.rstrip()
    assert aligned(lines) == aligned(lines, len(widths))


def test_a_mean_has_a_spread_where_there_is_one() -> None:
    values = [50.0, 52.0, 57.0]
    assert mean_sd(spread(values)) == f"{mean(values):.1f} ± {stdev(values):.1f}" == "53.0 ± 3.6"
    assert mean_sd(Spread(1.005, 0.25, 2), 2, signed=True) == "+1.00 ± 0.25"
    assert mean_sd(Spread(-1.0, 0.0, 2), signed=True) == "-1.0 ± 0.0"
    assert mean_sd(spread([50.0])) == "50.0"
    assert mean_sd(None) == ""


def test_numbers_are_written_as_people_do() -> None:
    assert [number(None), number(-1.25, 2), number(0.5, signed=True), number(-0.01, signed=True)] == [
        "",
        "−1.25",
        "+0.5",
        "0.0",
    ]
    assert [chance(0.0312), chance(0.001), chance(0.0009)] == ["0.031", "0.001", "< 0.001"]
    assert commit_text("0123456789abcdef") == "0123456789ab"
    assert commit_text("0123456789abcdef+changed") == "0123456789ab with uncommitted changes"


def test_a_page_has_one_style_and_one_main_and_nothing_is_missing_or_unescaped() -> None:
    page = rendered("pages/sections.html.jinja", title="a < b", lead="", result="", sections=[])
    assert page.startswith("<!doctype html>") and page.endswith("</html>\n")
    for tag in ("title", "style", "main", "body"):
        assert (len(re.findall(f"<{tag}[ >]", page)), page.count(f"</{tag}>")) == (1, 1)
    assert "<title>a &lt; b</title>" in page
    with pytest.raises(UndefinedError, match="sections"):
        rendered("pages/sections.html.jinja", title="", lead="", result="")


def test_the_text_table_is_aligned_and_states_its_terms(run: Make) -> None:
    runs = [
        run("one", hyper={"beta": 6.0}, measured={"best-clean": "1111111110", "best-pgd20": "1111100000"}),
        run("two", design="Standard", measured={"best-clean": "1111111111"}),
    ]
    assert text_table(runs).splitlines() == [
        "design         seed  weights       clean      pgd20  worst case",
        "TRADES beta=6  3     best           90.0       50.0        50.0",
        "                               59.6-98.2  23.7-76.3   23.7-76.3",
        "Standard       3     best          100.0",
        "                              72.2-100.0",
        "Accuracy in %, below it Wilson's 95 % interval; data digits, model small, eps 8/255, test images 10.",
    ]


def test_what_a_row_lacks_stays_empty_in_its_own_column(run: Make) -> None:
    whole = {"best-clean": "1111111110", "best-pgd20": "1111111100", "best-cw": "1111111000"}
    runs = [
        run("one", seed=4, measured=whole),
        run("two", seed=5, measured={"best-clean": "1111110000", "best-cw": "1100000000"}),
    ]
    head, one, _, two, below, _ = text_table(runs).splitlines()
    assert one.split() == ["TRADES", "4", "best", "90.0", "80.0", "70.0", "70.0"]
    assert two.split() == ["TRADES", "5", "best", "60.0", "20.0", "20.0"]
    assert two.index("20.0") + 4 == head.index("cw") + 2 == below.index("5.7-51.0") + 8


def test_the_text_table_says_how_to_evaluate(run: Make, tmp_path: Path) -> None:
    folder = run("with space")
    assert not_evaluated(folder) == "not evaluated yet: `cktat evaluate 'with space'`"
    assert text_table([folder]).splitlines()[-1] == not_evaluated(folder)
    assert text_table([]) == "no runs"


def test_other_radii_and_images_are_said_where_one_is_shown(run) -> None:
    folder = run("one", measured={"best-clean": "1110", "best-pgd20": "1100"})
    assert row_of(folder, "best").notes == ()
    there = Result.read(folder.results_path / "best-pgd20.json")
    wide = {"protocol": there.protocol | {"eps": 0.1}, "robust": "1000"}
    replace(there, **wide).write(folder.results_path / "best-pgd20-eps0.10000.json")
    few = replace(there, attack="aa", robust="10", labels=there.labels[:2])
    few.write(folder.results_path / "best-aa-first2.json")
    said = "also measured: 2 images (aa); eps 0.1 (pgd20)"
    assert row_of(folder, "best").notes == (said,)
    assert f"one: {said}." in text_table([folder]).splitlines()
    assert said in write_report([folder], folder.path / "page.html").read_text()


def test_numbers_of_a_run_that_was_stopped_say_so(run) -> None:
    folder = run("one", measured={"best-clean": "1110"}, epochs=1)
    said = "its training is not finished (1 of 2 epochs): its numbers are of a network on the way"
    assert f"one: {said}." in text_table([folder]).splitlines()
    assert said in write_report([folder], folder.path / "page.html").read_text()
    folder.write(finished={"at": "now"})
    assert "not finished" not in text_table([folder])


def test_a_damaged_run_is_left_out_of_a_page_and_named(run, tmp_path) -> None:
    good, bad = run("one", measured={"best-clean": "1110"}), run("two", measured={"best-clean": "1110"})
    (bad.path / "log.jsonl").write_text("{broken\n")
    with pytest.raises(
        CktatError, match=r"page\.html was written without .*two: .*log\.jsonl, line 1, is not valid JSON"
    ):
        write_report([bad, good], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "two was left out, because it is damaged" in text and "75.0" in text
    with pytest.raises(CktatError, match="is not valid JSON"):
        write_report([bad], tmp_path / "none.html")
    assert not (tmp_path / "none.html").exists()
