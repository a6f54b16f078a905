"""A grid under all that happens to grids: failures, edits, kills, rivals. What it gives is what an undisturbed one gives."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from cktat.api import Store
from cktat.api.runner import Runner
from cktat.errors import CktatError
from cktat.evaluation import Result, evaluate, load_subject
from cktat.paper.tables.declared import Table, TableRow
from cktat.paper.tables.measured_table import MeasuredTable
from cktat.paper.tables.table_grid import How, TableGrid
from cktat.runs import RunFolder, Stopped, Waiting, locked

ROWS = (
    TableRow("PGDAT", "pgd_at"),
    TableRow("LTD", "ltd", {"start": "standard"}),
    TableRow("CKTAT", "cktat"),
)
TABLE = Table("x", "Of a test", "digits", ROWS, ("pgd10", "fgsm"), against="PGDAT")
BROKEN = TableRow("broken", "cktat", {"teacher": "standard@00000000"})


def of(tiny: Any, store: Path, *rows: TableRow, **fields: Any) -> TableGrid:
    table = Table("x", "Of a test", "digits", rows or ROWS, ("pgd10", "fgsm"), against="PGDAT")
    return TableGrid([table], How({**tiny.options}, store=store, **fields))


def numbers(filled: MeasuredTable) -> dict[tuple[str, str], list[tuple[int, str]]]:
    return {key: [(m.seed, m.robust) for m in cell.measured] for key, cell in filled.cells.items()}


def filled(it: TableGrid, **options: Any) -> MeasuredTable:
    outcome = it.grid.run(**options)
    assert outcome.stopped is None
    (table,) = it.fill(outcome.failures)
    return table


@pytest.fixture(scope="module")
def undisturbed(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Any]:
    return numbers(filled(of(tiny, tmp_path_factory.mktemp("undisturbed"))))


def test_a_table_has_a_measured_cell_for_every_row_and_column(tiny: Any, tmp_path: Path) -> None:
    it = of(tiny, tmp_path, seeds=2)
    (empty,) = it.fill()
    assert (empty.rows, empty.columns, dict(empty.cells)) == (("PGDAT", "LTD", "CKTAT"), ("clean", "pgd10", "fgsm"), {})
    table = filled(it)
    assert set(table.cells) == {(row, column) for row in table.rows for column in table.columns}
    for cell in table.cells.values():
        assert [m.seed for m in cell.measured] == [0, 1] and cell.failure == ""
        assert all(Result.read(m.path).robust == m.robust and len(m.robust) == 30 for m in cell.measured)
    assert [len(table.histories[row]) for row in table.rows] == [2, 2, 2]
    assert [line["epoch"] for line in table.histories["CKTAT"][1]] == [1, 2]
    assert (table.setting["epochs"], table.setting["seeds"], table.setting["test images"]) == ("2", "0 to 1", "30")
    assert len(Store(tmp_path).runs()) == 2 * 4, "the clean network is trained once for the two that need it"


def test_a_failing_cell_says_why_and_stops_nobody(tiny: Any, tmp_path: Path) -> None:
    table = filled(of(tiny, tmp_path, BROKEN, *ROWS))
    for column in table.columns:
        cell = table.cells["broken", column]
        assert cell.measured == () and "standard@00000000" in cell.failure
        assert all(table.cells[row.label, column].measured for row in ROWS)


def test_what_needs_a_run_that_fails_is_not_tried(tiny: Any, tmp_path: Path) -> None:
    # the clean network that both rows need cannot be built in this size
    rows = (TableRow("LTD", "ltd"), TableRow("PGDAT", "pgd_at"))
    table = Table("x", "Of a test", "digits", rows, ("pgd10",))
    it = TableGrid([table], How({**tiny.options, "lr": 1e30}, store=tmp_path))
    said: list[str] = []
    outcome = it.grid.run(say=said.append)
    (result,) = it.fill(outcome.failures)
    assert "it needs a run that failed" in result.cells["LTD", "pgd10"].failure
    assert len(Store(tmp_path).runs()) == 2, "LTD was begun without its teacher"
    assert len(said) == 3


def test_a_result_file_that_was_removed_is_measured_anew_and_nothing_else(tiny: Any, tmp_path: Path, runs: Any) -> None:
    it = of(tiny, tmp_path)
    before = filled(it)
    gone = before.cells["LTD", "pgd10"].measured[0].path
    gone.unlink()
    (meanwhile,) = it.fill()
    assert ("LTD", "pgd10") not in meanwhile.cells
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert numbers(filled(it)) == numbers(before)
    assert {path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_mtime_ns != stamps.get(path)} == {
        gone
    }


def test_a_result_file_that_was_edited_is_refused_by_its_name(tiny: Any, tmp_path: Path, runs: Any) -> None:
    it = of(tiny, tmp_path)
    path = filled(it).cells["LTD", "pgd10"].measured[0].path
    text = path.read_text()
    runs.edit(path, lambda fields: fields | {"robust": "1" * 30, "correct": 30, "accuracy": 1.0})
    table = filled(it)
    for column in ("clean", "pgd10", "fgsm"):
        cell = table.cells["LTD", column]
        if column == "pgd10":
            assert cell.measured == () and str(path) in cell.failure and "was changed" in cell.failure
        else:
            assert cell.measured
        assert table.cells["PGDAT", column].measured and not table.cells["PGDAT", column].failure
    with pytest.raises(CktatError, match=str(path)):
        Result.read(path)
    path.write_text(text)
    assert not any(cell.failure for cell in filled(it).cells.values())


def logged(monkeypatch: pytest.MonkeyPatch, log: Path) -> None:
    """Every training and every measurement of this process, and of its forks, leaves a line in `log`."""
    module = sys.modules[evaluate.__module__]
    train, measure = Runner._train, module.flags

    def line(text: str) -> None:
        with log.open("a") as file:
            file.write(text + "\n")

    def trained(self: Any, config: Any, data: Any, design: Any, folder: Any, name: str) -> None:
        line(f"train {name}")
        train(self, config, data, design, folder, name)

    def measured(network: Any, split: Any, attack: Any, **options: Any) -> Any:
        line(f"measure {attack} {next(network.parameters()).sum().item()}")
        return measure(network, split, attack, **options)

    monkeypatch.setattr(Runner, "_train", trained)
    monkeypatch.setattr(module, "flags", measured)


def test_two_processes_on_one_grid_do_nothing_twice(
    tiny: Any, tmp_path: Path, runs: Any, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[Any, Any]
) -> None:
    log, store = tmp_path / "log", tmp_path / "store"
    logged(monkeypatch, log)

    def work() -> None:
        assert numbers(filled(of(tiny, store))) == undisturbed

    assert [wait() for wait in [runs.forked(work) for _ in range(2)]] == [0, 0]
    lines = log.read_text().splitlines()
    assert len(lines) == len(set(lines)) == 4 + 3 * 3
    assert not [path for path in store.rglob(".*") if path.name.endswith("lock")], "locks are gone with their work"


def test_a_grid_that_waits_for_a_run_of_another_command_says_for_whom_and_stops_when_asked(
    tiny: Any, tmp_path: Path, runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Waiting, "SOON", 0.5)
    name, said = runs.train("pgd_at", tmp_path / "other").path.name, []
    with locked(tmp_path / "store" / name / ".lock", "trains it elsewhere"):
        outcome = of(tiny, tmp_path / "store", ROWS[0]).grid.run(stop_after=3.0, say=said.append)
    assert outcome.stopped == "the time given with --stop-after is over"
    (line,) = said
    assert line.startswith(f"waiting for process {os.getpid()} on ") and "which trains it elsewhere since" in line


@pytest.mark.parametrize("file", [3, 9, 16, 23, 30, 36])
def test_killed_at_any_file_it_continues_and_gives_the_same_numbers(
    file: int, tiny: Any, tmp_path: Path, runs: Any, undisturbed: dict[Any, Any]
) -> None:
    def work() -> None:
        written, replace = [0], os.replace

        def replace_or_die(source: Any, target: Any) -> None:
            written[0] += 1
            if written[0] == file:
                runs.die()
            replace(source, target)

        os.replace = replace_or_die  # type: ignore[assignment]  # of the fork alone
        of(tiny, tmp_path).grid.run()

    assert runs.forked(work)() == -9
    assert numbers(filled(of(tiny, tmp_path))) == undisturbed


def test_stopped_after_a_while_it_goes_on(tiny: Any, tmp_path: Path, undisturbed: dict[Any, Any]) -> None:
    it, sittings = of(tiny, tmp_path), 0
    while (outcome := it.grid.run(stop_after=0.15)).stopped:
        assert "--stop-after is over" in outcome.stopped and not outcome.failures
        sittings += 1
        assert sittings < 100
    assert sittings > 0
    assert numbers(filled(it)) == undisturbed


def test_processes_give_the_numbers_of_one_even_if_a_worker_is_killed(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[Any, Any]
) -> None:
    marker, file = tmp_path / "killed", tmp_path / "dying.py"
    file.write_text(
        f"import os, pathlib\n{Path(tiny.file).read_text()}\n\ndef dying(classes, channels):\n"
        f"    if os.environ.get('CKTAT_TEST_WORKER') and not pathlib.Path({str(marker)!r}).exists():\n"
        f"        pathlib.Path({str(marker)!r}).touch()\n        os.kill(os.getpid(), 9)\n    return net(classes, channels)\n"
    )
    it = TableGrid([TABLE], How({**tiny.options, "model": f"{file}:dying"}, store=tmp_path / "store"))
    monkeypatch.setenv("CKTAT_TEST_WORKER", "1")  # workers begin with it
    assert numbers(filled(it, jobs=2)) == undisturbed
    assert marker.exists()


def test_a_worker_that_is_killed_takes_no_other_task_with_it(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "dying.py"
    file.write_text(
        f"import os\n{Path(tiny.file).read_text()}\n\ndef dying(classes, channels):\n"
        "    if os.environ.get('CKTAT_TEST_WORKER'):\n        os.kill(os.getpid(), 9)\n    return net(classes, channels)\n"
    )
    rows = (
        TableRow("dies", "pgd_at", options={"model": f"{file}:dying"}),
        TableRow("TRADES", "trades"),
        TableRow("MART", "mart"),
    )
    it = TableGrid(
        [Table("x", "Of a test", "digits", rows, ("fgsm",))], How({**tiny.options}, store=tmp_path / "store")
    )
    monkeypatch.setenv("CKTAT_TEST_WORKER", "1")  # workers begin with it
    outcome = it.grid.run(jobs=2)
    assert {identity for identity, _ in outcome.failures} == {it.grid.identities["x dies, seed 0"]}
    assert all("its worker ended 3 times without an answer" in why for why in outcome.failures.values())
    (found,) = it.fill(outcome.failures)
    assert {row for (row, _), cell in found.cells.items() if cell.measured} == {"TRADES", "MART"}


def test_a_record_stands_for_its_run(tiny: Any, tmp_path: Path, runs: Any) -> None:
    records = tmp_path / "records"
    it = of(tiny, tmp_path / "store")
    before = filled(it)
    assert it.export(records) == []
    assert len(list(records.iterdir())) == 4
    elsewhere = of(tiny, tmp_path / "empty", records=records)
    assert elsewhere.grid.left() == ([], {})
    (there,) = elsewhere.fill()
    assert numbers(there) == numbers(before)
    assert [m.path.parent for cell in there.cells.values() for m in cell.measured] == [records] * 9
    assert there.histories == before.histories and there.setting == before.setting
    # a row more needs the clean network again, and nothing else
    more = of(tiny, tmp_path / "other", *ROWS, TableRow("HAT", "hat"), records=records)
    assert [task.label.split()[0] for task in more.grid.left()[0]] == ["standard", "x", "x"]
    runs.edit(next(records.glob("ltd-*")), lambda record: record | {"seed": 7})
    with pytest.raises(CktatError, match=r"ltd-.*was changed"):
        of(tiny, tmp_path / "empty", records=records).fill()


def test_results_of_two_sittings_meet_in_one_record(tiny: Any, tmp_path: Path) -> None:
    records, row = tmp_path / "records", TableRow("PGDAT", "pgd_at")
    for store, attack in (("first", "pgd10"), ("second", "fgsm")):
        it = TableGrid(
            [Table("x", "Of a test", "digits", (row,), (attack,))],
            How({**tiny.options}, store=tmp_path / store, records=records),
        )
        filled(it)
        it.export(records)
    (path,) = records.iterdir()
    (both,) = of(tiny, tmp_path / "third", row, records=records).fill()
    assert [m.path for cell in both.cells.values() for m in cell.measured] == [path] * 3


def measured_by_hand(run: RunFolder, *attacks: str, **options: Any) -> None:
    evaluate(load_subject(run, "best", None, torch.device("cpu")), attacks, **options)


def test_a_run_that_is_not_finished_fills_no_cell(tiny: Any, tmp_path: Path, runs: Any, undisturbed: Any) -> None:
    with pytest.raises(Stopped):
        runs.train("pgd_at", tmp_path, steps=runs.Steps(6))
    (run,) = Store(tmp_path).runs()
    measured_by_hand(run, "pgd10", "fgsm")
    it = of(tiny, tmp_path, ROWS[0])
    assert dict(it.fill()[0].cells) == {}
    assert numbers(filled(it)) == {place: flags for place, flags in undisturbed.items() if place[0] == "PGDAT"}


def test_a_clean_run_is_measured_in_the_ball_that_is_asked_for(tiny: Any, tmp_path: Path) -> None:
    def at(eps: float, **fields: Any) -> TableGrid:
        table = Table("x", "Of a test", "digits", (TableRow("standard", "standard"),), ("fgsm",))
        return TableGrid(
            [table], How({**tiny.options, "eps": eps, **fields}, store=tmp_path, records=tmp_path / "records")
        )

    for eps in (0.02, 0.3, 0.02):
        cells = filled(at(eps)).cells
        (found,) = cells["standard", "fgsm"].measured
        assert Result.read(found.path).protocol["eps"] == eps and cells["standard", "clean"].measured
    (run,) = Store(tmp_path).runs()
    assert run.config().threat.eps == 0.02, "one clean run serves every radius"
    at(0.02).export(tmp_path / "records")
    flags = [
        [Result.read(m.path).robust for m in at(eps).fill()[0].cells["standard", "fgsm"].measured]
        for eps in (0.02, 0.3)
    ]
    assert flags[0] != flags[1]
    shutil.rmtree(run.path)
    for eps, expected in zip((0.02, 0.3), flags, strict=True):
        assert [m.robust for m in at(eps).fill()[0].cells["standard", "fgsm"].measured] == expected
    assert ("standard", "fgsm") not in at(0.1).fill()[0].cells


def test_rows_that_are_trained_at_several_radii_are_measured_at_one(tiny: Any, tmp_path: Path) -> None:
    options = {key: value for key, value in tiny.options.items() if key != "eps"}
    table = Table("x", "Of a test", "tiny", (TableRow("a", "pgd_at"), TableRow("b", "trades")), ("fgsm",))
    it = TableGrid([table], How({**options, "recipe": "authors"}, store=tmp_path))
    cells = filled(it)
    assert {run.config().threat.eps for run in Store(tmp_path).runs()} == {8 / 255, 0.031}
    measured = [cells.cells[row, "fgsm"].measured[0] for row in ("a", "b")]
    assert [Result.read(there.path).protocol["eps"] for there in measured] == [8 / 255] * 2
    assert cells.setting["adversary"].endswith("in training, eps 8/255 in evaluation")


def test_a_clean_run_of_another_norm_is_refused(tiny: Any, tmp_path: Path, runs: Any) -> None:
    run = runs.train("standard", tmp_path, norm="L2")
    cell = filled(of(tiny, tmp_path, TableRow("standard", "standard"))).cells["standard", "pgd10"]
    assert cell.measured == () and str(run.path) in cell.failure and "another --store" in cell.failure


def test_what_was_measured_under_another_protocol_stays(tiny: Any, tmp_path: Path, runs: Any) -> None:
    run = runs.train("pgd_at", tmp_path)
    measured_by_hand(run, "fgsm", batch_size=7)
    before = (run.results / "best-fgsm.json").read_text()
    assert all(cell.measured for cell in filled(of(tiny, tmp_path, ROWS[0])).cells.values())
    assert (run.results / "best-fgsm.json").read_text() == before


def test_results_of_two_runs_do_not_meet_in_one_record(tiny: Any, tmp_path: Path, runs: Any) -> None:
    """Folders of one name, as `cktat train --out` makes them in two stores."""
    for store, row in (("first", ROWS[0]), ("second", TableRow("TRADES", "trades"))):
        runs.train(row.design, tmp_path / store, out=tmp_path / store / "mine")
        it = of(tiny, tmp_path / store, row)
        assert all(cell.measured for cell in filled(it).cells.values())
        faults = it.export(tmp_path / "records")
        assert [("another run" in fault, store) for fault in faults] == ([(True, store)] if store == "second" else [])
    assert (
        dict(of(tiny, tmp_path / "empty", TableRow("TRADES", "trades"), records=tmp_path / "records").fill()[0].cells)
        == {}
    )


def test_records_name_no_folder_of_this_machine(tiny: Any, tmp_path: Path) -> None:
    table = Table("x", "Of a test", "digits", (TableRow("standard", "standard"),), ("fgsm",))
    options = {"data": "digits", "model": "small", "root": str(tmp_path), "epochs": 1, "examples": 64, "batch_size": 32}
    it = TableGrid([table], How(options | {"precision": "fp32", "threads": 1}, images=10, store=tmp_path / "store"))
    filled(it)
    it.export(tmp_path / "records")
    (path,) = (tmp_path / "records").iterdir()
    assert str(tmp_path) not in path.read_text()


def test_costly_attacks_have_test_images_of_their_own(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cktat.paper.tables import table_grid

    monkeypatch.setattr(table_grid, "COSTLY", ("fgsm",))
    table = filled(of(tiny, tmp_path, ROWS[0], images=20, costly_images=5))
    lengths = {column: len(table.cells["PGDAT", column].measured[0].robust) for column in table.columns}
    assert lengths == {"clean": 20, "pgd10": 20, "fgsm": 5}
    assert table.setting["test images"] == "20 (fgsm 5)"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"attacks": ("pdg20",)}, "did you mean 'pgd20'"),
        ({"images": 31}, "cannot measure 31 images"),
        ({"weights": "first"}, "best or last"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_run(
    fields: dict[str, Any], words: str, tiny: Any, tmp_path: Path
) -> None:
    with pytest.raises(CktatError, match=words):
        of(tiny, tmp_path, **fields)
    assert list(tmp_path.iterdir()) == []
