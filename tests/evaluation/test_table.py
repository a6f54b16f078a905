"""Which result files make a row, and what is compared with what."""

from collections.abc import Callable

import pytest

from cktat.errors import CktatError
from cktat.evaluation import Result, results_of
from cktat.evaluation.result import WORST
from cktat.evaluation.rows import in_order
from cktat.evaluation.table import differing, eps_text, highest, row_of
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
    result("pgd20", "1111100000", weights="0" * 64).write(folder.results_path / "best-pgd20.json")
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
    (folder.results_path / "best-cw.json").write_text("{")
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
