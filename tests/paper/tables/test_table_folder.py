"""What was asked for in a folder of tables: it is asked again, it is said where it differs, and less replaces nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cktat.errors import CktatError
from cktat.evaluation import ResultRow
from cktat.paper.tables.declared import TABLES
from cktat.paper.tables.measured_table import MeasuredCell, MeasuredTable
from cktat.paper.tables.table_folder import TableFolder, TableKept, again, differing, settled, widened
from cktat.paper.tables.text import csv_text, latex, markdown


def result(seed: int, flags: str, path: Path) -> ResultRow:
    """A result of which a table needs no more."""
    return ResultRow("pgd20", flags, (), (), {}, {}, "run", "PGDAT", {"seed": seed}, "best", path)


def kept(**fields: Any) -> TableKept:
    usual: dict[str, Any] = dict(
        table="4a", rows=("PGDAT", "TRADES"), attacks=("pgd20",), weights="best", seeds=2, data="digits", model="small",
        recipe="common", epochs=5, precision="fp32",
    )  # fmt: skip
    return TableKept(**(usual | fields))


def filled(cells: dict[tuple[str, str], tuple[int, int]]) -> MeasuredTable:
    """A table of cells of so many seeds and images."""
    return MeasuredTable(
        "4a", "title", ("PGDAT", "TRADES"), ("clean", "aa"),
        {
            place: MeasuredCell(tuple(result(seed, "10" * (images // 2), Path("file")) for seed in range(seeds)))
            for place, (seeds, images) in cells.items()
        },
        {},
    )  # fmt: skip


FULL = {("PGDAT", "clean"): (2, 10), ("PGDAT", "aa"): (2, 4), ("TRADES", "clean"): (2, 10)}


def test_what_was_asked_for_comes_back(tmp_path: Path) -> None:
    folder = TableFolder(tmp_path)
    one = kept(failures={"TRADES": {"aa": "seed 0: nan"}}, lr=0.1, aa_images=50)
    folder.write(one)
    assert folder.all() == {"4a": one} and folder.read("3a") is None
    assert TableFolder(tmp_path, "last").all() == {}, "those of the last weights stand beside them"


def test_an_edited_file_is_refused_by_its_name(tmp_path: Path) -> None:
    TableFolder(tmp_path).write(kept())
    path = tmp_path / "table-4a.json"
    path.write_text(path.read_text().replace('"seeds": 2', '"seeds": 1'))
    with pytest.raises(CktatError, match=r"table-4a\.json was changed"):
        TableFolder(tmp_path).all()


def test_settings_not_given_are_those_there_and_others_must_agree() -> None:
    there = {"4a": kept()}
    nothing = dict.fromkeys(("data", "model", "epochs", "seeds", "attacks", "lr", "precision", "test_images"))
    found = settled(there, nothing, firm=True)
    assert (found["epochs"], found["seeds"], found["precision"], found["attacks"]) == (5, 2, "fp32", ("pgd20",))
    assert settled(there, nothing | {"seeds": 3}, firm=True)["seeds"] == 3, "seeds may grow"
    assert settled({}, nothing, firm=True) == nothing
    with pytest.raises(CktatError, match=r"^epochs 5 there, 20 asked; test images not given there, 100 asked$"):
        settled(there, nothing | {"epochs": 20, "test_images": 100}, firm=True)
    assert settled(there, nothing | {"epochs": 20}, firm=False)["epochs"] == 20
    assert differing(there, nothing | {"epochs": 5}) == ""


def test_tables_that_differ_must_be_asked_for_one_by_one() -> None:
    there = {"3a": kept(table="3a"), "3b": kept(table="3b", epochs=7)}
    with pytest.raises(CktatError, match=r"differ in epochs \(5 in 3a, 7 in 3b\)"):
        settled(there, {"epochs": None}, firm=True)


def test_rows_grow_in_the_order_of_the_table() -> None:
    table = TABLES["4a"]
    wide = widened(table.only(("CKTAT beta=6",)), kept(rows=("Standard", "TRADES")))
    assert [row.label for row in wide.rows] == ["TRADES", "CKTAT beta=6", "Standard"]
    assert widened(table, None) is table
    assert [row.label for row in again(kept()).rows] == ["PGDAT", "TRADES"] and again(kept()).against == "PGDAT"


@pytest.mark.parametrize("place", list(FULL))
@pytest.mark.parametrize("less", [None, (1, 4), (2, 2)])
def test_a_table_that_holds_more_is_not_replaced(
    tmp_path: Path, place: tuple[str, str], less: tuple[int, int] | None
) -> None:
    folder, full = TableFolder(tmp_path), filled(FULL)
    folder.file("table-4a", "csv").write_text(csv_text(full))
    assert folder.lacking(full) == ""
    assert folder.lacking(filled(FULL | {("TRADES", "aa"): (2, 4)})) == "", "more replaces less"
    fewer = {where: size for where, size in FULL.items() if where != place} | ({} if less is None else {place: less})
    said = folder.lacking(filled(fewer))
    assert f"holds 3 cells, and 1 of them would hold less or nothing (such as {place[0]}, {place[1]})" in said


def test_a_file_that_is_no_table_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "table-4a.csv").write_text("my,own\n1,2\n")
    with pytest.raises(CktatError, match="is not a table of this program"):
        TableFolder(tmp_path).lacking(filled(FULL))


def test_known_failures_fill_cells_that_nothing_else_is_known_of() -> None:
    one = kept(failures={"TRADES": {"aa": "nan", "clean": "old"}, "gone": {"aa": "x"}})
    found = one.with_failures(filled(FULL))
    assert found.cells["TRADES", "aa"] == MeasuredCell((), "nan")
    assert found.cells["TRADES", "clean"] == filled(FULL).cells["TRADES", "clean"]
    assert set(found.cells) == {*FULL, ("TRADES", "aa")}


def test_a_column_of_fewer_images_says_so_in_its_head() -> None:
    found = filled(FULL)
    assert found.heads == ("clean", "aa (4 images)")
    assert "| clean | aa (4 images) |" in markdown(found) and r"clean & aa (4 images) \\" in latex(found)
    same = replace(found, cells={**found.cells, ("PGDAT", "aa"): found.cells["PGDAT", "clean"]})
    assert same.heads == ("clean", "aa")
    assert filled({}).heads == ("clean", "aa")


def test_the_file_is_plain_json(tmp_path: Path) -> None:
    TableFolder(tmp_path).write(kept())
    there = json.loads((tmp_path / "table-4a.json").read_text())
    assert there.pop("sha256") and TableKept.model_validate(there) == kept()
