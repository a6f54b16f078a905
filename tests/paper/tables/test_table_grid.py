"""Each cell of a filled table is of its own row, seed, weights, attack and images. Records stand for runs: no two are alike."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from cktat.evaluation.statistics import wilson
from cktat.paper.tables.declared import TABLES, Table, TableRow
from cktat.paper.tables.measured_table import MeasuredTable
from cktat.paper.tables.table_grid import How, TableGrid, paper_of
from cktat.runs.files import write_sealed

ROWS = (TableRow("PGDAT", "pgd_at"), TableRow("TRADES", "trades"))
TABLE = Table("4a", "Of a test", "digits", ROWS, ("pgd20", "aa"), against="TRADES")


def right(row: str, seed: int, weights: str, attack: str, images: int) -> str:
    """Flags whose number says what they are of, and no other the same."""
    place = ROWS.index(next(one for one in ROWS if one.label == row))
    number = (((place * 2 + seed) * 2 + (weights == "last")) * 3 + ("clean", "pgd20", "aa").index(attack)) * 2
    return f"{number + (images == 12):b}".zfill(images)


def logged(row: str, seed: int) -> list[dict[str, Any]]:
    base = 0.05 * len(row) + 0.01 * seed
    return [
        {"epoch": e, "loss": base, "held_out": {"images": 12, "clean": base + 0.1 * e, "pgd": base / e}, "seconds": 1.0}
        for e in (1, 2)
    ]


def found(row: str, seed: int, weights: str, attack: str, images: int) -> dict[str, Any]:
    """A result as a record has it."""
    flags = right(row, seed, weights, attack, images)
    correct = flags.count("1")
    low, high = wilson(correct, images)
    return {
        "weights": weights, "attack": attack, "images": images, "robust": flags, "correct": correct,
        "accuracy": correct / images, "interval": [low, high],
        "protocol": {} if attack == "clean" else {"norm": "Linf", "eps": 0.1},
    }  # fmt: skip


def records_of(it: TableGrid, folder: Path) -> None:
    """A record of every row and seed: best and last weights, on 30 and on 12 images."""
    for one in it.grid.asked:
        label, seed = one.label.split()[1].rstrip(","), one.config.seed
        cases = itertools.product(("best", "last"), ("clean", "pgd20", "aa"), (12, 30))
        record = {
            "identity": it.grid.identities[one.label], "design": one.config.design, "seed": seed,
            "config": one.config.model_dump(mode="json"), "data": {"name": "tiny", "fingerprint": "f" * 64},
            "history": logged(label, seed), "seconds_per_epoch": [1.0, 1.0], "commit": f"c{seed}",
            "versions": {"torch": f"2.1{seed}"}, "hardware": {"cpu": label, "threads": 1 + seed},
            "results": [found(label, seed, *case) for case in cases],
        }  # fmt: skip
        write_sealed(folder / f"{one.config.design}-{seed}.json", record)


def filled(tiny: Any, folder: Path, **how: Any) -> MeasuredTable:
    it = TableGrid([TABLE], How(tiny.options, seeds=2, store=folder / "store", records=folder / "records", **how))
    records_of(it, folder / "records")
    (table,) = it.fill()
    return table


@pytest.mark.parametrize("weights", ["best", "last"])
def test_a_cell_is_of_its_row_seeds_weights_and_attack(weights: str, tiny: Any, tmp_path: Path) -> None:
    table = filled(tiny, tmp_path, weights=weights)
    assert (table.name, table.title, table.weights, table.against) == ("4a", "Of a test", weights, "TRADES")
    assert (table.rows, table.columns) == (("PGDAT", "TRADES"), ("clean", "pgd20", "aa"))
    for (row, column), cell in table.cells.items():
        assert [(m.seed, m.robust) for m in cell.measured] == [
            (seed, right(row, seed, weights, column, 30)) for seed in (0, 1)
        ]
        design = {"PGDAT": "pgd_at", "TRADES": "trades"}[row]
        assert [m.path.name for m in cell.measured] == [f"{design}-{seed}.json" for seed in (0, 1)]
    assert len(table.cells) == 6
    assert table.histories == {row.label: tuple(tuple(logged(row.label, seed)) for seed in (0, 1)) for row in ROWS}


@pytest.mark.parametrize(("costly", "fewer"), [(12, 12), (None, 30)])
def test_autoattack_alone_is_of_its_fewer_images(costly: int | None, fewer: int, tiny: Any, tmp_path: Path) -> None:
    table = filled(tiny, tmp_path, costly_images=costly)
    for (row, column), cell in table.cells.items():
        images = fewer if column == "aa" else 30
        assert [m.robust for m in cell.measured] == [right(row, seed, "best", column, images) for seed in (0, 1)]
    assert table.setting["test images"] == ("30 (aa 12)" if fewer == 12 else "30")


def test_all_of_a_table_may_be_of_fewer_images(tiny: Any, tmp_path: Path) -> None:
    table = filled(tiny, tmp_path, images=12)
    assert {len(m.robust) for cell in table.cells.values() for m in cell.measured} == {12}
    assert table.setting["test images"] == "12"


def test_the_setting_is_that_of_the_runs(tiny: Any, tmp_path: Path) -> None:
    setting = filled(tiny, tmp_path).setting
    assert setting["commit"] == "c0, c1" and setting["versions"] == "torch 2.10, torch 2.11"
    assert setting["hardware"] == ", ".join(f"{row}, {n} thread(s)" for row in ("PGDAT", "TRADES") for n in (1, 2))
    assert (setting["training images"], setting["epochs"], setting["batch size"], setting["lr"]) == (
        "48",
        "2",
        "12",
        "0.05",
    )
    assert (setting["adversary"], setting["seeds"]) == ("Linf, eps 0.1, PGD-2 in training", "0 to 1")
    assert setting["precision"] == "fp32 in training, fp32 in evaluation" and setting["model"] == tiny.model


def test_each_row_and_seed_is_a_run_of_its_own_design_and_seed(tiny: Any, tmp_path: Path) -> None:
    it = TableGrid([TABLE], How(tiny.options, seeds=3, store=tmp_path))
    assert [(one.label, one.config.design, one.config.seed) for one in it.grid.asked] == [
        (f"4a {row.label}, seed {seed}", row.design, seed) for seed in range(3) for row in ROWS
    ]


@pytest.mark.parametrize(("name", "model"), [("1a", "resnet18"), ("1b", "small"), ("3c", "small")])
def test_table_1a_alone_is_of_the_larger_network(name: str, model: str, tmp_path: Path) -> None:
    it = TableGrid([TABLES[name].only((TABLES[name].rows[0].label,))], How({"model": "small"}, store=tmp_path))
    assert {one.config.model for one in it.grid.asked} == {model}
    assert it.fill()[0].setting["model"] == model


def test_the_papers_numbers_stand_beside_its_own_data_only() -> None:
    assert paper_of(TABLES["4a"], "cifar10")["TRADES", "aa"] == 48.72
    assert paper_of(TABLES["4b"], "cifar100")["TRADES", "aa"] != 48.72
    assert (
        paper_of(TABLES["4a"], "digits") == paper_of(TABLES["4b"], "cifar10") == paper_of(TABLES["5"], "cifar10") == {}
    )
