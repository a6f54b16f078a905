"""The paper's numbers, and its sentences about them: on its own numbers, and on measured tables made for the test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cktat.errors import CktatError
from cktat.evaluation import ResultRow
from cktat.paper.tables import ClaimVerdict, MeasuredTable, paper_numbers, paper_tables, verdicts, verdicts_of_paper
from cktat.paper.tables.claims import CLAIMS, FULL, Above
from cktat.paper.tables.measured_table import MeasuredCell


def result(seed: int, flags: str, path: Path) -> ResultRow:
    """A result of which a table needs no more."""
    return ResultRow("pgd20", flags, (), (), {}, {}, "run", "PGDAT", {"seed": seed}, "best", path)


Make = Callable[..., MeasuredTable]
ROBUST_AT_6 = "At beta 6 CKTAT's robust accuracy is above that of every baseline."
TAU = "Clean and robust accuracy rise with tau up to 5 and then fall."
LEAVING_OUT = "Without the consistency term clean accuracy is higher and robust accuracy lower."


def of(found: list[ClaimVerdict], sentence: str) -> ClaimVerdict:
    return next(verdict for verdict in found if verdict.claim.sentence == sentence)


def test_the_numbers_are_the_printed_ones() -> None:
    assert paper_tables() == ("1a", "1b", "3a", "3b", "3c", "4a", "4b")
    counts = {name: len(paper_numbers(name)) for name in paper_tables()}
    assert counts == {"1a": 12, "1b": 12, "3a": 6, "3b": 12, "3c": 16, "4a": 54, "4b": 54}
    assert paper_numbers("4a")["CKTAT beta=6", "aa"] == 51.87 and paper_numbers("4b")["MART", "mim"] == 28.11
    assert paper_numbers("3b")["5", "pgd20"] == 56.81 != paper_numbers("3c")["6", "pgd20"]
    assert {column for _, column in paper_numbers("4b")} == {"clean", "pgd20", "pgd100", "mim", "cw", "aa"}
    assert all(0 < value < 100 for name in paper_tables() for value in paper_numbers(name).values())
    with pytest.raises(CktatError, match=r"unknown table of the paper '4'.*4a"):
        paper_numbers("4")


def test_every_order_is_of_numbers_that_the_paper_prints_but_for_pictures() -> None:
    known = {(name, *place) for name in paper_tables() for place in paper_numbers(name)}
    places = {place for claim in CLAIMS for order in claim.orders for place in (order.higher, order.lower)}
    teachers = {place for place in places if place[1].endswith(" teacher)")}
    assert len(teachers) == 2 * 3 * 5, "robust and clean teachers of three designs, which section 4.2 has from others"
    assert {place for place in places - known - teachers if place[0] != "5"} == {
        ("3a", "nothing", "clean"),
        ("3a", "nothing", "pgd20"),
    }
    assert all(claim.orders and order.higher != order.lower for claim in CLAIMS for order in claim.orders)


def test_what_holds_and_what_fails_on_the_papers_own_numbers() -> None:
    """By what the paper's reader finds: RSLAD in 1b, LTD in 1a, beta 7 in 3c, and of 4b HAT's clean accuracy and MART."""
    found = verdicts_of_paper()
    assert {verdict.claim.section: verdict.says for verdict in found if verdict.claim.section.startswith(("4.2", "5.3"))} == {
        "4.2, Table 4a": "not measured", "4.2, Table 1b": "fails", "4.2, Table 1a": "fails", "5.3, Table 5": "not measured",
    }  # fmt: skip
    broken = {verdict.claim.sentence: list(verdict.broken) for verdict in found if verdict.broken}  # the last: 4b
    assert broken["Clean teachers lower clean and robust accuracy of the smaller network."] == [
        "1b clean: PGDAT 83.92, not above RSLAD 86.93"
    ]
    assert broken["Clean teachers raise clean and robust accuracy of the larger network."] == [
        "1a clean: LTD 84.42, not above PGDAT 86.84"
    ]
    assert broken["Robust accuracy is highest at beta 6."] == ["3c pgd20: 6 56.80, not above 7 56.89"]
    assert set(broken[ROBUST_AT_6]) == {
        "4b mim: CKTAT beta=6 27.60, not above MART 28.11",
        "4b cw: CKTAT beta=6 27.40, not above MART 27.61",
        "4b mim: CKTAT beta=6 27.60, not above LTD (clean initialization) 27.64",
    }
    assert broken["At beta 6 CKTAT's clean accuracy is below that of Generalist and PGDAT only."] == [
        "4b clean: CKTAT beta=6 57.20, not above HAT 59.19"
    ]
    holding = {verdict.claim.section for verdict in found if verdict.says == "holds"}
    assert holding == {"5.1, Table 3a", "5.1, Table 3b", "5.1, Table 3c", "5.2, Table 4a", "5.2, Table 4b"}
    by_number = [verdict for verdict in found if verdict.says != "not measured"]
    assert (len(by_number), sum(verdict.says == "holds" for verdict in by_number)) == (19, 11)
    assert all(verdict.significant is None for verdict in found)


MOST = "At beta 6 CKTAT's clean and robust accuracy are above those of most baselines."


def test_both_accuracies_are_above_those_of_five_baselines_on_cifar_10_and_of_two_on_cifar_100() -> None:
    """Counted by hand in the paper's Table 4, all five attacks taken."""
    found = {v.claim.section[-2:]: v for v in verdicts_of_paper() if v.claim.sentence == MOST}
    beaten = {}
    for table, verdict in found.items():
        better = {words.partition("not above ")[2].rpartition(" ")[0] for words in verdict.broken}
        beaten[table] = 7 - len(better)
    assert beaten == {"4a": 5, "4b": 2}
    assert {table: verdict.says for table, verdict in found.items()} == {"4a": "holds", "4b": "fails"}


@pytest.mark.parametrize(("higher", "says"), [(3, "holds"), (4, "fails"), (7, "fails"), (0, "holds")])
def test_most_is_more_than_half_of_the_rows(higher: int, says: str, filled: Make) -> None:
    """So many baselines have a better clean accuracy, by far."""
    better = ["PGDAT", "TRADES", "MART", "LBGAT", "LTD (clean initialization)", "HAT", "Generalist"][:higher]

    def accuracy(row: str, column: str) -> float:
        return 0.5 if row == "CKTAT beta=6" else 0.9 if row in better and column == "clean" else 0.1

    found = of(verdicts([filled("4a", accuracy=accuracy, images=500)]), MOST)
    assert (found.says, len(found.broken), found.measured) == (says, higher, 42)


def test_most_can_be_said_with_some_rows_missing_but_not_with_too_many(filled: Make) -> None:
    def without(*rows: str) -> Callable[[str, str], float | None]:
        return lambda row, column: None if row in rows else 0.5 if row == "CKTAT beta=6" else 0.1

    three, four = ("PGDAT", "TRADES", "MART"), ("PGDAT", "TRADES", "MART", "HAT")
    said = [of(verdicts([filled("4a", accuracy=without(*rows), images=500)]), MOST).says for rows in (three, four)]
    assert said == ["holds", "not measured"]


@pytest.mark.parametrize(
    ("shares", "says", "broken"),
    [
        ([0.2, 0.3, 0.4, 0.5, 0.9, 0.6], "holds", 0),
        ([0.5, 0.502, 0.504, 0.506, 0.508, 0.5], "holds, within noise", 0),
        ([0.2, 0.3, 0.4, 0.9, 0.6, 0.5], "fails", 2),
        ([0.2, 0.3, 0.4, 0.504, 0.5, 0.3], "fails, within noise", 2),
        ([0.2, 0.3, 0.3, 0.5, 0.9, 0.6], "fails, within noise", 2),  # not above is not enough
    ],
)
def test_measured_rows_in_and_out_of_order(shares: list[float], says: str, broken: int, filled: Make) -> None:
    """Every network is right on the first images only, so that means are as wished."""
    table = filled("3b", accuracy=lambda row, column: shares[int(row) - 1], images=500)
    exact = {
        place: type(cell)(
            tuple(replace(m, robust=ordered(shares[int(place[0]) - 1], m.seed, 500)) for m in cell.measured)
        )
        for place, cell in table.cells.items()
    }
    found = of(verdicts([MeasuredTable("3b", "", table.rows, table.columns, exact, table.paper)]), TAU)
    assert (found.says, len(found.broken), found.measured) == (says, broken, 10)


def ordered(share: float, seed: int, images: int) -> str:
    """Right on the first images, and on one of the last ones that changes with the seed."""
    flags = ["1" if i < share * images else "0" for i in range(images)]
    flags[-1 - seed] = "1"
    return "".join(flags)


def test_a_claim_that_is_broken_fails_even_if_something_is_missing(filled: Make) -> None:
    def falling(row: str, column: str) -> float | None:
        return None if row == "6" else 0.9 - 0.1 * int(row)

    found = of(verdicts([filled("3b", accuracy=falling)]), TAU)
    assert (
        (found.says, found.measured) == ("fails", 8) and "3b clean: 2" in found.broken[0] and "(p " in found.broken[0]
    )
    rising = of(verdicts([filled("3b", accuracy=lambda row, c: None if row == "6" else 0.1 * int(row))]), TAU)
    assert (rising.says, rising.measured, rising.broken) == ("not measured", 8, ())
    assert {verdict.says for verdict in verdicts([])} == {"not measured"}


def test_a_broken_order_is_told_by_the_numbers_of_the_seeds_that_broke_it(filled: Make) -> None:
    def cell(*shares: float) -> MeasuredCell:
        return MeasuredCell(
            tuple(result(seed, ordered(share, seed, 100), Path("x")) for seed, share in enumerate(shares))
        )

    cells = {("3", "clean"): cell(0.5), ("4", "clean"): cell(0.3, 0.9, 0.9)}  # the further seeds have no rival yet
    found = of(verdicts([replace(filled("3b"), cells=cells)]), TAU)
    assert len(found.broken) == 1 and "4 31.00, not above 3 51.00" in found.broken[0]


def test_the_whole_method_is_found_under_its_other_names_in_the_same_setting(filled: Make) -> None:
    def removed(row: str, column: str) -> float:
        return {"clean": 0.95, "pgd20": 0.3}[column]

    def whole(row: str, column: str) -> float:
        return {"clean": 0.8, "pgd20": 0.5}[column]

    left_out, tables = filled("3a", accuracy=removed), filled("3c", accuracy=whole)
    assert of(verdicts([left_out]), LEAVING_OUT).says == "not measured"
    assert of(verdicts([left_out, tables]), LEAVING_OUT).says == "holds"
    fewer = filled("3c", accuracy=whole, images=100)
    assert of(verdicts([left_out, fewer]), LEAVING_OUT).says == "not measured"
    elsewhere = filled("3c", accuracy=whole, setting=tables.setting | {"epochs": "5"})
    assert of(verdicts([left_out, elsewhere]), LEAVING_OUT).says == "not measured"
    on_another_day = filled("3c", accuracy=whole, setting=tables.setting | {"commit": "another"})
    assert of(verdicts([left_out, on_another_day]), LEAVING_OUT).says == "holds"
    own = filled(
        "3a", rows=[*left_out.rows, FULL[0][1]], accuracy=lambda r, c: (whole if r == "nothing" else removed)(r, c)
    )
    assert of(verdicts([own]), LEAVING_OUT).says == "holds"


def test_one_seed_is_tested_as_two_networks_and_two_of_a_name_are_refused(filled: Make) -> None:
    found = of(
        verdicts([filled("3b", accuracy=lambda row, c: 0.9 - 0.1 * abs(5 - int(row)), seeds=1, images=200)]), TAU
    )
    assert found.says == "holds" and found.significant == found.measured == 10
    with pytest.raises(CktatError, match="only one"):
        verdicts([filled("3b"), filled("3b")])


def test_an_order_reads_as_it_is_written() -> None:
    first = CLAIMS[0].orders[0]
    assert first == Above(("1b", "PGDAT", "clean"), ("1b", "ARD", "clean"))
