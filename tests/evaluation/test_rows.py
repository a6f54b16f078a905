"""A result and what it is of: the same row from a folder, from a record, and as one line of a table."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cktat.evaluation import Result, ResultRow, current_rows, measured, result_files, wilson
from cktat.runs import RunFolder

RESULTS = Path(__file__).parents[2] / "results"
RECORDS = [path for path in sorted(RESULTS.glob("tables-*/runs/*.json")) if "results" in json.loads(path.read_text())]
Make = Callable[..., RunFolder]


def test_a_row_of_a_folder_says_what_its_result_is_of(run: Make) -> None:
    folder = run("one", seed=7, hyper={"beta": 6.0}, measured={"best-pgd20": "1101", "last-clean": "1111"}, eps=0.1)
    (row,), (last,) = current_rows(folder, "best"), current_rows(folder, "last")
    path = folder.results_path / "best-pgd20.json"
    there = Result.read(path)
    assert (row.run, row.design, row.settings, row.seed) == ("one", "TRADES", "beta=6", 7)
    assert (row.weights, row.attack, row.eps, row.path, row.current) == ("best", "pgd20", 0.1, path, True)
    assert all(getattr(row, name) == value for name, value in vars(there).items())
    assert (last.weights, last.attack, last.eps, last.seed) == ("last", "clean", None, 7)


def test_a_row_of_other_weights_is_told_apart(run: Make, result: Callable[..., Result]) -> None:
    folder = run("one", measured={"best-clean": "1110"})
    result("pgd20", "1100", weights="0" * 64).write(folder.results_path / "best-pgd20.json")
    assert {row.attack: row.current for row in result_files(folder, "best")} == {"clean": True, "pgd20": False}
    assert [row.attack for row in current_rows(folder, "best")] == ["clean"]
    assert measured(folder, "best", "pgd20", eps=8 / 255, norm="Linf") is None


def test_a_row_is_written_as_the_result_it_is(run: Make, tmp_path: Path) -> None:
    (row,) = current_rows(run("one", measured={"best-pgd20": "1101"}), "best")
    row.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == row.path.read_bytes()
    cut = row.first(2)
    assert (cut.robust, cut.images, cut.seed, cut.path) == ("11", 2, row.seed, row.path)


def test_there_are_records_to_read() -> None:
    assert len(RECORDS) > 20


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_s_results_are_read_and_written_as_they_stand(path: Path) -> None:
    record = json.loads(path.read_text())
    rows = [ResultRow.of_record(path, record, one) for one in record["results"]]
    assert json.dumps([row.recorded() for row in rows]) == json.dumps(record["results"])
    assert {row.seed for row in rows} <= {record["seed"]} and len({row.key for row in rows}) == len(rows)


def test_a_row_is_the_same_from_a_folder_and_from_its_record(run: Make) -> None:
    folder = run("one", hyper={"beta": 6.0}, measured={"best-pgd20": "1101"})
    (row,) = current_rows(folder, "best")
    record = {"design": row.design, "config": row.config, "seed": row.seed}
    again = ResultRow.of_record(row.path, record, row.recorded())
    assert replace(again, run="one", labels=row.labels, classes=row.classes) == row


def test_a_flat_row_is_one_line_of_a_table(run: Make) -> None:
    (row,) = current_rows(run("one", hyper={"beta": 6.0}, measured={"best-pgd20": "1101"}), "best")
    line, (low, high) = row.flat(), wilson(3, 4)
    assert all(value is None or isinstance(value, str | int | float) for value in line.values())
    assert (line["design"], line["settings"], line["data"], line["model"]) == ("TRADES", "beta=6", "digits", "small")
    assert (line["correct"], line["images"], line["accuracy"], line["low"], line["high"]) == (3, 4, 0.75, low, high)
    assert (line["norm"], line["eps"], line["robust"]) == ("Linf", 8 / 255, "1101")
