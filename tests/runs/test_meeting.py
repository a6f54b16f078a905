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

from cktat.runs import Stop, Stopped, Waiting, World
from cktat.runs.meeting import Lost, meet


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


SIGNALLED = """
import os

from torch import nn


class Signalled(nn.Module):
    passes = 0

    def forward(self, x):
        Signalled.passes += self.training
        if self.training and Signalled.passes == 6 and os.environ["RANK"] == "1" and "STOP" in os.environ:
            os.kill(os.getpid(), 15)
        return x


def net(classes, channels):
    return nn.Sequential(Signalled(), nn.Flatten(), nn.Linear(36, classes))
"""


def ends(*words: object, stop: bool = False) -> tuple[list[int], list[str]]:
    """The exit codes of `cktat *words` in two processes, and the lines that they say of errors."""
    common = {"WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"} | ({"STOP": "1"} if stop else {})
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "cktat", *map(str, words)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
            text=True, env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in (0, 1)
    ]  # fmt: skip
    said = [line for process in both for line in process.communicate(timeout=120)[1].splitlines()]
    return [process.returncode for process in both], [line for line in said if line.startswith("cktat: ")]


def test_every_process_ends_with_the_code_of_a_single_one(tiny: Any, port: int, tmp_path: Path) -> None:
    (tmp_path / "signalled.py").write_text(SIGNALLED)
    train = ["train", "pgd_at", *tiny.flags, "--model", f"{tmp_path / 'signalled.py'}:net", "--out", tmp_path / "run"]
    codes, (line,) = ends("train", "pgd_ta", *tiny.flags)  # said once
    assert codes == [2, 2] and line.startswith("cktat: unknown design 'pgd_ta'; did you mean ")
    codes, (line,) = ends(*train, stop=True)
    assert codes == [3, 3] and line.startswith("cktat: received SIGTERM: saved after step 6 of 8 in ")
    assert ends(*train, "--resume") == ([0, 0], [])


LEFT = """
import gc, sys, weakref
import torch, torch.distributed as dist
from cktat.runs import World

World.here().join().gather("one")
torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
group = weakref.ref(dist.group.WORLD)
dist.destroy_process_group()
gc.collect()
sys.exit(4 if group() is None else 5)
"""


def test_nothing_keeps_the_group_and_its_threads_after_their_end(port: int) -> None:
    both = [
        subprocess.Popen(
            [sys.executable, "-c", LEFT],
            env=os.environ | {"WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in (0, 1)
    ]
    assert [process.wait(timeout=120) for process in both] == [4, 4]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_torchrun_that_is_signalled_leaves_a_run_that_goes_on(
    number: signal.Signals, tiny: Any, tmp_path: Path
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
