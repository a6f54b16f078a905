"""Accuracy against cost from the records of trainings: what is counted, what is compared, what the picture shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cktat.grid import passes
from cktat.runs import write_json


def run(design: str, attack: float, clean: int, attacked: int) -> dict[str, Any]:
    """What `cktat compare --out` writes of a run, as far as it is read here: two epochs, 50 test images."""
    results = [
        {"weights": weights, "attack": name, "correct": correct - (weights == "last"), "images": 50}
        for weights in ("last", "best")
        for name, correct in (("clean", clean), ("pgd20", attacked))
    ]
    history = [{"attack_passes": attack - 0.5}, {"attack_passes": attack + 0.5}]
    return {"config": {"design": design, "set": {}}, "history": history, "results": results}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_json(tmp_path / "digits-pgd_at-pgd-10.json", [run("pgd_at", 10, 45, 30), run("pgd_at", 10, 46, 32)])
    write_json(tmp_path / "digits-pgd_at-n-fgsm.json", [run("pgd_at", 1, 44, 25)])
    write_json(tmp_path / "digits-pgd_at-stopped.json", [run("pgd_at", 5, 47, 24)])
    write_json(tmp_path / "cifar10-trades-n-fgsm.json", [run("trades", 1, 20, 10)])
    return tmp_path


def test_the_table_counts_passes_as_the_cost_of_a_run_does(folder: Path) -> None:
    """PGD-AT: two a pass of the attack, and three of the update; TRADES: one for its label, and six."""
    header, *rows = passes.table(passes.read(folder))
    assert rows == [
        ("cifar10, trades", "n-fgsm", "1", "1.0", "9.0", "", "40.0", "20.0"),
        ("digits, pgd_at", "n-fgsm", "1", "1.0", "5.0", "22 %", "88.0", "50.0"),
        ("digits, pgd_at", "stopped", "1", "5.0", "13.0", "57 %", "94.0", "48.0"),
        ("digits, pgd_at", "pgd-10", "2", "10.0 ± 0.0", "23.0 ± 0.0", "100 %", "91.0 ± 1.4", "62.0 ± 2.8"),
    ]
    assert len(header) == len(rows[0])


def test_the_line_joins_what_nothing_cheaper_beats(folder: Path) -> None:
    left, right = passes.picture(passes.read(folder)).axes
    assert (left.get_title(), right.get_title()) == ("cifar10, trades", "digits, pgd_at")
    (line,) = (line for line in right.lines if line.get_linestyle() == "--")
    assert [tuple(point) for point in line.get_xydata().tolist()] == [(5.0, 50.0), (23.0, 62.0)]


def test_it_prints_markdown_and_writes_a_png(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    passes.main(str(folder), str(folder / "out.png"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and lines[1].count("---") == 8 and all(line.startswith("| ") for line in lines)
    assert (folder / "out.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_no_record_is_one_line(tmp_path: Path, one_line: Any) -> None:
    with one_line("holds no records"):
        passes.read(tmp_path)
    write_json(tmp_path / "digits-pgd_at-old.json", [run("pgd_at", 1, 2, 1) | {"history": [{"epoch": 1}]}])
    with one_line("old.json is no record of .*attack_passes"):
        passes.read(tmp_path)
