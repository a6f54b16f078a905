"""Catastrophic overfitting: what is taken for it, and how a run ends, or goes on, where it is found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cktat.attacks import Ball
from cktat.data import Split
from cktat.runs import RunFolder, Stopped, Threat
from cktat.seeds import generator
from cktat.training.overfitting import Overfitted, overfitting
from cktat.training.score import held_out_accuracy, single_step_accuracy

LABELS = torch.arange(200) % 10
RS = Threat(eps=0.1, step=0.025, inner="rs-fgsm")


def epoch(number: int, pgd: float, single_step: float, images: int = 200, clean: float = 0.9) -> dict[str, Any]:
    return {"epoch": number, "held_out": {"images": images, "clean": clean, "pgd": pgd, "single_step": single_step}}


# --- what is taken for it


def test_a_fall_under_pgd_with_a_rise_under_the_single_step_is_said_with_its_numbers() -> None:
    said = overfitting([epoch(1, 0.3, 0.4), epoch(2, 0.4, 0.5)], epoch(3, 0.02, 0.8), RS, LABELS)
    assert said == (
        "epoch 3: catastrophic overfitting: on held-out images the accuracy under PGD fell from 0.400 (epoch 2) to 0.020 while "
        "that under rs-fgsm rose from 0.500 to 0.800; the weights of epoch 2 are kept as the best"
    )


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (epoch(3, 0.02, 0.5), "both fell, or the single step's stayed: the training is bad, not overfitted to a step"),
        (epoch(3, 0.3, 0.8), "a fall of 0.1 in 200 images is luck"),
        (epoch(3, 0.5, 0.9), "both rose"),
    ],
)
def test_what_is_not_taken_for_it(now: dict[str, Any], why: str) -> None:
    assert overfitting([epoch(1, 0.3, 0.4), epoch(2, 0.4, 0.5)], now, RS, LABELS) is None, why


def test_the_same_fall_in_more_images_is_no_luck() -> None:
    """Three standard deviations of a difference: 3 sqrt(2 * 0.35 * 0.65 / n) is 0.1 at n = 410."""
    for images, found in ((300, False), (500, True)):
        assert bool(overfitting([epoch(1, 0.4, 0.5, images)], epoch(2, 0.3, 0.6, images), RS, LABELS)) == found


def test_a_slow_fall_is_found_though_no_epoch_falls_far() -> None:
    history, said = [epoch(1, 0.40, 0.50)], []
    for number in range(2, 8):
        now = epoch(number, 0.40 - 0.05 * (number - 1), 0.50 + 0.02 * number)
        said.append(overfitting(history, now, RS, LABELS) is not None)
        history.append(now)
    assert said == [False, False, True, True, True, True]


def test_the_fall_of_a_network_that_answered_at_chance_is_the_beginning_of_learning() -> None:
    """It gave all images one class; what falls is the share of that class."""
    assert overfitting([epoch(1, 0.11, 0.11, 2000)], epoch(2, 0.0, 0.3, 2000), RS, LABELS) is None
    assert overfitting([epoch(1, 0.15, 0.15, 2000)], epoch(2, 0.0, 0.3, 2000), RS, LABELS) is not None


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6))
def test_the_first_epoch_and_what_is_best_so_far_are_never_it(scores: list[tuple[float, float]]) -> None:
    history: list[dict[str, Any]] = []
    for number, (pgd, single) in enumerate(scores, 1):
        now = epoch(number, pgd, single)
        if all(pgd >= line["held_out"]["pgd"] for line in history):
            assert overfitting(history, now, RS, LABELS) is None
        history.append(now)


# --- the score


def test_the_single_step_is_scored_as_it_trains() -> None:
    """On two classes and two pixels the accuracy after a step is counted by hand."""
    layer = torch.nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    model = torch.nn.Sequential(torch.nn.Flatten(), layer)
    draws = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (64, 1, 1, 2), dtype=torch.uint8, generator=draws)
    split = Split(pixels, pixels[:, 0, 0].argmax(dim=1))
    how: dict[str, Any] = {"levels": 255, "batch_size": 64, "seed": 7}
    for inner, noise, alpha in (("rs-fgsm", 1.0, 0.125), ("n-fgsm", 2.0, 0.1)):
        threat = Threat(eps=0.1, step=0.025, inner=inner)
        x, y = pixels.float() / 255, split.labels
        change = (2 * torch.rand(x.shape, generator=generator(7, "held-out", "single step")) - 1) * 0.1
        begun = (x + noise * change).clamp(0, 1)
        toward = torch.stack([torch.tensor([-1.0, 1.0]) if one == 0 else torch.tensor([1.0, -1.0]) for one in y])
        moved = begun + alpha * toward.view_as(x)
        if inner == "rs-fgsm":
            moved = torch.minimum(torch.maximum(moved, x - 0.1), x + 0.1)
        right = (moved.clamp(0, 1).flatten(1).argmax(dim=1) == y).float().mean()
        found = single_step_accuracy(model, split, threat=threat, ball=Ball(0.1), **how)
        assert found == pytest.approx(float(right)) and 0.3 < found < 1
        clean, robust = held_out_accuracy(model, split, threat=threat, ball=Ball(0.1), **how)
        assert clean == 1 and robust <= 0.9, "PGD scores as ever"


# --- a run


TOLD = [(0.8, 0.30, 0.40), (0.8, 0.50, 0.55), (0.8, 0.48, 0.60), (0.9, 0.01, 0.90), (0.9, 0.02, 0.95), (0.9, 0.51, 0.7)]
"""Clean, PGD, the single step: overfitted in the fourth and fifth epoch, recovered in the sixth."""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Any:
    """told(first): scores of a run's epochs from `first` (0) on, instead of those that it has."""

    def begin(first: int = 0) -> None:
        rest: Iterator[tuple[float, float, float]] = iter(TOLD[first:])
        current: list[tuple[float, float, float]] = []

        def held_out(*_: Any, **__: Any) -> tuple[float, float]:
            current[:] = [next(rest)]
            return current[0][:2]

        monkeypatch.setattr("cktat.training.loop.held_out_accuracy", held_out)
        monkeypatch.setattr("cktat.training.loop.single_step_accuracy", lambda *_, **__: current[0][2])

    return begin


SINGLE: dict[str, Any] = {"inner": "rs-fgsm", "epochs": len(TOLD), "held_out": 200}


def test_a_run_ends_at_once_and_keeps_what_was_good(told: Any, runs: Any, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("cktat.training.overfitting.SURE", 0.5)  # of the few held-out images of tiny runs
    told()
    with pytest.raises(
        Overfitted, match=r"^epoch 4: catastrophic .*0\.500 \(epoch 2\) to 0\.010 .*overfitting=warn"
    ) as one:
        runs.train("trades", tmp_path, **SINGLE)
    assert one.value.exit_code == 1 and "\n" not in str(one.value)
    run = RunFolder(next(tmp_path.glob("trades-*")))
    assert run.load("best")[1]["epoch"] == 2 and run.load("last")[1]["epoch"] == 3
    assert [line["held_out"]["single_step"] for line in run.history()] == [single for _, _, single in TOLD[:3]]
    assert not run.finished
    told(3)
    with pytest.raises(Overfitted, match=r"^epoch 4"):
        runs.train("trades", tmp_path, resume=True, **SINGLE)
    said: list[str] = []
    told(3)
    again = runs.train("trades", tmp_path, resume=True, overfitting="warn", say=said.append, **SINGLE)
    assert sum("catastrophic" in line for line in said) == 1, "once, not in every epoch"
    assert [bool(line.get("overfitting")) for line in again.history()] == [False] * 3 + [True, True, False]
    assert again.load("best")[1]["epoch"] == 6 and again.finished
    told()
    twin = runs.train("trades", tmp_path / "twin", overfitting="warn", **SINGLE)
    assert again.path.name == twin.path.name, "how it would have ended is no part of what it is"
    for kind in ("best", "last"):
        mine, theirs = (one.load(kind)[0] for one in (again, twin))
        assert all(torch.equal(mine[name], weight) for name, weight in theirs.items())


def test_a_run_that_was_stopped_remembers_what_was_best(told: Any, runs: Any, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("cktat.training.overfitting.SURE", 0.5)
    told()
    with pytest.raises(Stopped):
        runs.train("trades", tmp_path, steps=runs.Steps(until=14), **SINGLE)
    told(3)
    with pytest.raises(Overfitted, match=r"^epoch 4: .*\(epoch 2\)"):
        runs.train("trades", tmp_path, resume=True, **SINGLE)


@pytest.mark.parametrize(("design", "options"), [("standard", SINGLE), ("trades", {"epochs": 1})])
def test_nothing_is_looked_for_where_no_single_step_trains(
    design: str, options: dict[str, Any], runs: Any, tmp_path: Any
) -> None:
    run = runs.train(design, tmp_path, **(options | {"epochs": 1}))
    assert "single_step" not in run.history()[0]["held_out"]
