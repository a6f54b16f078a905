"""What commands print stands in the files: real runs whose results give way to some of which no two are alike."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from cktat.api import Store
from cktat.cli import main
from cktat.cli.output import print_table
from cktat.evaluation import Result
from cktat.evaluation.statistics import wilson
from cktat.runs import Stopped

Cktat = Callable[..., list[str]]


@pytest.fixture
def cktat(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cktat:
    """cktat(*words): the lines that the command prints, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("CKTAT_DATA", "CKTAT_STORE"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: object) -> list[str]:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["cktat", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert end.value.code == 0, said.err
        return said.out.splitlines()

    return run


def give_way(path: Path, right: int) -> None:
    """The result in a file is replaced by one of so many images of 30."""
    replace(Result.read(path), robust="1" * right + "0" * (30 - right)).write(path)


def mean(counts: Sequence[int]) -> str:
    found = [100 * n / 30 for n in counts]
    return f"{fmean(found):.1f} ± {stdev(found):.1f}"


def test_a_table_prints_and_writes_each_result_in_its_place(
    cktat: Cktat, tiny: Any, shown: Any, tmp_path: Path
) -> None:
    words = [
        "table", "4", "--data", tiny.data, "--model", tiny.model, "--epochs", 2, "--batch-size", 12, "--lr", 0.05,
        "--precision", "fp32", "--attacks", "fgsm,pgd10", "--seeds", 2, "--row", "PGDAT", "--row", "TRADES",
    ]  # fmt: skip
    cktat(*words)
    right = iter(range(1, 30))
    counts: dict[tuple[str, str], list[int]] = {}
    for run in sorted(Store("runs").runs(), key=lambda run: (run.config().design, run.config().seed)):
        for attack in ("clean", "fgsm", "pgd10"):
            row = {"pgd_at": "PGDAT", "trades": "TRADES"}[run.config().design]
            counts.setdefault((row, attack), []).append(n := next(right))
            give_way(run.results / f"best-{attack}.json", n)
    lines = cktat(*words, "--out", "out")
    start = lines.index("Table 4a: Methods under all attacks")
    assert lines[start + 1].split() == ["clean", "fgsm", "pgd10"]
    for line, row in zip(lines[start + 2 : start + 4], ("PGDAT", "TRADES"), strict=True):
        expected = [mean(counts[row, attack]) for attack in ("clean", "fgsm", "pgd10")]
        assert line.split() == [row, *" ".join(expected).split()]
    assert "seeds 0 to 1" in lines[start + 4] and "test images 30" in lines[start + 4]

    with (tmp_path / "out" / "table-4a.csv").open() as file:
        for entry in csv.DictReader(file):
            found = counts[entry["row"], entry["column"]]
            assert float(entry["ours"]) == pytest.approx(fmean(100 * n / 30 for n in found))
            assert (entry["seeds"], entry["n"], entry["images"]) == ("0 1", "2", "30")
    page = shown.page(tmp_path / "out" / "tables.html")
    _, *rows = shown.table([page])
    for row, cells in zip(("PGDAT", "TRADES"), rows, strict=True):
        for attack, cell in zip(("clean", "fgsm", "pgd10"), cells[1:], strict=True):
            assert cell.startswith(mean(counts[row, attack]))


def test_compare_prints_the_means_of_its_record(cktat: Cktat, tiny: Any, tmp_path: Path) -> None:
    words = ["compare", "trades", "pgd_at", "--data", tiny.data, "--model", tiny.model, "--epochs", 1, "--seeds", 2]
    words += ["--attacks", "fgsm", "--precision", "fp32"]
    cktat(*words)
    right = iter(range(1, 30))
    for run in Store("runs").runs():
        for path in sorted(run.results.iterdir()):
            give_way(path, next(right))
    lines = cktat(*words, "--out", "record.json")
    records = json.loads(Path("record.json").read_text())
    records = records if isinstance(records, list) else records["records"]
    head = next(i for i, line in enumerate(lines) if line.startswith("design "))
    assert lines[head].split() == ["design", "weights", "n", "clean", "fgsm", "s/epoch"]
    for place, line in enumerate(lines[head + 1 : head + 5]):
        design, weights = ("trades", "pgd_at")[place // 2], ("best", "last")[place % 2]
        of = [r for r in records if r["design"] == f"{design}, fp32"]
        assert [r["seed"] for r in of] == [0, 1]
        cells = []
        for attack in ("clean", "fgsm"):
            found = [x for r in of for x in r["results"] if (x["weights"], x["attack"]) == (weights, attack)]
            cells.append(mean([x["correct"] for x in found]))
        start = f"{design}, fp32" if weights == "best" else ""
        assert line.split()[: len(f"{start} {weights} 2 {' '.join(cells)}".split())] == [
            *f"{start} {weights} 2".split(), *" ".join(cells).split(),
        ]  # fmt: skip


def test_evaluate_and_runs_print_what_the_files_hold(cktat: Cktat, tiny: Any, runs: Any, tmp_path: Path) -> None:
    plain = runs.train("trades", tmp_path / "runs", epochs=1)
    other = runs.train("cktat", tmp_path / "runs", set={"tau": 1.0, "beta": 2.0})
    cktat("evaluate", other.path, "--attacks", "fgsm,pgd10", "--test-images", 20, "--no-doubts")
    for attack, n in (("clean", 17), ("fgsm", 11), ("pgd10", 5)):
        path = other.results / f"best-{attack}-first20.json"
        replace(Result.read(path), robust="1" * n + "0" * (20 - n)).write(path)
    lines = cktat("evaluate", other.path, "--attacks", "fgsm,pgd10", "--test-images", 20, "--no-doubts")
    for line, attack, n in zip(lines[-3:], ("clean", "fgsm", "pgd10"), (17, 11, 5), strict=True):
        low, high = wilson(n, 20)
        assert line.split() == [
            attack,
            f"{5.0 * n:.1f}",
            "%",
            "of",
            "20",
            "images",
            f"[{100 * low:.1f},",
            f"{100 * high:.1f}]",
        ]

    with pytest.raises(Stopped):
        runs.train("mart", tmp_path / "runs", steps=runs.Steps(until=5))  # of 8: in the second epoch
    begun = next(run for run in Store(tmp_path / "runs").runs() if run.config().design == "mart")
    head, *listed = cktat("runs")
    columns = [head.index(name) for name in ("run", "design", "set", "epochs", "state", "best held-out PGD", "results")]
    cells = {
        line[: columns[1]].strip(): [line[a:b].strip() for a, b in zip(columns[1:], [*columns[2:], None], strict=True)]
        for line in listed
    }
    for run, design, hyper, epochs, state, files in (
        (plain, "TRADES", "", "1/1", "finished", "0"),
        (begun, "MART", "", "1/2", "unfinished", "0"),
        (other, "CKTAT", "tau 1.0, beta 2.0", "2/2", "finished", "3"),
    ):
        best = max(line["held_out"]["pgd"] for line in run.history())
        assert cells[run.path.name] == [design, hyper, epochs, state, f"{best:.3f}", files]
    assert len(cells) == 4, "the clean network that the second needs"


def test_a_table_in_a_pipe_is_one_row_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "x"), [("a long name", "1"), ("b", "2|3")], False)
    assert capsys.readouterr().out == "name         x\na long name  1\nb            2|3\n"
    print_table(("name", "x"), [("a", "1"), ("b", "2|3")], True)
    assert capsys.readouterr().out == "| name | x |\n| --- | --- |\n| a | 1 |\n| b | 2\\|3 |\n"
