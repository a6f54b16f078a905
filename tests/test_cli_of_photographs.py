"""Photographs by the commands: what is said of how they were read, where it is kept, and what --size and --strict do."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cktat.cli import main
from cktat.data import load

SAID = "8 grey (among RGB), 6 palette converted"


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Cktat = Callable[..., Done]


@pytest.fixture
def cktat(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cktat:
    """cktat(*words): the command in tmp_path, with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CKTAT_CACHE", str(tmp_path / "cache"))
    for name in ("CKTAT_DATA", "CKTAT_STORE"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["cktat", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(cktat: Cktat) -> Callable[..., str]:
    """refused(*words): the one line with which the command ends with 2."""

    def run(*words: object) -> str:
        done = cktat(*words)
        assert done.code == 2 and done.err.startswith("cktat: ") and done.err.count("\n") == 1, done
        return done.err

    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """40 images of 2 classes, of many sizes; 6 with a palette, 8 grey."""
    numbers = np.random.default_rng(0)
    for i in range(40):
        place = tmp_path / "photos" / ("ant", "bee")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(numbers.integers(0, 256, (12 + i, 20, 3), dtype=np.uint8))
        image = image.quantize(8) if i < 6 else image.convert("L") if i < 14 else image
        image.save(place / f"{i}.png")
    return tmp_path / "photos"


def test_from_photographs_to_a_report(photos: Path, cktat: Cktat, refused: Callable[..., str]) -> None:
    words = ["train", "standard", "--data", "photos", "--epochs", 1, "--out", "run"]
    assert "add --size 64" in refused(*words)
    assert f"{SAID}; --strict refuses that" in refused(*words, "--size", "8x12", "--strict")
    assert not Path("run").exists()
    divided = "divided by the content of the images, class by class: 28 for training, 4 held out, 8 for testing"
    done = cktat(*words, "--size", "8x12")
    assert done.code == 0, done
    assert f"data 'photos': {SAID}\n" in done.out and f"data 'photos': {divided}\n" in done.out
    kept = json.loads(Path("run/run.json").read_text())
    assert kept["data"]["notes"] == [SAID, divided] and kept["config"]["size"] == "8x12"
    data = load(str(photos), size="8x12")
    assert kept["data"]["fingerprint"] == data.fingerprint and data.size == (8, 12)
    judged = cktat("evaluate", "run", "--attacks", "fgsm", "--no-doubts")
    assert judged.code == 0 and f": {SAID}\n" in judged.out and "decoded" not in judged.err, judged
    assert "fgsm" in judged.out


def test_weights_for_photographs(photos: Path, cktat: Cktat, refused: Callable[..., str]) -> None:
    assert cktat("train", "standard", "--data", "photos", "--size", 8, "--epochs", 1, "--out", "run").code == 0
    words = ["import", "run/best.safetensors", "--as", "standard", "--data", "photos", "--model", "small"]
    assert "add --size 64" in refused(*words)
    assert "--strict refuses that" in refused(*words, "--size", 8, "--strict")
    done = cktat(*words, "--size", 8)
    assert done.code == 0 and SAID in done.out, done
    name = next(line for line in done.out.splitlines() if line.startswith("run: ")).removeprefix("run: ")
    judged = cktat("evaluate", name, "--attacks", "fgsm", "--no-doubts")
    assert judged.code == 0 and "fgsm" in judged.out, judged


def test_processes_of_a_comparison_scale_alike(photos: Path, cktat: Cktat) -> None:
    words = ["--data", "photos", "--size", 8, "--epochs", 1, "--seeds", 1, "--attacks", "fgsm"]
    done = cktat("compare", "standard", *words, "--jobs", 2)
    assert done.code == 0 and "fgsm" in done.out, done
