"""`cktat table`: plans, runs, stops, goes on; mistakes are one line. On real digits and the real network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cktat.cli import main

COMMAND = [sys.executable, "-m", "cktat", "table"]
SMALL = ["--data", "digits", "--examples", "256", "--epochs", "2", "--precision", "fp32", "--attacks", "pgd10"]
TWO = ["4", *SMALL, "--test-images", "60", "--row", "PGDAT", "--row", "CKTAT beta=6"]


Done = subprocess.CompletedProcess[str]
Here = Callable[..., Done]


def cktat(*words: str, folder: Path) -> Done:
    environment = {k: v for k, v in os.environ.items() if k not in ("CKTAT_DATA", "CKTAT_STORE", "RAY_ADDRESS")}
    return subprocess.run([*COMMAND, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=500)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The command in this process, in `folder`."""
    for name in ("CKTAT_DATA", "CKTAT_STORE", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str, folder: Path) -> Done:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["cktat", "table", *words])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return Done(words, code, *capsys.readouterr())

    return run


def flags(folder: Path) -> dict[tuple[str, str], str]:
    """Which images were right, by design and attack, as the records have it."""
    return {
        (record["config"]["design"], result["attack"]): result["robust"]
        for path in (folder / "out" / "runs").glob("*.json")
        for record in [json.loads(path.read_text())]
        for result in record["results"]
    }


def table_of(text: str) -> list[str]:
    return text[text.index("\nTable") :].splitlines()[1:4]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rows, one seed, two epochs, by one process."""
    folder = tmp_path_factory.mktemp("one")
    done = cktat(*TWO, "--out", "out", folder=folder)
    assert (done.returncode, done.stderr) == (0, "")
    (folder / "printed").write_text(done.stdout)
    return folder


def test_it_plans_and_leaves_nothing_behind(here: Here, tmp_path: Path) -> None:
    done = here(*TWO, "--plan", folder=tmp_path)
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["run", "4a", "standard", "4a", "3"]
    assert list(tmp_path.iterdir()) == []


def test_it_prints_what_it_measured_and_again_without_running(here: Here, one: Path) -> None:
    first, again = (one / "printed").read_text(), here(*TWO, "--no-run", folder=one)
    assert again.returncode == 0 and table_of(again.stdout) == table_of(first)
    percent = 100 * flags(one)["pgd_at", "pgd10"].count("1") / 60
    row = next(line for line in table_of(first) if line.startswith("PGDAT"))
    assert f"{percent:.1f}" in row
    written = {path.name for path in (one / "out").iterdir()}
    assert written == {"runs", "table-4a.md", "table-4a.tex", "table-4a.csv", "claims.md", "tables.html"}
    assert "| not measured |" in (one / "out" / "claims.md").read_text()


def test_two_processes_give_the_same_bits(one: Path, tmp_path: Path) -> None:
    done = cktat(*TWO, "--jobs", "2", "--out", "out", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert flags(tmp_path) == flags(one) and len(flags(one)) == 4
    assert weights(tmp_path) == weights(one)


@pytest.mark.slow
def test_a_local_ray_gives_the_same_bits(one: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (pip install 'cktat[cluster]')")
    done = cktat(*TWO, "--on", "ray", "--jobs", "2", "--out", "out", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert flags(tmp_path) == flags(one)
    assert weights(tmp_path) == weights(one)


def weights(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted((folder / "runs").rglob("*.safetensors"))}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_ended_amid_its_work_it_continues(number: signal.Signals, one: Path, tmp_path: Path) -> None:
    child = subprocess.Popen(
        [*COMMAND, *TWO, "--jobs", "2", "--out", "out"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not list(tmp_path.glob("runs/pgd_at-*/log.jsonl")):
        time.sleep(0.05)
        assert child.poll() is None
    child.send_signal(number)
    child.communicate(timeout=120)
    assert child.returncode == (3 if number == signal.SIGTERM else -9)
    done = cktat(*TWO, "--out", "out", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert flags(tmp_path) == flags(one) and weights(tmp_path) == weights(one)


def test_the_time_given_ends_it_in_good_order(here: Here, tmp_path: Path) -> None:
    done = here(*TWO, "--stop-after", "1s", "--out", "out", folder=tmp_path)
    assert done.returncode == 3 and "the same command goes on" in done.stderr and "Table 4a" in done.stdout


def test_a_failing_cell_ends_with_2_after_the_table(here: Here, one: Path) -> None:
    (edited,) = one.glob("runs/pgd_at-*/results/best-pgd10-first60.json")
    text = edited.read_text()
    edited.write_text(text.replace('"robust": "1', '"robust": "0', 1).replace('"robust": "00', '"robust": "10', 1))
    try:
        assert edited.read_text() != text
        done = here(*TWO, folder=one)
    finally:
        edited.write_text(text)
    assert done.returncode == 2 and edited.name in done.stderr and "was changed" in done.stderr
    assert "Table 4a" in done.stdout and "failed" in done.stdout


def test_table_2_is_read_off_the_designs(here: Here, tmp_path: Path) -> None:
    done = here("2", folder=tmp_path)
    assert done.returncode == 0 and "cktat" in done.stdout and "meaning of T" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["9"], "unknown table '9'"),
        (["4", "--row", "PGD"], "unknown row of table 4a 'PGD'"),
        (["4", "--attacks", "pdg20"], "did you mean 'pgd20'"),
        (["3b", "--attacks", "pgd20", "--on", "mars"], "here or ray"),
        (["3b", "--attacks", "pgd20", "--test-images", "501"], "cannot measure 501 images"),
        (["1a", "--attacks", "pgd20", "--model", "wrn34-10"], "larger network"),
        (["3b", "--stop-after", "soon"], "not a duration"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(here: Here, words: list[str], said: str, tmp_path: Path) -> None:
    done = here(*words, folder=tmp_path)
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
