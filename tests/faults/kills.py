"""SIGKILL at random moments of training, evaluation and a table: what is there in the end equals an undisturbed twin."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.faults.product import SMALL, Campaign, draws, killed, leftovers, product_of, run

KILLS = 100
TRAIN = ("train", "cktat", *SMALL, "--store", "store", "--set", "tau=1")
TABLE = ("table", "3b", *SMALL, "--row", "1", "--row", "2", "--attacks", "pgd10", "--test-images", "60")
TABLE_AT = (*TABLE, "--store", "store", "--out", "table")


def campaign(work: Path, seed: int, size: float) -> list[Campaign]:
    """100 kills, or `size` times as many, over rounds of three kinds; each round ends undisturbed and is compared."""
    trained = work / "trained"
    trained.mkdir(parents=True)
    run(TRAIN, trained)
    (trained_run,) = (trained / "store").glob("cktat-*")
    evaluate = ("evaluate", f"store/{trained_run.name}", "--attacks", "pgd20,cw,aa-fast", "--test-images", "200")
    kinds: list[tuple[str, Sequence[str], Callable[[Path], None]]] = [
        ("training", TRAIN, lambda at: at.mkdir()),
        ("evaluation", evaluate, lambda at: shutil.copytree(trained, at) and None),
        ("table", TABLE_AT, lambda at: at.mkdir()),
    ]
    return [_kind(work / name, name, command, prepare, seed, size) for name, command, prepare in kinds]


def _kind(
    work: Path, name: str, command: Sequence[str], prepare: Callable[[Path], None], seed: int, size: float
) -> Campaign:
    work.mkdir()
    prepare(work / "twin")
    started = time.monotonic()
    undisturbed = run(command, work / "twin")
    whole = time.monotonic() - started
    wanted, done = product_of(work / "twin"), Campaign(f"SIGKILL during {name}")
    if undisturbed.code or not wanted:
        done.held(False, f"the undisturbed twin: {undisturbed.brief()}")
        return done
    moments, kills, left, numbers = draws(seed, name), 0, 0, 0
    while kills < KILLS * size / 3:
        numbers += 1
        place = work / f"round-{numbers}"
        prepare(place)
        here = 0
        for _try in range(4):
            resumed = [*command, "--resume"] if name == "training" and any(place.rglob("run.json")) else command
            here += killed(resumed, place, moments.uniform(0.1 * whole, whole))
        kills += here
        left += bool(leftovers(place))
        # a training that a kill found before its own record was written has nothing to resume
        ended = run([*command, "--resume"] if name == "training" else command, place)
        if name == "training" and ended.code == 2 and "nothing to resume" in ended.err:
            ended = run(command, place)
        there = product_of(place)
        done.held(ended.code == 0, f"round {numbers} did not end: {ended.brief()}")
        differs = sorted(key for key in wanted | there if wanted.get(key) != there.get(key))
        done.held(not differs, f"round {numbers} differs from its twin in {differs[:3]}")
        done.held(not leftovers(place), f"round {numbers} leaves {leftovers(place)[:3]}")
        shutil.rmtree(place)
    done.note = (
        f"{kills} kills in {numbers} rounds; {left} rounds had files of the killed, all swept unless named below"
    )
    return done
