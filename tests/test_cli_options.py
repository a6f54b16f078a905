"""What is written on the command line reaches the function behind it, and wins over a file of settings."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cktat.api import commands as api
from cktat.api import importing
from cktat.api.ways import Described
from cktat.cli import main


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]:
    """asked("train", ...): what the command calls the function of its name with."""
    monkeypatch.chdir(tmp_path)

    def run(command: str, *words: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

        def spy(*positional: Any, **named: Any) -> Any:
            calls.append((positional, named))
            return [] if command == "evaluate" else SimpleNamespace(path=tmp_path)

        monkeypatch.setattr(api, command, spy)
        monkeypatch.setattr(sys, "argv", ["cktat", command, *map(str, words)])
        try:
            main()
        except SystemExit as end:
            assert not end.code
        (call,) = calls
        return call

    return run


TRAIN = {
    "data": "digits", "root": "somewhere", "model": "small", "recipe": "common", "epochs": 7, "batch_size": 31, "lr": 0.3,
    "examples": 99, "eps": "8/255", "step": "2/255", "steps": 4, "ema": 0.9, "awp": 0.01, "seed": 5, "device": "cpu",
    "precision": "fp32", "threads": 2, "stop_after": "9m",
}  # fmt: skip


def test_every_option_of_train_reaches_it(asked, tmp_path: Path) -> None:
    words = [part for key, value in TRAIN.items() for part in (f"--{key.replace('_', '-')}", value)]
    (design,), named = asked("train", "trades", *words, "--resume", "--compile", "--set", "beta=2", "--out", "here")
    assert design == "trades"
    wanted = TRAIN | {"resume": True, "compile": True, "set": {"beta": 2}, "out": Path("here")}
    assert {key: named[key] for key in wanted} == wanted


def test_the_command_line_wins_over_a_file_of_settings(asked, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(json.dumps({"epochs": 1, "seed": 3, "set": {"beta": 1.0, "start": "standard"}}))
    _, named = asked("train", "trades", "--config", "run.yaml", "--seed", 4, "--set", "beta=2.0")
    assert (named["seed"], named["epochs"], named["set"]) == (4, 1, {"beta": 2.0, "start": "standard"})


def test_every_option_of_evaluate_reaches_it(asked, monkeypatch) -> None:
    opened: list[tuple[Any, ...]] = []
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr(importing, "run_of", lambda *given, **options: found.append((*given, options)) or "FOUND")
    monkeypatch.setattr(api, "opened", lambda *given: opened.append(given) or SimpleNamespace(finished=True))
    options = {
        "weights": "last", "test_images": 9, "batch_size": 31, "seed": 5, "mode": "packed", "device": "cpu", "data": "here",
        "root": "there", "store": Path("store"), "out": Path("out"),
    }  # fmt: skip
    words = [part for key, value in options.items() for part in (f"--{key.replace('_', '-')}", value)]
    positional, named = asked(
        "evaluate",
        "RUN",
        "--attacks",
        "fgsm,cw",
        "--eps",
        "4/255",
        "--no-doubts",
        "--claimed",
        "56.5",
        "--trust-code",
        *words,
        *["--model", "small", "--mean", "0.5,0.4,0.3", "--std", "0.1,0.2,0.3", "--part", "ema"],
    )
    assert (positional[0], list(positional[1])) == ("FOUND", ["fgsm", "cw"])
    ((what, store, given, named_data),) = found
    assert (what, store.root) == ("RUN", Path("store"))
    assert given == Described("small", "auto", (0.5, 0.4, 0.3), (0.1, 0.2, 0.3), "ema", device="cpu")
    assert (named_data["data"], named_data["root"]) == ("here", "there")
    wanted = options | {"eps": pytest.approx(4 / 255), "doubts": False, "claimed": 56.5, "trust_code": True}
    assert {key: named[key] for key in wanted} == wanted
    assert opened == [("FOUND", Path("store"), Path("out"))], "whose numbers are printed"
