"""Signals at every moment of a command: before anything is begun, while it waits for another, in an evaluation, at its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cktat.api import commands as api
from cktat.cli import main
from cktat.evaluation import Result
from cktat.runs import RunFolder, Stop, locked

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)


def ended(words: list[Any], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a command in this process."""
    monkeypatch.setattr(sys, "argv", ["cktat", *map(str, words)])
    monkeypatch.setattr(Stop, "listened", False)
    with pytest.raises(SystemExit) as end:
        main()
        raise SystemExit(0)
    return end.value.code  # type: ignore[return-value]


def kill_self(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(10)  # never that long: the signal comes first


@BOTH
def test_a_signal_while_data_are_loaded_ends_at_once_and_nothing_is_begun(
    number: signal.Signals, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(api, "configure", lambda **_: kill_self(number))
    before = signal.getsignal(number)
    assert ended(["train", "pgd_at", *tiny.flags, "--store", tmp_path / "store"], monkeypatch) == 128 + number
    assert signal.getsignal(number) == before
    assert capsys.readouterr().err == f"cktat: received {number.name}: nothing was begun\n"
    assert not (tmp_path / "store").exists()


def test_a_real_process_ends_so_while_it_starts(tiny: Any, tmp_path: Path) -> None:
    """In the middle of importing torch, which takes the longest."""
    (tmp_path / "torch.py").write_text("import os, time\nos.kill(os.getpid(), 15)\ntime.sleep(10)\n")
    done = subprocess.run(
        [sys.executable, "-m", "cktat", "train", "pgd_at", *tiny.flags, "--store", "store"],
        capture_output=True, text=True, cwd=tmp_path, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (143, "cktat: received SIGTERM: nothing was begun\n")
    assert not (tmp_path / "store").exists()


@BOTH
def test_a_signal_after_the_work_does_not_say_that_nothing_was_begun(
    number: signal.Signals, runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    run = runs.train("pgd_at", tmp_path / "store")
    monkeypatch.setattr(api, "for_report", lambda *_, **__: kill_self(number))
    assert ended(["evaluate", run.path, "--attacks", "fgsm", "--device", "cpu"], monkeypatch) == 128 + number
    told = capsys.readouterr().err
    assert told == f"cktat: received {number.name}: ended before its end; the files that are there are whole\n"
    assert Result.read(run.results_path / "best-fgsm.json").attack == "fgsm"


def test_a_command_that_waits_for_another_says_for_whom_and_obeys(tiny: Any, tmp_path: Path) -> None:
    with locked(tmp_path / "run" / ".lock", "trains something long"):
        process = subprocess.Popen(
            [sys.executable, "-m", "cktat", "train", "pgd_at", *tiny.flags, "--out", "run"], cwd=tmp_path,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(f"waiting for process {os.getpid()} on ") and "which trains something long since" in line
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (3, "")
    assert err.startswith(f"cktat: received SIGTERM: no longer waiting for process {os.getpid()} on ")
    assert err.endswith("; nothing was begun\n") and err.count("\n") == 1
    assert list((tmp_path / "run").iterdir()) == []


def test_a_deadline_ends_the_waiting(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    words = ["train", "pgd_at", *tiny.flags, "--out", tmp_path / "run", "--stop-after", "2s"]
    with locked(tmp_path / "run" / ".lock", "trains"):
        assert ended(words, monkeypatch) == 3
    assert "the time given with --stop-after is over: no longer waiting for process" in capsys.readouterr().err
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize("attack", ["pgd10", "aa-fast"])
def test_an_evaluation_that_is_signalled_keeps_what_is_whole_and_goes_on(
    attack: str, runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    run, twin = runs.train("pgd_at", tmp_path / "one"), runs.train("pgd_at", tmp_path / "two")
    options = ["--attacks", attack, "--device", "cpu", "--batch-size", "10", "--no-doubts"]
    asked = []
    plain = Stop.now

    def now(stop: Stop) -> str | None:
        asked.append(1)
        if len(asked) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(stop)

    with monkeypatch.context() as patch:
        patch.setattr(Stop, "now", now)
        assert ended(["evaluate", run.path, *options], patch) == 3
    told = capsys.readouterr().err
    assert told.startswith(f"cktat: received SIGTERM: stopped measuring {attack} of {run.path}; ") and "goes on" in told
    whole = Result.read(run.results_path / "best-clean.json")
    assert not (run.results_path / f"best-{attack}.json").exists()
    assert ended(["evaluate", run.path, *options], monkeypatch) == 0
    assert f"clean: measured already, in {run.results_path / 'best-clean.json'}" in capsys.readouterr().out
    assert ended(["evaluate", twin.path, *options], monkeypatch) == 0
    for name in ("clean", attack):
        ours, theirs = (Result.read(of.results_path / f"best-{name}.json") for of in (run, twin))
        assert ours.robust == theirs.robust and ours.protocol == theirs.protocol
    assert Result.read(run.results_path / "best-clean.json") == whole
    assert sorted(path.name for path in RunFolder(run.path).results_path.iterdir()) == sorted(
        path.name for path in twin.results_path.iterdir()
    )
