"""Which images decide: weights are selected and soft labels calibrated on held-out images, and test images are never seen."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import cktat
from cktat.models import build
from cktat.runs import RunFolder
from cktat.seeds import generator
from cktat.training.calibrate import SHARES, TEMPERATURES

EPS, STEP, ATTACK_STEPS = 0.1, 0.03, 5
THREAT = {"eps": EPS, "step": STEP, "steps": ATTACK_STEPS}


def train(design: str, store: Path, tiny, **options) -> RunFolder:
    return cktat.train(design, store=store, show=False, ensure=True, **tiny.options | options)


def pgd(module: nn.Module, x: Tensor, labels: Tensor, draws: torch.Generator, steps: int = ATTACK_STEPS) -> Tensor:
    """Steps of PGD on the cross-entropy of `module` from a uniform start, written out."""
    moved = (x + (2 * torch.rand(x.shape, generator=draws) - 1) * EPS).clamp(0, 1)
    for _ in range(steps):
        moved.requires_grad_(True)
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(module(moved), labels, reduction="sum"), moved)
        moved = moved.detach() + STEP * gradient.sign()
        moved = torch.min(torch.max(moved, x - EPS), x + EPS).clamp(0, 1)
    return moved


def loaded(run, pick: str, tiny) -> nn.Module:
    """The network that a run kept, in eval mode."""
    weights, card = run.load(pick)
    module = build(tiny.model, classes=3, channels=1, mean=card["mean"], std=card["std"]).eval()
    module.load_state_dict(weights)
    return module


def held_out(splits: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    x = splits["held_out"]
    return x, torch.arange(len(x)) % 3


@pytest.mark.parametrize("design", ["standard", "pgd_at", "kd_at_auto", "cktat", "generalist"])
def test_no_test_image_is_seen_in_training_and_only_held_out_ones_between_steps(
    design, watched, whose, splits, tmp_path
) -> None:
    seen, _ = watched(design, tmp_path, **THREAT | {"eps": 0.02})
    origins = {phase: {w for p in seen.passes if p.phase == phase and p.design for w in whose(p.x)} for phase in
               ("step", "score", "between")}  # fmt: skip
    assert {part for part, _ in origins["step"]} == {"train"}
    assert origins["score"] == {("held_out", number) for number in range(len(splits["held_out"]))}
    assert origins["between"] == (origins["score"] if design == "kd_at_auto" else set())


@pytest.mark.parametrize(
    ("design", "options"), [("standard", {}), ("pgd_at", {}), ("generalist", {}), ("trades", {"ema": 0.9})]
)
def test_a_score_is_the_accuracy_of_what_is_kept_on_held_out_images_under_the_whole_attack(
    design, options, tiny, splits, tmp_path
) -> None:
    x, labels = held_out(splits)
    weaker = []
    for seed in range(4):
        run = train(design, tmp_path, tiny, seed=seed, **options | THREAT)
        module, scores = loaded(run, "last", tiny), run.history()[-1]["held_out"]
        right = [
            int((module(moved).argmax(dim=1) == labels).sum())
            for moved in (x, pgd(module, x, labels, generator(seed, "held-out")))
        ]
        assert scores == {"images": len(x), "clean": right[0] / len(x), "pgd": right[1] / len(x)}
        one = pgd(module, x, labels, generator(seed, "held-out"), steps=1)
        weaker.append(int((module(one).argmax(dim=1) == labels).sum()) - right[1])
    assert max(weaker) > 0, "otherwise one step would do as well"


def test_the_best_weights_are_those_of_the_epoch_with_the_best_score(tiny, tmp_path) -> None:
    chosen, by_clean = set(), 0
    for seed in range(8):
        run = train("pgd_at", tmp_path, tiny, seed=seed, epochs=4, lr=0.1, eps=0.25, step=0.08, steps=5)
        scores = [(line["held_out"]["pgd"], line["held_out"]["clean"]) for line in run.history()]
        best = scores.index(max(scores)) + 1  # the first of equals
        assert run.load("best")[1]["epoch"] == best and run.load("last")[1]["epoch"] == 4
        assert run.load("best")[1]["held_out"] == run.history()[best - 1]["held_out"]
        chosen.add(best)
        by_clean += best != 1 + max(range(4), key=lambda epoch, s=scores: (s[epoch][1], s[epoch][0]))
    assert len(chosen) > 1, "otherwise any fixed epoch would do as well"
    assert by_clean, "otherwise clean accuracy would choose the same"


def test_without_an_adversary_the_best_weights_are_those_with_the_best_clean_score(tiny, tmp_path) -> None:
    against = 0
    for seed in range(6):
        run = train("standard", tmp_path, tiny, seed=seed, epochs=4, lr=0.02, **THREAT)
        scores = [(line["held_out"]["clean"], line["held_out"]["pgd"]) for line in run.history()]
        by_clean = [clean for clean, _ in scores]
        assert run.load("best")[1]["epoch"] == by_clean.index(max(by_clean)) + 1
        against += run.load("best")[1]["epoch"] != max(range(4), key=lambda e, s=scores: (s[e][1], s[e][0])) + 1
    assert against, "otherwise the robust score would choose the same"


def test_a_soft_label_is_calibrated_on_held_out_images_against_the_last_checkpoint(tiny, splits, tmp_path) -> None:
    x, labels = held_out(splits)
    options = {"epochs": 4, "lr": 0.2} | THREAT
    differs = 0
    for seed in range(4):
        run = train("kd_at_auto", tmp_path, tiny, seed=seed, **options)
        teacher = train("pgd_at", tmp_path, tiny, seed=seed, **options)
        best, last = (loaded(teacher, pick, tiny) for pick in ("best", "last"))
        moved = pgd(best, x, labels, generator(seed, "calibrate"))
        with torch.no_grad():
            logits = [module(moved).double() for module in (best, last)]

        def least(soft: Tensor, hard: Tensor) -> dict[str, float]:
            nll = {}
            for tau in TEMPERATURES.tolist():
                p, q = (torch.softmax(z / tau, dim=1)[range(len(x)), labels] for z in (soft, hard))
                for share in SHARES.tolist():
                    nll[tau, share] = -float((share * p + (1 - share) * q + 1e-8).log().mean().round(decimals=9))
            tau, share = max(nll, key=lambda point: -nll[point])
            return {"tau": tau, "share": share}

        assert run.read()["calibrated"] == pytest.approx(least(*logits))
        differs += least(*logits) != least(logits[0], logits[0])
    assert differs, "otherwise the best checkpoint in the last one's place would do as well"
