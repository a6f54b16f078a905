"""Which result files make a row, what is compared with what, and the table as text."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cktat.errors import CktatError
from cktat.evaluation import Result, results_of
from cktat.evaluation.result import WORST
from cktat.evaluation.rows import in_order
from cktat.evaluation.table import differing, eps_text, highest, not_evaluated, row_of, text_table
from cktat.pages import write_report
from cktat.runs import RunFolder

Make = Callable[..., RunFolder]


def test_results_come_in_the_order_of_the_columns(run: Make) -> None:
    names = ("zoo", "cw", "mim", "pgd100", "pgd20", "fgsm", "clean", "pgd10", "apgd")
    folder = run(measured={f"best-{name}": "1111100000" for name in names})
    expected = ["clean", "fgsm", "pgd10", "pgd20", "pgd100", "mim", "cw", "apgd", "zoo"]
    assert list(results_of(folder, "best")) == expected
    assert in_order([WORST, "zoo", "clean"]) == ["clean", "zoo", WORST]


def test_results_of_other_weights_are_left_out(run: Make, result: Callable[..., Result]) -> None:
    folder = run(measured={"best-clean": "1111111110"})
    result("pgd20", "1111100000", weights="0" * 64).write(folder.results / "best-pgd20.json")
    assert list(results_of(folder, "best")) == ["clean"]
    assert results_of(folder, "last") == {}


@pytest.mark.parametrize(
    ("measured", "images"),
    [
        ({"best-clean": "1" * 10, "best-clean-first20": "1" * 20, "best-clean-eps0.05000": "1" * 30}, 10),
        ({"best-clean-first5": "1" * 5, "best-clean-first9": "1" * 9, "best-clean-eps0.05000": "1" * 30}, 9),
        ({"best-clean-eps0.05000": "1" * 30, "best-clean-eps0.05000-first9": "1" * 9}, 30),
    ],
)
def test_one_group_of_files_is_taken(measured: dict[str, str], images: int, run: Make) -> None:
    """The plain ones; without them one at the run's own eps; of the rest the one with the most images."""
    assert [r.images for r in results_of(run(measured=measured), "best").values()] == [images]


def test_a_curve_is_no_result(run: Make) -> None:
    assert results_of(run(extras=True), "best") == {}


def test_a_run_without_weights_has_no_results(run: Make) -> None:
    assert results_of(run(epochs=0, measured={"best-clean": "1" * 10}), "best") == {}


def test_a_broken_result_is_one_clear_error(run: Make) -> None:
    folder = run(measured={"best-clean": "1" * 10})
    (folder.results / "best-cw.json").write_text("{")
    with pytest.raises(CktatError, match=r"best-cw\.json is not valid JSON"):
        results_of(folder, "best")


def test_the_worst_case_is_over_clean_and_all_attacks(run: Make) -> None:
    row = row_of(run(measured={"best-clean": "1110", "best-pgd20": "1100", "best-cw": "0110"}), "best")
    assert row.results[WORST].robust == "0100"
    assert WORST not in row_of(run("two", measured={"best-clean": "1110"}), "best").results


def test_a_column_says_what_differs(run: Make) -> None:
    rows = [row_of(run("a"), "best"), row_of(run("b", eps=0.1, data="mine.npz"), "best")]
    assert differing(rows) == ["data", "eps"]
    assert differing(rows[:1]) == []


def test_the_highest_is_marked_among_comparable_rows_only(run: Make) -> None:
    few, more = {"best-clean": "1100", "best-pgd20": "1100"}, {"best-clean": "1110", "best-pgd20": "1000"}
    runs = [run("a", measured=few, eps=0.1), run("b", measured=more, eps=0.1), run("c", measured=more, eps=0.2)]
    rows = [row_of(each, "best") for each in runs]
    assert highest(rows) == {(1, "clean"), (0, "pgd20"), (0, WORST)}


def test_worst_cases_over_other_attacks_are_not_compared(run: Make) -> None:
    measured = {"best-clean": "1100", "best-pgd20": "1000"}
    rows = [
        row_of(run("a", measured=measured), "best"),
        row_of(run("b", measured=measured | {"best-cw": "1000"}), "best"),
    ]
    assert {attack for _, attack in highest(rows)} == {"clean", "pgd20"}


@pytest.mark.parametrize(
    ("eps", "text"),
    [
        (8 / 255, "8/255"),
        (0.03137254901960784, "8/255"),
        (0.15, "0.15"),
        (0.2, "0.2"),
        (1.0, "1"),
        (0.0, "0"),
        (None, ""),
    ],
)
def test_a_radius_is_written_as_people_do(eps: float | None, text: str) -> None:
    assert eps_text(eps) == text


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
    there = Result.read(folder.results / "best-pgd20.json")
    wide = {"protocol": there.protocol | {"eps": 0.1}, "robust": "1000"}
    replace(there, **wide).write(folder.results / "best-pgd20-eps0.10000.json")
    few = replace(there, attack="aa", robust="10", labels=there.labels[:2])
    few.write(folder.results / "best-aa-first2.json")
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
