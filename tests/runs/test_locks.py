"""Locks: one process at a time, whoever waits knows for whom, and nothing stays behind. The waiting itself ends when asked."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cktat.runs import Stop, Stopped, Waiting, World, locked, sweep
from cktat.runs.leftovers import temporary
from cktat.runs.locks import Busy, holder


@pytest.fixture(params=["hard", "soft"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CKTAT_LOCKS", request.param)
    return request.param


@pytest.fixture
def held(runs: Any, tmp_path: Path) -> Callable[[Path], Callable[[], int]]:
    """held(path): another process holds this lock; the result ends it and waits for it."""

    def hold(path: Path) -> Callable[[], int]:
        ready, (go_read, go_write) = tmp_path / "ready", os.pipe()

        def work() -> None:
            with locked(path, "trains\truns/a".replace("\t", " ")):
                ready.touch()
                os.read(go_read, 1)

        wait = runs.forked(work)
        while not ready.exists():
            time.sleep(0.01)

        def end() -> int:
            os.write(go_write, b"x")
            return wait()

        return end

    return hold


def test_the_lock_file_is_there_while_it_is_held_and_gone_after(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / ".lock"
    with pytest.raises(ArithmeticError), locked(path, "trains runs/a"):
        assert path.exists()
        raise ArithmeticError
    assert not path.exists()
    with locked(path, "trains runs/a"):  # and it can be had again
        assert path.exists()


def test_a_lock_that_another_process_holds_is_refused_with_who_it_is(kind: str, held: Any, tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    end = held(path)
    with pytest.raises(Busy) as caught, locked(path, "comes too late"):
        raise AssertionError("two are in")
    assert isinstance(caught.value, BlockingIOError)
    who = str(caught.value)
    assert who.startswith("process ") and f" on {socket.gethostname()}" in who
    assert f"process {os.getpid()} " not in who
    if kind == "hard":
        assert ", which trains runs/a since 20" in who and who.endswith(" UTC")
    assert path.exists()
    assert end() == 0 and not path.exists()


def test_many_processes_are_in_one_after_another(kind: str, runs: Any, tmp_path: Path) -> None:
    """Each finds the file without the others' mark, holds it a moment, and takes its mark away: 4 processes, 25 times."""
    path, mark = tmp_path / ".lock", tmp_path / "mark"

    def work() -> None:
        for _ in range(25):
            while True:
                try:
                    with locked(path, "counts"):
                        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))  # fails where another is in
                        mark.unlink()
                    break
                except Busy:
                    time.sleep(0.001)

    waits = [runs.forked(work) for _ in range(4)]
    assert [wait() for wait in waits] == [0] * 4
    assert list(tmp_path.iterdir()) == []


def test_a_lock_goes_with_its_process_however_that_ends(kind: str, runs: Any, tmp_path: Path) -> None:
    path = tmp_path / ".lock"

    def dies() -> None:
        with locked(path, "dies"):
            runs.die()

    assert runs.forked(dies)() == -signal.SIGKILL
    assert path.exists(), "otherwise this test says nothing"
    for _ in range(50):  # a soft lock of the dead is taken over when it is looked at again
        try:
            with locked(path, "goes on"):
                break
        except Busy:
            time.sleep(0.1)
    else:
        raise AssertionError("the lock of a dead process is held")
    assert not path.exists()


def test_the_lock_of_another_is_not_removed_where_the_folder_was_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "run" / ".lock"
    with locked(path, "is deleted"):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_that_refuses_locks_is_one_line_with_the_way_on(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_line: Any
) -> None:
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        one_line(rf"{tmp_path} refuses locks \({os.strerror(number)}\); set CKTAT_LOCKS=soft"),
        locked(tmp_path / "a", ""),
    ):
        pass
    monkeypatch.setenv("CKTAT_LOCKS", "soft")
    with locked(tmp_path / "b", ""):
        assert (tmp_path / "b").exists()
    assert not (tmp_path / "b").exists()


def test_an_unknown_kind_of_lock_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_line: Any) -> None:
    monkeypatch.setenv("CKTAT_LOCKS", "sotf")
    with one_line("unknown kind of lock in CKTAT_LOCKS 'sotf'; did you mean 'soft'"), locked(tmp_path / "a", ""):
        pass
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_one_system_alone_is_imported(tmp_path: Path) -> None:
    """As on Windows, where there is no fcntl."""
    code = """
import sys
sys.modules["fcntl"] = None
import cktat.evaluation, cktat.api
from pathlib import Path
from cktat.runs import locked
with locked(Path(sys.argv[1]), "works"):
    print(Path(sys.argv[1]).exists())
"""
    command = [sys.executable, "-W", "ignore:only soft file lock", "-c", code, str(tmp_path / ".lock")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "") and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content", ["", "x", "\n\n", "12", "-3\nhost\n", "1\x1b[2J\nhost", "no\nhost\nsince\ndoes", "[" * 5000]
)
def test_a_lock_file_with_other_content_is_of_another_process(content: str, tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(content)
    assert holder(tmp_path / "lock") == "another process"
    assert holder(tmp_path / "none") == "another process"


# Waiting


def test_waiting_ends_when_the_lock_is_free(held: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, said, seen = tmp_path / ".lock", [], []
    monkeypatch.setattr(Waiting, "SOON", 0.0)
    monkeypatch.setattr("cktat.runs.processes.PAUSE", 0.01)
    end = held(path)

    def take() -> str:
        seen.append(1)
        if len(seen) == 3:
            end()
        with locked(path, "takes"):
            return "mine"

    assert World().patiently(take, Stop(), said.append) == "mine"
    assert len(seen) >= 3
    (line,) = said  # once, and then seldom
    assert line.startswith("waiting for process ") and "trains runs/a" in line


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "deadline"])
def test_waiting_ends_when_asked_to_stop(how: str, held: Any, tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    end = held(path)

    def take() -> None:
        if how != "deadline":
            os.kill(os.getpid(), signal.Signals[how])
        with locked(path, "takes"):
            raise AssertionError("two are in")

    why = "the time given with --stop-after is over" if how == "deadline" else f"received {how}"
    with Stop(0.1 if how == "deadline" else None) as stop, pytest.raises(Stopped) as caught:
        World().patiently(take, stop, lambda text: None)
    assert str(caught.value).startswith(f"{why}: no longer waiting for process ")
    assert str(caught.value).endswith("nothing was begun") and caught.value.exit_code == 3
    assert end() == 0


def test_waiting_is_said_soon_and_then_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, said = [100.0], []
    monkeypatch.setattr("cktat.runs.stopping.time.monotonic", lambda: clock[0])
    waiting = Waiting(said.append)
    for moment in (100.0, 102.9, 103.0, 104.0, 702.9, 703.0, 800.0):
        clock[0] = moment
        waiting.note(f"at {moment}")
    assert said == ["waiting for at 103.0", "waiting for at 703.0"]


# What the killed leave


def test_what_the_killed_left_is_swept_and_what_the_living_write_is_not(runs: Any, tmp_path: Path) -> None:
    def dies() -> None:
        for name in ("run.json", "best.safetensors"):
            (tmp_path / (temporary(tmp_path / name) + "abcd1234")).touch()
        with locked(tmp_path / ".best-aa.lock", "dies"):
            runs.die()

    assert runs.forked(dies)() == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 3, "otherwise this test says nothing"
    far = tmp_path / ".run.json.other-host-4026531836.1.abcd1234"
    old = tmp_path / ".run.json.other-host-4026531836.2.abcd1234"
    mine = [tmp_path / (temporary(tmp_path / "state.pt") + "abcd1234"), tmp_path / ".git", tmp_path / "run.json", far]
    for path in (*mine, old):
        path.touch()
    os.utime(old, (0, 0))
    with locked(tmp_path / ".lock", "sweeps"):
        sweep(tmp_path)
        assert set(tmp_path.iterdir()) == {*mine, tmp_path / ".lock"}
    sweep(tmp_path / "nowhere")


def test_a_lock_that_is_held_is_not_swept(held: Any, tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    end = held(path)
    sweep(tmp_path)
    assert path.exists()
    end()
