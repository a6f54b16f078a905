"""`cktat demo`: its table and its page show what its records hold. In its own size but for data and network."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cktat.api import Store
from cktat.cli import main
from cktat.evaluation import Result
from cktat.evaluation.statistics import wilson
from cktat.paper import demo
from cktat.runs import RunFolder

NAMES = ("Standard", "PGD-AT", "TRADES", "CKTAT tau=1, beta=1")
ATTACKS = ("clean", "pgd20", "pgd100", "mim", "cw")


@pytest.fixture
def command(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[], list[str]]:
    """Runs the command on tiny data; the lines that it prints."""
    monkeypatch.setattr(demo, "OPTIONS", tiny.options)
    monkeypatch.setattr(sys, "argv", ["cktat", "demo", "--out", str(tmp_path / "out")])

    def run() -> list[str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert (end.value.code, said.err) == (0, "")
        return said.out.splitlines()

    return run


def runs_of(folder: Path) -> list[RunFolder]:
    """In the order of the table."""
    found = {run.config().design: run for run in Store(folder).runs()}
    assert len(found) == len(Store(folder).runs()), "the clean network is trained once, as a row and for its student"
    return [found[design] for design in ("standard", "pgd_at", "trades", "cktat")]


def shown_of(lines: list[str]) -> list[tuple[str, str]]:
    """(accuracies, intervals) of each design in the printed table."""
    head = next(i for i, line in enumerate(lines) if line.startswith("design "))
    assert lines[head].split() == ["design", "seed", "weights", *ATTACKS, "worst", "case"]
    return list(zip(lines[head + 1 : head + 9 : 2], lines[head + 2 : head + 10 : 2], strict=True))


def test_its_table_and_page_show_what_the_records_hold(
    command: Callable[[], list[str]], tiny: Any, shown: Any, tmp_path: Path
) -> None:
    made, where = demo.demo(tmp_path / "out", **tiny.options)
    runs = runs_of(tmp_path / "out")
    assert ([run.path for run in made], where) == ([run.path for run in runs], tmp_path / "out" / "report.html")
    assert [run.config().set for run in runs] == [{}, {}, {}, {"tau": 1.0, "beta": 1.0}]
    right = iter(range(1, 30))
    for run in runs:  # results of which no two are alike take the places of the measured ones
        for attack in ATTACKS:
            path, n = run.results_path / f"best-{attack}.json", next(right)
            measured = Result.read(path)
            assert (measured.attack, measured.images, measured.protocol["precision"]) == (attack, 30, "fp32")
            replace(measured, robust="1" * n + "0" * (30 - n)).write(path)
    shown.figures.clear()
    lines = command()
    assert sum("measured already" in line for line in lines) == 4 * 5
    assert not [line for line in lines if "epoch" in line], "nothing is trained again"

    rows = []
    for number, (run, name) in enumerate(zip(runs, NAMES, strict=True)):
        counts = [5 * number + place for place in range(1, 6)]
        counts.append(min(counts))  # flags are nested, so that the worst case is the lowest
        accuracies = [f"{100 * n / 30:.1f}" for n in counts]
        intervals = [[f"{100 * end:.1f}" for end in wilson(n, 30)] for n in counts]
        above, below = shown_of(lines)[number]
        assert above.split() == [*name.split(), "0", "best", *accuracies]
        assert below.split() == ["-".join(ends) for ends in intervals]
        rows.append([f"{a} {'–'.join(ends)}" for a, ends in zip(accuracies, intervals, strict=True)])
        assert len(run.history()) == 2

    path = tmp_path / "out" / "report.html"
    assert lines[-1] == f"page: {path}"
    page = shown.page(path)
    head, *shown_rows = shown.table(shown.under(page, "Accuracy"))
    assert head[:8] == ["Run", "weights", *ATTACKS, "worst case"] and [row[2:8] for row in shown_rows] == rows
    legend = shown.legend(shown.under(page, "Accuracy against eps"))
    for run, (name, colour) in zip(runs, legend.items(), strict=True):
        curve = json.loads((run.results_path / "best-curve.json").read_text())
        points = [(eps, 100 * correct / 30) for eps, correct in zip(curve["eps"], curve["correct"], strict=True)]
        assert shown.lines("Accuracy (%) against eps")[colour] == points and name.startswith(
            run.read()["design"]["name"]
        )
        losses = [(line["epoch"], line["loss"]) for line in run.history()]
        assert shown.lines("Training loss")[colour] == losses


def test_its_own_size_is_that_of_the_readme() -> None:
    assert demo.OPTIONS == {"data": "digits", "model": "small", "epochs": 20, "seed": 0}
