"""Several processes compute what one computes, hold the same weights, and end together. Two gloo processes on the CPU."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from cktat.api import commands as api
from cktat.attacks import Ball
from cktat.data import Batches, Split
from cktat.designs import make
from cktat.errors import CktatError
from cktat.evaluation import flags
from cktat.runs import RunFolder, World, digest
from cktat.seeds import cut
from cktat.training import Training
from cktat.training.starts import Starts

SMOOTH = """
from torch import nn


def net(classes, channels):
    return nn.Sequential(nn.Conv2d(channels, 4, 3, stride=2), nn.Tanh(), nn.Flatten(), nn.Linear(16, classes))
"""


@pytest.fixture
def smooth(tmp_path: Path) -> str:
    """A network without BatchNorm, so that a part of a batch passes through it as in the whole batch."""
    path = tmp_path / "smooth.py"
    path.write_text(SMOOTH)
    return f"{path}:net"


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code (minus the signal), what it said, and digests of its weights after each epoch."""

    code: int
    text: str
    weights: list[dict[str, str]]


def both(runs: Any, folder: Path, work: Callable[[World], Any]) -> list[Ended]:
    """`work` in two processes with the environment that torchrun gives them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir(exist_ok=True)

    def child(rank: int) -> Callable[[], None]:
        said, weights = folder / f"said-{rank}", folder / f"weights-{rank}"
        weights.write_text("")

        def run() -> None:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            plain = Training.end_epoch

            def end_epoch(training: Training) -> dict[str, Any]:
                states = training.team.state_dict()
                with weights.open("a") as file:
                    file.write(json.dumps({name: digest(state) for name, state in states.items()}) + "\n")
                return plain(training)

            Training.end_epoch = end_epoch
            try:
                said.write_text(str(work(World.here().join())))
            except CktatError as error:
                said.write_text(str(error))
                os._exit(error.exit_code)

        return run

    waits = [runs.forked(child(rank)) for rank in (0, 1)]
    codes = [wait() for wait in waits]
    found = []
    for rank, code in enumerate(codes):
        said = folder / f"said-{rank}"
        lines = (folder / f"weights-{rank}").read_text().splitlines()
        found.append(Ended(code, said.read_text() if said.exists() else "", [json.loads(line) for line in lines]))
    return found


@contextmanager
def alone() -> Iterator[None]:
    """Nothing of torch.distributed was started in this process."""
    yield
    assert not dist.is_initialized()


# What is cut and drawn


@pytest.mark.parametrize("augment", ["none", "crop-flip"])
def test_the_parts_of_a_batch_are_the_batch(augment: str) -> None:
    split = Split(torch.randint(0, 255, (25, 1, 6, 6), dtype=torch.uint8), torch.arange(25) % 3)
    whole = Batches(split, 12, augment=augment, seed=1).epoch(3)
    parts = [Batches(split, 12, augment=augment, seed=1, part=(which, 3)).epoch(3) for which in range(3)]
    for batch, *cuts in zip(whole, *parts, strict=True):
        for tensor, own in zip(batch, zip(*cuts, strict=True), strict=True):
            assert torch.equal(tensor, torch.cat(own))


@pytest.mark.parametrize("design", ["pgd_at", "trades"])  # a uniform start, a Gaussian one
@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_the_parts_of_a_batch_start_where_the_batch_starts(norm: Any, design: str) -> None:
    x, ball = torch.rand(8, 1, 4, 4), Ball(0.2, norm=norm)

    def start(which: int, parts: int) -> torch.Tensor:
        (found,) = Starts(make(design), ball, 0, (which, parts)).at(5, cut(x, (which, parts))).values()
        return found

    assert torch.equal(start(0, 1), torch.cat([start(0, 2), start(1, 2)]))
    assert not torch.equal(start(0, 1), x)


def test_a_batch_that_cannot_be_shared_equally_is_refused(runs: Any, tmp_path: Path) -> None:
    found = both(runs, tmp_path, lambda world: runs.train("trades", tmp_path / "s", world=world, batch_size=9))
    assert [end.code for end in found] == [2, 2]
    assert "a batch of 9 images cannot be shared equally by 2 processes" in found[0].text == found[1].text
    assert not (tmp_path / "s").exists()


# What is computed


@pytest.mark.parametrize(
    ("design", "options"),
    [
        ("trades", {}),
        ("trades", {"awp": 0.01}),
        ("ikl", {}),  # class means are sums over all parts of a batch
        ("cktat", {}),
        ("kd_at_auto", {}),
        ("lbgat", {}),
        ("generalist", {"ema": 0.9, "norm": "L2"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_two_processes_compute_what_one_computes(
    runs: Any, tmp_path: Path, smooth: str, design: str, options: dict[str, Any]
) -> None:
    options = options | {"model": smooth}
    found = both(runs, tmp_path, lambda world: runs.train(design, tmp_path / "two", world=world, **options))
    assert [end.code for end in found] == [0, 0], found[0].text
    assert found[0].weights == found[1].weights != []
    with alone():
        one = runs.train(design, tmp_path / "one", **options)
    two = RunFolder(tmp_path / "two" / one.path.name)
    assert two.read()["identity"] == one.read()["identity"]
    assert (one.read()["hardware"]["processes"], two.read()["hardware"]["processes"]) == (1, 2)
    for pick in ("best", "last"):
        ours, theirs = one.load(pick)[0], two.load(pick)[0]
        assert all(torch.allclose(ours[name], theirs[name], rtol=0, atol=1e-5) for name in ours)
    for ours, theirs in zip(one.history(), two.history(), strict=True):
        assert ours["held_out"] == theirs["held_out"]
        assert theirs["loss"] == pytest.approx(ours["loss"], abs=1e-5)


@pytest.mark.parametrize("design", ["lbgat", "generalist"])
def test_with_batch_norm_all_hold_the_same_weights_and_statistics(runs: Any, tmp_path: Path, design: str) -> None:
    found = both(runs, tmp_path, lambda world: runs.train(design, tmp_path / "s", world=world, ema=0.9))
    assert found[0].weights == found[1].weights
    assert len(found[0].weights) == 2


def test_a_world_of_one_is_no_world(runs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = runs.outcome(runs.train("trades", tmp_path / "without"))
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    with alone():
        world = World.here().join()
        assert world == World()
        assert runs.outcome(runs.train("trades", tmp_path / "with", world=world)) == before


# How it ends


def test_all_stop_where_one_is_asked_to_and_go_on_as_if_never_stopped(runs: Any, tmp_path: Path) -> None:
    def until(stop: dict[int, int]) -> Callable[[World], Any]:
        return lambda world: runs.train(
            "trades", tmp_path / "stopped", world=world, ensure=True, steps=runs.Steps(stop.get(world.rank))
        )

    both(runs, tmp_path, lambda world: runs.train("trades", tmp_path / "straight", world=world))
    found = both(runs, tmp_path, until({1: 6}))
    assert [end.code for end in found] == [3, 3]
    assert "saved after step 6 of 8" in found[0].text == found[1].text
    assert [end.code for end in both(runs, tmp_path, until({0: 1}))] == [3, 3]
    assert [end.code for end in both(runs, tmp_path, until({}))] == [0, 0]
    (straight,), (stopped,) = ((tmp_path / name).iterdir() for name in ("straight", "stopped"))
    assert runs.outcome(RunFolder(stopped)) == runs.outcome(RunFolder(straight))


@pytest.mark.parametrize("dead", [0, 1])
def test_a_killed_process_is_a_clear_error_and_the_run_goes_on_from_its_last_epoch(
    runs: Any, tmp_path: Path, dead: int
) -> None:
    def work(at: int | None) -> Callable[[World], Any]:
        def train(world: World) -> Any:
            kill = world.rank == dead and at is not None
            steps = runs.Steps(at_step=lambda step: runs.die() if kill and step == at else None)
            return runs.train("trades", tmp_path / "s", world=world, ensure=True, steps=steps)

        return train

    found = both(runs, tmp_path, work(6))
    assert [found[dead].code, found[1 - dead].code] == [-9, 1]
    assert f"process {1 - dead} of 2 lost another process" in found[1 - dead].text
    assert "--resume" in found[1 - dead].text and "\n" not in found[1 - dead].text
    (path,) = (tmp_path / "s").iterdir()
    assert len(RunFolder(path).history()) == 1 and not RunFolder(path).finished
    assert [end.code for end in both(runs, tmp_path, work(None))] == [0, 0]
    both(runs, tmp_path, lambda world: runs.train("trades", tmp_path / "straight", world=world))
    assert runs.outcome(RunFolder(path)) == runs.outcome(RunFolder(tmp_path / "straight" / path.name))


def test_an_error_in_one_process_ends_all(runs: Any, tmp_path: Path) -> None:
    def fails(world: World) -> None:
        def work() -> None:
            if world.rank == 1:
                raise CktatError("only here")

        world.together(work)

    def first_fails(world: World) -> None:
        def work() -> None:
            raise OSError(28, "no space" if world.first else "never said")

        try:
            world.once(work)
        except OSError as error:
            raise CktatError(str(error)) from None

    for work, text in ((fails, "only here"), (first_fails, "[Errno 28] no space")):
        found = both(runs, tmp_path, work)
        assert [(end.code, end.text) for end in found] == [(2, text)] * 2


def test_what_is_done_once_is_done_by_the_first_and_known_to_all(runs: Any, tmp_path: Path) -> None:
    def work(world: World) -> int:
        (tmp_path / f"worked-{world.rank}").touch()
        return 10 + world.rank

    found = both(runs, tmp_path, lambda world: world.once(lambda: work(world)))
    assert [end.text for end in found] == ["10", "10"]
    assert [path.name for path in tmp_path.glob("worked-*")] == ["worked-0"]


# Evaluation, and torchrun itself


def test_evaluation_shares_the_images_and_finds_the_same(runs: Any, tmp_path: Path) -> None:
    one = runs.train("trades", tmp_path / "one")
    shutil.copytree(one.path, tmp_path / "two")

    def evaluate(folder: Path) -> list[str]:
        return [r.robust for r in api.evaluate(folder, ["pgd10", "cw"], batch_size=7, device="cpu", show=False)]

    found = both(runs, tmp_path, lambda world: evaluate(tmp_path / "two"))
    assert [end.text for end in found] == [str(evaluate(one.path))] * 2
    names = {path.name for path in one.results_path.iterdir()}
    assert names == {path.name for path in (tmp_path / "two" / "results").iterdir()}
    for name in ("best-pgd10.json", "best-clean.json"):
        ours, theirs = (json.loads((f / "results" / name).read_text()) for f in (one.path, tmp_path / "two"))
        assert (ours["robust"], ours["protocol"]) == (theirs["robust"], theirs["protocol"])
        assert theirs["provenance"]["hardware"]["processes"] == 2
    curves = [json.loads((f / "results" / "best-curve.json").read_text()) for f in (one.path, tmp_path / "two")]
    assert curves[0] == curves[1]


def test_every_process_measures_its_own_batches(runs: Any, tmp_path: Path) -> None:
    split = Split(torch.randint(0, 255, (18, 1, 6, 6), dtype=torch.uint8), torch.arange(18) % 3)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 3))

    def measure(world: World) -> list[int]:
        done: list[int] = []
        flags(net, split, None, eps=0.1, batch_size=4, watch=lambda images, right: done.append(images), world=world)
        return done

    found = both(runs, tmp_path, measure)
    assert [end.text for end in found] == ["[4, 8, 10, 18]", "[4, 8, 18]"]  # batches 0, 2, 4 and 1, 3; then all


def test_torchrun_trains_and_only_the_first_process_speaks(tiny: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "cktat"]
    words = ["train", "trades", *tiny.flags, "--store", str(tmp_path / "store")]
    done = subprocess.run(
        [*command, *words], capture_output=True, text=True, timeout=120, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    (run,) = (RunFolder(path) for path in (tmp_path / "store").iterdir())
    assert run.finished and run.read()["hardware"]["processes"] == 2
    assert [line.partition(" ")[0] for line in done.stdout.splitlines()] == ["TRADES:", "TRADES", "TRADES", "run:"]
