"""Two and four processes on one store, and a rank killed under torchrun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.faults.product import SMALL, Campaign, Ended, end, environment, leftovers, product_of, run, start

TRAIN = ("train", "cktat", *SMALL, "--store", "store", "--set", "tau=1")


def campaign(work: Path, seed: int, size: float) -> list[Campaign]:
    """Every crowd leaves what one process leaves; a killed rank loses nothing."""
    return [_stores(work / "stores"), _ranks(work / "ranks")]


def _stores(work: Path) -> Campaign:
    done = Campaign("processes on one store")
    alone = work / "alone"
    alone.mkdir(parents=True)
    run(TRAIN, alone)
    wanted = product_of(alone)
    for count in (2, 4):
        place = work / f"crowd-{count}"
        place.mkdir()
        crowd = [start(TRAIN, place) for _ in range(count)]
        ends = [end(one) for one in crowd]
        done.held(any(one.code == 0 for one in ends), f"{count} processes: none ended well: {ends[0].brief()}")
        refused = [one for one in ends if one.code and not one.in_one_line]
        done.held(not refused, f"{count} processes: {refused[0].brief() if refused else ''}")
        done.held(product_of(place) == wanted, f"{count} processes leave other numbers than one")
        done.held(not leftovers(place), f"{count} processes leave {leftovers(place)[:3]}")
        (trained,) = (place / "store").glob("cktat-*")
        measure = ("evaluate", f"store/{trained.name}", "--attacks", "pgd20,aa-fast", "--test-images", "100")
        ends = [end(one) for one in [start(measure, place) for _ in range(count)]]
        done.held(all(one.code == 0 for one in ends), f"{count} evaluations: {[one.code for one in ends]}")
    return done


def _torchrun(work: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "cktat"]
    command += ["train", "pgd_at", *SMALL, "--epochs", "60", "--store", "store", *more]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=work, env=environment(), text=True, stdout=pipe, stderr=pipe)


def _ranks(work: Path) -> Campaign:
    done = Campaign("a rank killed under torchrun")
    work.mkdir(parents=True)
    for rank in (0, 1):
        place = work / f"rank-{rank}"
        place.mkdir()
        process = _torchrun(place)
        state = _wait_for(place, "state.pt")
        victim = _process_of(process.pid, rank)
        if not state or victim is None:
            done.held(False, f"rank {rank} was not found at work: {end(process, 5).brief()}")
            continue
        os.kill(victim, signal.SIGKILL)
        ended = end(process)
        done.held(ended.code != 0, f"rank {rank} killed, and torchrun ended with 0")
        done.held("Lost" not in ended.out, f"rank {rank}: {ended.brief()}")
        again: Ended = end(_torchrun(place, "--resume"))
        done.held(again.code == 0, f"rank {rank}: resuming ended with {again.brief()}")
        done.held(not leftovers(place), f"rank {rank} leaves {leftovers(place)[:3]}")
    whole = [product_of(work / f"rank-{rank}") for rank in (0, 1)]
    done.held(whole[0] == whole[1] != {}, "the two resumed runs differ")
    return done


def _wait_for(place: Path, name: str, seconds: float = 60) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if any(place.rglob(name)):
            return True
        time.sleep(0.1)
    return False


def _process_of(parent: int, rank: int) -> int | None:
    """The process that torchrun started with this rank, by its environment."""
    for entry in Path("/proc").iterdir():
        try:
            of = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            told = (entry / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError, IndexError):
            continue
        if of == parent and f"RANK={rank}".encode() in told:
            return int(entry.name)
    return None
