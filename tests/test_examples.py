"""The programs in examples/ run as a reader starts them, for an epoch or two."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, epochs: int, folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, str(epochs)], cwd=folder, capture_output=True, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def accuracies(text: str) -> tuple[float, float]:
    clean, robust = re.findall(r"test accuracy ([\d.]+), under PGD-20 ([\d.]+)", text)[-1]
    return float(clean), float(robust)


def test_the_loop_learns_and_goes_on_from_its_checkpoint_as_if_never_stopped(tmp_path: Path) -> None:
    whole = run("own_loop.py", 2, tmp_path / "whole")
    run("own_loop.py", 1, tmp_path / "twice")
    again = run("own_loop.py", 2, tmp_path / "twice")
    assert whole.splitlines()[1:] == again.splitlines() and again.startswith("epoch 2")
    one, two = (torch.load(tmp_path / each / "own_loop.pt", weights_only=True)["net"] for each in ("whole", "twice"))
    assert all(torch.equal(one[name], two[name]) for name in one)
    clean, robust = accuracies(whole)
    assert clean > 0.7 and robust > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lightning_module.py", "accelerate_loop.py"])
def test_the_loss_trains_in_other_frameworks(name: str, tmp_path: Path) -> None:
    framework = name.partition("_")[0]
    if find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed; `make test-slow` installs it")
    clean, robust = accuracies(run(name, 2, tmp_path))
    assert clean > 0.7 and robust > 0.25
