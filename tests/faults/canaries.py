"""Files that bite: whatever is read, nothing in it is carried out. The canary is a file that such code would leave."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from cktat.runs import sealed
from tests.faults.product import SMALL, Campaign, edit, run

EVIL = """
import pathlib
pathlib.Path({canary!r}).write_text("touched")
def go(): return {{}}
def net(classes, channels): raise RuntimeError
"""


class Bite:
    """What touches the canary as soon as it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.canary),)


def campaign(work: Path, seed: int, size: float) -> list[Campaign]:
    """Every way in that was thought of, once."""
    work.mkdir(parents=True)
    prepared = work / "prepared"
    prepared.mkdir()
    run(("train", "pgd_at", *SMALL, "--store", "store"), prepared)
    run(("train", "pgd_at", *SMALL, "--epochs", "9", "--store", "half", "--stop-after", "1s"), prepared)
    (trained,) = (prepared / "store").iterdir()
    done = Campaign("malicious files")
    for name, (plant, command) in _ways(trained.name).items():
        place = work / name.replace(" ", "-").replace("/", "-")
        shutil.copytree(prepared, place)
        canary = place / "canary"
        (place / "evil.py").write_text(EVIL.format(canary=str(canary)))
        plant(place, canary)
        ended = run([*command], place)
        touched = [str(path.relative_to(work)) for path in (canary, work / "outside.json") if path.exists()]
        done.held(not touched, f"{name}: {touched} was written; {ended.brief()}")
        done.held(ended.code == 0 or ended.in_one_line, f"{name}: {ended.brief()}")
    return [done]


def _ways(trained: str) -> dict[str, tuple[Callable[[Path, Path], None], list[str]]]:
    at = f"store/{trained}"
    evaluate = ["evaluate", at, "--attacks", "pgd10", "--test-images", "20", "--no-doubts"]
    train = ["train", "pgd_at", *SMALL, "--store", "new"]

    def in_run(field: str, value: str) -> Callable[[Path, Path], None]:
        def plant(place: Path, canary: Path) -> None:
            edit(place / at / "run.json", lambda record: record["config"].update({field: value}))

        return plant

    def in_card(place: Path, canary: Path) -> None:
        path = place / at / "best.safetensors"
        weights = load_file(path)
        with safe_open(path, "pt") as file:
            told = file.metadata()
        card = {key: value for key, value in json.loads(told["card"]).items() if key != "sha256"}
        save_file(weights, path, told | {"card": json.dumps(sealed(card | {"model": "evil.py:net"}))})

    def pickled(name: str, wrap: Callable[[Any], Any]) -> Callable[[Path, Path], None]:
        return lambda place, canary: torch.save(
            wrap(Bite(canary)), next(place.glob(name)) if "*" in name else place / name
        )

    def objects(place: Path, canary: Path) -> None:
        parts = {f"x_{part}": np.zeros((40, 8, 8, 1), np.uint8) for part in ("train", "test")}
        np.savez(
            place / "own.npz", **parts, y_test=np.zeros(40, int), y_train=np.array([Bite(canary)] * 40, dtype=object)
        )

    def yaml(place: Path, canary: Path) -> None:
        (place / "c.yaml").write_text(f"epochs: !!python/object/apply:os.mkdir ['{canary}']\n")

    def script(place: Path, canary: Path) -> None:
        edit(place / at / "run.json", lambda record: record["design"].update(name="{{ 1/0 }}<script>x</script>"))

    def outside(place: Path, canary: Path) -> None:
        edit(place / at / "run.json", lambda record: record.update(identity="../../../outside"))

    resume = ["train", "pgd_at", *SMALL, "--epochs", "9", "--store", "half", "--resume"]
    half = "half/*/run.json"

    def in_half(place: Path, canary: Path) -> None:
        edit(next(place.glob(half)), lambda record: record["config"].update(data="evil.py:go"))

    def pickle_file(place: Path, canary: Path) -> None:
        (place / "plain.pt").write_bytes(pickle.dumps({"state_dict": Bite(canary)}))

    imported = ["--as", "standard", "--data", "digits", "--model", "small", "--store", "new"]
    return {
        "run.json names data": (in_run("data", "evil.py:go"), evaluate),
        "run.json names a model": (in_run("model", "evil.py:net"), evaluate),
        "run.json names a design": (in_run("design", "evil.py:go"), evaluate),
        "run.json names data in a list": (in_run("data", "evil.py:go"), ["runs", "--store", "store"]),
        "run.json names data in a report": (in_run("data", "evil.py:go"), ["report", at]),
        "run.json names data of a training": (in_half, resume),
        "a card names a model": (in_card, evaluate),
        "a pickle as state": (pickled("half/*/state.pt", lambda bite: {"steps": bite}), resume),
        "a pickle to import": (pickled("net.pt", lambda bite: {"state_dict": bite}), ["import", "net.pt", *imported]),
        "a bare pickle to import": (pickle_file, ["import", "plain.pt", *imported]),
        "objects in an NPZ": (
            objects,
            ["train", "standard", "--data", "own.npz", "--model", "small", "--store", "new"],
        ),
        "a YAML tag": (yaml, [*train, "--config", "c.yaml"]),
        "a script in a name": (script, ["report", at]),
        "a path in an identity": (outside, ["table", "3b", *SMALL, "--no-run", "--store", "store", "--out", "t"]),
    }
