"""How processes find each other: a port in use, a process that never comes, and what their ends are for torchrun."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch.distributed as dist

from cktat.cli import main
from cktat.training import Stop, Stopped, Training, Waiting, World
from cktat.training.meeting import Lost, meet


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A free port, where processes that are made in this test meet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(number))
    yield number
    assert not dist.is_initialized()


def test_a_port_in_use_is_named_and_is_no_lost_process(port: int, one_line: Any) -> None:
    with (
        socket.create_server(("", port)),
        one_line(rf"port {port} of this machine is in use .* --master-port") as caught,
    ):
        World(0, 2).join()
    assert caught is None


@pytest.mark.parametrize(("host", "number"), [(None, "1"), ("127.0.0.1", None), ("127.0.0.1", "http")])
def test_a_meeting_place_that_is_not_named_is_said(
    host: str | None, number: str | None, monkeypatch: pytest.MonkeyPatch, one_line: Any
) -> None:
    for name, value in (("MASTER_ADDR", host), ("MASTER_PORT", number)):
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    with one_line("meet at MASTER_ADDR and MASTER_PORT"):
        World(1, 2).join()


@pytest.mark.parametrize(("rank", "missing"), [(0, "process 1, 2 of 3"), (1, "process 0")])
@pytest.mark.parametrize("how", ["deadline", "signal", "never"])
def test_a_process_that_never_comes_is_waited_for_until_asked_to_stop(
    rank: int, missing: str, how: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(Waiting, "SOON", 0.0)
    where = f"at port {port} of 127.0.0.1"
    with Stop(0.3 if how == "deadline" else None) as stop, pytest.raises(Lost if how == "never" else Stopped) as caught:
        if how == "signal":
            os.kill(os.getpid(), signal.SIGTERM)
        meet(rank, 3, timedelta(seconds=0.3 if how == "never" else 60), stop, said.append)
    assert f"{missing}, {where}" in str(caught.value)
    if how == "never":
        assert caught.value.exit_code == 1
    else:
        assert caught.value.exit_code == 3 and str(caught.value).endswith("nothing was begun")
    if how != "signal":
        assert said == [f"waiting for {missing}, {where}"]


def ends(runs: Any, *words: object, stop_at: int | None = None) -> list[int]:
    """The exit codes of `cktat *words` in two processes. stop_at: the second gets a SIGTERM in this step."""

    def process(rank: int) -> Any:
        def run() -> None:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
            sys.argv = ["cktat", *map(str, words)]
            step = Training.step

            def signalled(training: Training, batch: Any) -> None:
                step(training, batch)
                if rank == 1 and training.steps == stop_at:
                    os.kill(os.getpid(), signal.SIGTERM)

            Training.step = signalled
            try:
                main()
            except SystemExit as end:
                os._exit(end.code if isinstance(end.code, int) else 0)

        return runs.forked(run)

    waits = [process(rank) for rank in (0, 1)]
    return [wait() for wait in waits]


def test_every_process_ends_with_the_code_of_a_single_one(
    runs: Any, tiny: Any, port: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train = ["train", "pgd_at", *tiny.flags, "--store", tmp_path / "store"]
    assert ends(runs, "train", "pgd_ta", *tiny.flags) == [2, 2]
    assert not (tmp_path / "store").exists()
    assert ends(runs, *train, stop_at=6) == [3, 3]
    assert ends(runs, *train) == [2, 2]  # it must say --resume
    assert ends(runs, *train, "--resume") == [0, 0]
    told = [line.removeprefix("cktat: ")[:38] for line in capfd.readouterr().err.splitlines()]
    assert told[:2] == ["unknown design 'pgd_ta'; did you mean ", "received SIGTERM: saved after step 6 o"]
    assert len(told) == 3  # each said once


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_torchrun_that_is_signalled_leaves_a_run_that_goes_on(
    number: signal.Signals, runs: Any, tiny: Any, tmp_path: Path
) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "cktat"]
    words = ["train", "pgd_at", *tiny.flags, "--epochs", "2000", "--out", str(tmp_path / "run")]
    process = subprocess.Popen(
        [*torchrun, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    while "epoch 3/" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    said = [line for line in err.splitlines() if line.startswith("cktat: ")]
    assert len(said) == 1 and f"received {number.name}: saved after step" in said[0]
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]
