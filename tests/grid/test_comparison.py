"""Designs side by side: the same numbers however many processes, a failing run in its place, nothing done twice."""

from dataclasses import replace
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

import pytest
import torch

from cktat.api import Store
from cktat.errors import CktatError
from cktat.grid.comparison import Comparison, DesignEntry
from cktat.runs import assignment


def comparison(tiny: Any, store: Path, *designs: str, **fields: Any) -> Comparison:
    fields = {"seeds": 2, "attacks": ("pgd10",)} | fields
    return Comparison(tuple(DesignEntry.read(text) for text in designs), options=tiny.options, store=store, **fields)


def test_two_processes_give_the_same_table_as_one(tiny: Any, tmp_path: Path) -> None:
    tables = []
    for jobs in (1, 2):
        it = comparison(tiny, tmp_path / str(jobs), "cktat beta=0", "trades", seeds=1)
        assert it.run(jobs, lambda text: None) == []
        tables.append([line[:-1] for line in it.table()])  # but for the seconds
    assert tables[0] == tables[1]
    assert [line[:3] for line in tables[0][1:]] == [
        ("cktat beta=0", "best", "1"),
        ("", "last", "1"),
        ("trades", "best", "1"),
        ("", "last", "1"),
    ]


def test_cells_are_mean_and_deviation_of_the_result_files(tiny: Any, tmp_path: Path) -> None:
    it = comparison(tiny, tmp_path, "pgd_at")
    assert it.table()[1] == ("pgd_at", "best", "0", "", "", ""), "what is not measured is empty"
    it.run(1, lambda text: None)
    from cktat.evaluation import Result

    found = [Result.read(run.results_path / "best-pgd10.json").accuracy * 100 for run in Store(tmp_path).runs()]
    mean, half = sum(found) / 2, abs(found[0] - found[1]) / 2
    assert it.table()[1][4] == f"{mean:.1f} ± {half * 2**0.5:.1f}"


def bare(line: dict[str, Any]) -> dict[str, Any]:
    """A line of a log without its sum, which is written anew."""
    return {name: value for name, value in line.items() if name != "sha256"}


def test_every_cell_is_of_its_design_weights_and_attack(tiny: Any, tmp_path: Path) -> None:
    """After a real run results are put in their places of which no two are alike."""
    from cktat.evaluation import Result

    it = comparison(tiny, tmp_path, "trades", "pgd_at")
    it.run(1, lambda text: None)
    right = iter(range(1, 30))
    expected = {}
    for design in ("trades", "pgd_at"):
        for pick in ("best", "last"):
            for attack in ("clean", "pgd10"):
                found = []
                for seed in (0, 1):
                    run = it.grid.evidence().folders[it._identity(DesignEntry.read(design), seed)]
                    assert run.config().seed == seed and run.config().design == design
                    path, n = run.results_path / f"{pick}-{attack}.json", next(right)
                    replace(Result.read(path), robust="1" * n + "0" * (30 - n)).write(path)
                    found.append(100 * n / 30)
                expected[design, pick, attack] = f"{fmean(found):.1f} ± {stdev(found):.1f}"
        for seed, took in ((0, 1.0), (1, 4.0)):
            run = it.grid.evidence().folders[it._identity(DesignEntry.read(design), seed)]
            run.write_history([bare(line) | {"seconds": took + line["epoch"] ** 2} for line in run.history()])
    header, *rows = it.table()
    assert header == ("design", "weights", "n", "clean", "pgd10", "s/epoch")
    assert [row[:2] for row in rows] == [("trades", "best"), ("", "last"), ("pgd_at", "best"), ("", "last")]
    for place, row in enumerate(rows):
        design = ("trades", "pgd_at")[place // 2]
        assert row[2:5] == ("2", *(expected[design, row[1], attack] for attack in ("clean", "pgd10")))
        runs = [it.grid.evidence().folders[it._identity(DesignEntry.read(design), seed)] for seed in (0, 1)]
        pace = median(line["seconds"] for run in runs for line in run.history())
        assert row[5] == (f"{pace:.2f}" if row[1] == "best" else "")
    assert [(r["design"], r["seed"], r["config"]["seed"]) for r in it.record()] == [
        (design, seed, seed) for design in ("trades", "pgd_at") for seed in (0, 1)
    ]


def test_cells_are_of_the_images_that_are_asked_for(tiny: Any, tmp_path: Path, runs: Any) -> None:
    from cktat.evaluation import Result, evaluate, load_subject

    run = runs.train("pgd_at", tmp_path)
    evaluate(load_subject(run, "best", None, torch.device("cpu")), ("fgsm",))  # of all images, and another attack
    it = comparison(tiny, tmp_path, "pgd_at", seeds=1, test_images=7)
    it.run(1, lambda text: None)
    found = [Result.read(run.results_path / f"best-{attack}-first7.json") for attack in ("clean", "pgd10")]
    assert it.table()[1][2:5] == ("1", *(f"{100 * result.accuracy:.1f}" for result in found))


def test_the_record_holds_what_stands_behind_the_table(tiny: Any, tmp_path: Path) -> None:
    it = comparison(tiny, tmp_path, "pgd_at", seeds=1)
    assert it.record() == []
    it.run(1, lambda text: None)
    (record,) = it.record()
    assert (record["design"], record["seed"], record["config"]["design"]) == ("pgd_at", 0, "pgd_at")
    assert [(r["weights"], r["attack"]) for r in record["results"]] == [
        ("best", "clean"),
        ("best", "pgd10"),
        ("last", "clean"),
        ("last", "pgd10"),
    ]
    assert all(r["robust"].count("1") == r["correct"] and len(r["robust"]) == r["images"] for r in record["results"])
    assert len(record["seconds_per_epoch"]) == 2


def test_a_run_that_fails_is_named_and_the_others_go_on(tiny: Any, tmp_path: Path) -> None:
    said: list[str] = []
    it = comparison(tiny, tmp_path, "cktat teacher=standard@00000000", "standard", seeds=1)
    failures = it.run(1, said.append)
    assert len(failures) == 1 and failures[0].startswith("cktat teacher=standard@00000000, seed 0: unknown imported")
    assert [line.partition(" ")[2] for line in said] == [
        "standard, seed 0: trained",
        failures[0],
        "standard, seed 0: measured",
        "standard, seed 0: measured",
    ]
    assert it.table()[1][2] == "0" and it.table()[3][2] == "1"


def test_finished_work_is_not_repeated(tiny: Any, tmp_path: Path) -> None:
    it = comparison(tiny, tmp_path, "trades", seeds=1)
    it.run(1, lambda text: None)
    (run,) = Store(tmp_path).runs()
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*.safetensors")} | {
        path: path.stat().st_mtime_ns for path in run.results_path.iterdir()
    }
    it.run(1, lambda text: None)
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())


@pytest.mark.parametrize("text", ["", "nothing", "trades bata=1", "trades beta", "trades beta=-1"])
def test_entries_are_checked_before_anything_is_trained(text: str) -> None:
    with pytest.raises(CktatError):
        DesignEntry.read(text)


def test_values_are_read_as_yaml() -> None:
    found = dict(map(assignment, ["tau=3", "teacher-model=wrn34-10", "tau_squared=true", "start=null", "lr=1e-3"]))
    assert found == {"tau": 3, "teacher_model": "wrn34-10", "tau_squared": True, "start": None, "lr": 1e-3}


def test_an_unknown_attack_is_refused_before_anything_is_trained(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(CktatError, match="did you mean 'pgd20'"):
        comparison(tiny, tmp_path, "trades", attacks=("pdg20",)).run(1, lambda text: None)
    assert not list(tmp_path.iterdir())


def test_two_precisions_are_two_runs_and_their_differences_are_per_seed(tiny: Any, tmp_path: Path) -> None:
    from cktat.evaluation import Result

    entries = [DesignEntry.read("pgd_at").trained_in(name) for name in ("fp32", "bf16")]
    it = Comparison((*entries, DesignEntry.read("trades")), 2, ("pgd10",), tiny.options, store=tmp_path)
    it.run(1, lambda text: None)
    paths = [path for run in Store(tmp_path).runs() for path in sorted(run.results_path.iterdir())]
    for n, path in enumerate(paths, 1):  # no two are alike, so that every difference has a sign
        replace(Result.read(path), robust="1" * n + "0" * (30 - n)).write(path)
    header, *rows = it.differences()
    assert header == ("difference", "weights", "attack", "seed 0", "seed 1", "mean")
    assert [row[:3] for row in rows] == [
        ("pgd_at, bf16 - fp32", "best", "clean"),
        ("", "", "pgd10"),
        ("", "last", "clean"),
        ("", "", "pgd10"),
    ]
    records = {(r["design"], r["seed"]): r for r in it.record()}
    assert {records[entry.text, 0]["config"]["precision"] for entry in entries} == {"fp32", "bf16"}

    def points(precision: str, seed: int, number: int) -> float:
        result = records[f"pgd_at, {precision}", seed]["results"][number]
        return 100 * result["correct"] / result["images"]

    for number, row in enumerate(rows):
        found = [points("bf16", seed, number) - points("fp32", seed, number) for seed in (0, 1)]
        assert row[3:5] == tuple(f"{difference:+.1f}" for difference in found)
        mean = sum(found) / 2 if abs(sum(found)) > 1e-9 else 0.0  # no sign of a sum that is rounding alone
        # a mean of zero has the sign that the order of its sum gives it
        assert row[5].replace("-0.0 ", "+0.0 ").startswith(f"{mean:+.1f} ± ".replace("-0.0 ", "+0.0 "))


def test_an_unknown_precision_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(CktatError, match="unknown precision 'fp8'"):
        DesignEntry.read("trades").trained_in("fp8")
