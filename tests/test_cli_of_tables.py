"""`cktat table`: plans, runs, stops, goes on; mistakes are one line. On real digits and the real network."""

from __future__ import annotations

import csv
import json
import os
import shutil
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
    assert written == {
        "runs",
        "table-4a.md",
        "table-4a.tex",
        "table-4a.csv",
        "table-4a.json",
        "claims.md",
        "tables.html",
    }
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


RESULTS = Path(__file__).parents[1] / "results"


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """A folder with the published tables on digits."""
    shutil.copytree(RESULTS / "tables-digits", tmp_path / "tables")
    return tmp_path


def published(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*") if path.is_file()}


def compared(file: bytes) -> tuple[list[str], list[float]]:
    """The text of a table without the numbers of its comparisons, where it is a CSV; and these numbers."""
    lines, numbers = file.decode().splitlines(), list[float]()
    if lines[0].startswith("table,row,"):
        rows = list(csv.DictReader(lines))
        numbers = [
            float(row.pop(name) or 0) for row in rows for name in ("against_low", "against_high", "p", "p_corrected")
        ]
        lines = [json.dumps(row) for row in rows]
    return lines, numbers


@pytest.mark.parametrize("name", ["4", "3", "1"])
def test_published_tables_are_made_again_from_their_folder_alone(here: Here, digits: Path, name: str) -> None:
    before = published(digits / "tables")
    done = here(name, "--no-run", "--out", "tables", folder=digits)
    assert (done.returncode, done.stderr) == (0, "")
    after = published(digits / "tables")
    assert after.keys() - before.keys() == {"claims.md", "tables.html"}
    for file in before:
        # the ends and p of a comparison come from scipy, whose last digits differ between versions and processors
        (old, sure), (new, again) = compared(before[file]), compared(after[file])
        assert new == old and again == pytest.approx(sure, rel=1e-9, abs=0), file
    for table in ("1a", "1b", "3a", "3b", "3c", "4a"):
        assert f'id="table-{table}"' in after["tables.html"].decode(), "the page is of all tables there"


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--epochs", "20"], "0 of 27 records match: epochs 5 there, 20 asked"),
        (["--epochs", "5", "--test-images", "100"], "test images 200 there, 100 asked"),
        (["--epochs", "5", "--weights", "last"], "0 of 27 records match: weights best there, last asked"),
        (["--epochs", "5", "--lr", "0.2", "--batch-size", "64"], "batch size 128 there, 64 asked; lr 0.1 there, 0.2 asked"),
        (["--epochs", "5", "--examples", "500"], "examples None there, 500 asked"),
        (["--epochs", "5", "--model", "resnet18"], "model small there, resnet18 asked"),
    ],
)  # fmt: skip
def test_settings_that_no_record_has_are_named_and_nothing_is_touched(
    here: Here, digits: Path, known: bool, words: list[str], said: str
) -> None:
    if not known:  # a folder of records that does not say what was asked for
        for path in digits.glob("tables/table-*.json"):
            path.unlink()
    before = published(digits / "tables")
    words = ["--seeds", "3", "--precision", "fp32", "--test-images", "200", *words]
    done = here("4", "--no-run", *words, "--out", "tables", folder=digits)
    assert done.returncode == 2 and done.stdout == "" and said in done.stderr and done.stderr.count("\n") == 1
    assert published(digits / "tables") == before and not (digits / "runs").exists()


def test_no_settings_are_not_those_of_records_alone(here: Here, digits: Path) -> None:
    for path in digits.glob("tables/table-*.json"):
        path.unlink()
    before = published(digits / "tables")
    done = here("4", "--no-run", "--precision", "fp32", "--out", "tables", folder=digits)
    assert done.returncode == 2 and "epochs 5 there, 30 asked" in done.stderr
    assert published(digits / "tables") == before


def test_a_table_that_would_hold_less_is_written_only_if_asked_to(here: Here, digits: Path) -> None:
    words = ["4", "--no-run", "--seeds", "2", "--out", "tables"]
    whole = published(digits / "tables")
    assert here(*words, folder=digits).returncode == 0
    after = published(digits / "tables")
    assert {file: after[file] for file in whole} == whole, "two seeds are printed, the three that are there stay"
    (digits / "tables" / "table-4a.json").unlink()
    before = published(digits / "tables")
    given = ["--epochs", "5", "--test-images", "200", "--precision", "fp32"]
    done = here(*words, *given, folder=digits)
    assert done.returncode == 2 and "holds 54 cells, and 54 of them would hold less" in done.stderr
    assert published(digits / "tables") == before
    assert here(*words, *given, "--replace", folder=digits).returncode == 0
    assert b"n = 2" in published(digits / "tables")["table-4a.md"]


def test_one_row_is_printed_and_the_others_stay(here: Here, digits: Path) -> None:
    before = published(digits / "tables")
    done = here("4", "--no-run", "--row", "PGDAT", "--attacks", "pgd20", "--out", "tables", folder=digits)
    assert done.returncode == 0 and "TRADES" not in done.stdout and "95.8 ± 0.6" in done.stdout
    assert {name: text for name, text in published(digits / "tables").items() if name in before} == before


def test_a_run_of_other_settings_is_refused_before_it_begins(here: Here, digits: Path) -> None:
    before = published(digits / "tables")
    done = here("4", "--epochs", "20", "--out", "tables", folder=digits)
    assert done.returncode == 2 and "tables: epochs 5 there, 20 asked; give another --out, or --replace" in done.stderr
    assert published(digits / "tables") == before and not (digits / "runs").exists()


def test_rows_are_added_to_a_table_that_is_there(here: Here, one: Path, tmp_path: Path) -> None:
    shutil.copytree(one, tmp_path / "copy")
    done = here("4", *TWO[1:-4], "--row", "TRADES", "--out", "out", folder=tmp_path / "copy")
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "copy" / "out" / "table-4a.csv").read_text().splitlines()
    found = [line.split(",")[1:3] for line in lines[1:]]
    assert found == [[row, column] for row in ("PGDAT", "TRADES", "CKTAT beta=6") for column in ("clean", "pgd10")]
    assert all(line.split(",")[5] for line in lines[1:])
    assert "PGDAT" not in done.stdout.partition("Table")[2]


@pytest.mark.parametrize("words", [[], ["--no-run"]])
def test_a_cell_that_fails_takes_no_number_from_the_table_that_is_there(
    here: Here, one: Path, tmp_path: Path, words: list[str]
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(one, folder)
    (edited,) = folder.glob("runs/pgd_at-*/results/best-pgd10-first60.json")
    edited.write_text(edited.read_text().replace('"correct": ', '"correct": 1'))
    before = published(folder / "out")
    done = here(*TWO, *words, "--out", "out", folder=folder)
    assert done.returncode == 2 and "holds 4 cells, and 1 of them would hold less" in done.stderr
    assert published(folder / "out") == before
    assert words or edited.name in done.stderr
