"""The tables are the paper's: its rows, its hyper-parameters; and what two tables share is one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cktat.designs import make
from cktat.errors import CktatError
from cktat.paper.tables.declared import TABLES, Table, TableRow, model_of, tables
from cktat.paper.tables.table_grid import How, TableGrid

# As printed in the paper; "nothing" is ours, the full method beside what is left of it.
ROWS = {
    "1a": ["PGDAT", "ARD", "IAD", "RSLAD", "LTD", "LBGAT"],
    "1b": ["PGDAT", "ARD", "IAD", "RSLAD", "LTD", "LBGAT"],
    "3a": ["clean training model initialization", "KL(T^tau(x), S(x'))", "KL(S(x'), S(x))", "nothing"],
    "3b": ["1", "2", "3", "4", "5", "6"],
    "3c": ["0", "1", "2", "3", "4", "5", "6", "7"],
    "5": ["PGDAT", "TRADES", "CKTAT beta=6"],
    "4a": [
        "PGDAT", "TRADES", "MART", "LBGAT", "LTD (clean initialization)", "HAT", "Generalist", "CKTAT beta=0",
        "CKTAT beta=6",
    ],
}  # fmt: skip
ROWS["4b"] = ROWS["4a"]


def test_rows_are_called_as_in_the_paper() -> None:
    assert {name: [row.label for row in table.rows] for name, table in TABLES.items()} == ROWS


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_row_is_a_design_of_its_own(table: Table) -> None:
    rows = (*table.rows, *table.controls)
    made = {(make(row.design, **row.set), *row.options.items()) for row in rows}
    assert len(made) == len(rows) == len({row.label for row in rows})
    assert table.against in {row.label for row in table.rows} | {None}


def test_hyper_parameters_are_the_paper_s() -> None:
    def of(table: str, row: str) -> str:
        declared = {row.label: row for row in TABLES[table].rows}[row]
        design = make(declared.design, **declared.set)
        return " + ".join(str(term) + f" {term.weight}" for term in design.live)

    def parameters(table: str, row: str) -> dict[str, Any]:
        declared = {row.label: row for row in TABLES[table].rows}[row]
        return dict((make(declared.design, **declared.set).origin or ("", ()))[1])

    assert [parameters("3b", str(tau))["tau"] for tau in range(1, 7)] == [1, 2, 3, 4, 5, 6]
    assert [parameters("3c", str(beta))["beta"] for beta in range(8)] == list(range(8))
    for row, beta in (("CKTAT beta=0", 0), ("CKTAT beta=6", 6)):
        found = parameters("4a", row)
        assert (found["tau"], found["beta"], found["start"], found["teacher"]) == (5, beta, "standard", "standard")
    assert parameters("4a", "LTD (clean initialization)")["start"] == "standard"
    assert parameters("3a", "clean training model initialization")["start"] is None
    assert parameters("3a", "KL(S(x'), S(x))")["beta"] == 0 and parameters("3a", "nothing")["beta"] == 6
    for row in ("ARD", "IAD", "RSLAD", "LTD", "LBGAT"):
        assert parameters("1a", row)["teacher"] == parameters("1b", row)["teacher"] == "standard"
    assert of("3a", "KL(T^tau(x), S(x'))").startswith("hard 1.0"), "what takes the place of the guide"
    assert parameters("4a", "LBGAT")["teacher"] is None, "only in Table 1 is its teacher a given clean one"


def test_a_control_is_what_its_label_says() -> None:
    def of(row: TableRow) -> dict[str, Any]:
        return dict((make(row.design, **row.set).origin or ("", ()))[1])

    controls = {row.label: row for row in TABLES["4a"].controls}
    robust = {"ARD": "trades", "IAD": "pgd_at", "RSLAD": "trades", "KD-AT-Auto": "pgd_at"}  # as their authors have them
    for name, theirs in robust.items():
        assert of(controls[f"{name} (robust teacher)"])["teacher"] == theirs
        assert of(controls[f"{name} (clean teacher)"])["teacher"] == "standard"
        assert make(controls[f"{name} (clean teacher)"].design).name.lower() == name.lower()
    for name in ("PGDAT", "TRADES"):
        assert of(controls[f"{name} (clean initialization)"])["start"] == "standard"
    assert of(controls["LTD"])["start"] is None and controls["Standard"].design == "standard"
    assert of(controls["CKTAT beta=6, tau=auto"])["tau"] == "auto"
    assert of(controls["CKTAT beta=6, inner self"])["inner"] == "self"
    for beta in (0, 1):
        found = of(controls[f"CKTAT beta={beta}, tau=1"])
        assert (found["tau"], found["beta"]) == (1, beta)
    for name, design in (("TRADES", "trades"), ("CKTAT beta=6", "cktat")):
        row = controls[f"{name}, EMA and AWP"]
        assert (row.design, dict(row.options)) == (design, {"ema": 0.995, "awp": 0.005})
    assert all(not row.options for label, row in controls.items() if "EMA" not in label)


def test_every_table_is_of_its_data_its_attacks_and_beside_its_row() -> None:
    every = ("pgd20", "pgd100", "mim", "cw", "aa")
    assert {name: (table.data, table.attacks, table.against, table.larger) for name, table in TABLES.items()} == {
        "1a": ("cifar10", ("pgd20",), "PGDAT", True),
        "1b": ("cifar10", ("pgd20",), "PGDAT", False),
        "3a": ("cifar10", ("pgd20",), "nothing", False),
        "3b": ("cifar10", ("pgd20",), "5", False),
        "3c": ("cifar10", ("pgd20",), "6", False),
        "4a": ("cifar10", every, "PGDAT", False),
        "4b": ("cifar100", every, "PGDAT", False),
        "5": ("cifar10", ("pgd20",), None, False),
    }
    for name in ("1a", "1b", "4a", "4b", "5"):
        designs = {row.label: make(row.design, **row.set).name for row in TABLES[name].rows}
        for label, design in designs.items():
            assert label.split()[0] == design.replace("PGD-AT", "PGDAT").split()[0]


def test_a_table_is_found_by_its_name_or_its_number() -> None:
    assert [table.name for table in tables("3", "digits")] == ["3a", "3b", "3c"]
    assert [table.name for table in tables("3b", "digits")] == ["3b"]
    assert [table.name for data in ("digits", "cifar10", "cifar100") for table in tables("4", data)] == [
        "4a",
        "4a",
        "4b",
    ]
    with pytest.raises(CktatError, match="unknown table '7'"):
        tables("7", "digits")


def test_the_larger_network_is_the_paper_s_where_the_smaller_is() -> None:
    assert model_of(TABLES["1b"], "resnet18") == "resnet18"
    assert [model_of(TABLES["1a"], name) for name in ("small", "resnet18", "preactresnet18")] == [
        "resnet18",
        "wrn34-10",
        "wrn34-10",
    ]
    with pytest.raises(CktatError, match=r"larger network than 'mine\.py:net'"):
        model_of(TABLES["1a"], "mine.py:net")


def test_rows_are_chosen_by_their_labels() -> None:
    table = TABLES["4a"].only(("TRADES", "LTD"))
    assert ([row.label for row in table.rows], table.against) == (["TRADES", "LTD"], None)
    assert TABLES["4a"].with_controls().rows == (*TABLES["4a"].rows, *TABLES["4a"].controls)
    assert TABLES["4a"].only(("TRADES", "PGDAT")).against == "PGDAT"
    with pytest.raises(CktatError, match="did you mean 'TRADES'"):
        TABLES["4a"].only(("TRADE",))


def test_what_tables_share_is_one_run(tiny: Any, tmp_path: Path) -> None:
    chosen = [TABLES["3a"], TABLES["3b"], TABLES["3c"], TABLES["4a"].only(("CKTAT beta=0", "CKTAT beta=6", "TRADES"))]
    it = TableGrid(chosen, How(tiny.options, attacks=("fgsm",), store=tmp_path))
    names = it.grid.identities
    same = [
        ("3a KL(S(x'), S(x))", "3c 0", "4a CKTAT beta=0"),
        ("3a nothing", "3b 5", "3c 6", "4a CKTAT beta=6"),
    ]
    for labels in same:
        assert len({names[f"{label}, seed 0"] for label in labels}) == 1
    # by hand: clean, TRADES; removed start, hard guide; tau 1, 2, 3, 4, 6; beta 0, 1, 2, 3, 4, 5, 7; the full method
    assert len(it.grid.runs) == 2 + 2 + 5 + 7 + 1
    assert len(it.grid.left()[0]) == len(it.grid.runs) + len(it.grid.runs) - 1, "all but the clean one are measured"


def test_a_row_may_have_options_of_its_own(tiny: Any, tmp_path: Path) -> None:
    row = TableRow("wide", "pgd_at", options={"model": f"{tiny.file}:wide"})
    it = TableGrid([Table("x", "", "digits", (row,), ("fgsm",))], How(tiny.options, store=tmp_path))
    (run,) = it.grid.runs.values()
    assert run.config.model == f"{tiny.file}:wide"
