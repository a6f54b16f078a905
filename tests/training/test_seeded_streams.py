"""Every stream of random numbers of a run: equal for equal seeds, another for another seed, and another at every step."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import pytest
import torch
from torch import Tensor

from cktat.data.augment import OUTCOMES, crop_flip

SEEDS = (0, 0, 1, 2)
THREAT = {"eps": 0.1, "step": 0.03, "steps": 1}

DROPPING = """
from torch import nn


def net(classes, channels):
    return nn.Sequential(nn.Flatten(), nn.Linear(36 * channels, 20), nn.Dropout(0.5), nn.Linear(20, classes))
"""


@pytest.fixture
def streams(watched, whose, splits, tmp_path) -> Callable[..., dict[str, list[Tensor]]]:
    """streams(seed): every stream of the runs of a seed, draw by draw."""

    def known(images: Tensor) -> Tensor:
        return torch.stack([splits[part][number] for part, number in whose(images)])

    def changed(x: Tensor) -> Tensor:
        """How far a search begins from its images; what the box clipped says nothing of the draws and is NaN."""
        return (x - known(x)).masked_fill((x <= 0) | (x >= 1), torch.nan)

    def drawn(seed: int, place: str) -> dict[str, list[Tensor]]:
        store = tmp_path / place
        options = THREAT | {"seed": seed}
        plain, _ = watched("standard", store, augment="none", **options)
        order = [torch.tensor([number for _, number in whose(p.x)]) for p in plain.passes if p.phase == "step"]

        moved, _ = watched("standard", store, augment="crop-flip", **options)
        augmented = [p.x for p in moved.passes if p.phase == "step"]
        changes = []
        for x, index in zip(augmented, order, strict=True):
            images = splits["train"][index]
            made = torch.stack([crop_flip(images, torch.full((len(x),), draw)) for draw in range(OUTCOMES)])
            fits = (made == x).flatten(2).all(dim=2)  # [outcomes, images]; a crop of hardly anything may fit twice
            assert fits.any(dim=0).all(), "the order is that of the run without augmentation"
            changes.append(fits.float().argmax(dim=0))

        attacked, _ = watched("kd_at_auto", store, augment="none", **options)
        begun = {
            (phase, "PGD-AT"): [
                changed(p.x) for p in attacked.passes if (p.phase, p.design) == (phase, "PGD-AT") and p.ascends
            ]
            for phase in ("step", "score", "between")
        }

        dropping = tmp_path / "dropping.py"
        dropping.write_text(DROPPING)
        dropped, _ = watched("standard", store, model=f"{dropping}:net", **options)

        two, _ = watched("lbgat", store, augment="none", set={"teacher_model": None}, **options)
        weights = [state["body.0.weight"] for state in two.first["LBGAT"]]
        return {
            "initial weights": [weights[0], next(w for w in weights if not torch.equal(w, weights[0]))],
            "order": order,
            "crops and flips": changes,
            "starts of attacks": begun["step", "PGD-AT"],
            "starts of scores": begun["score", "PGD-AT"][:1],  # the same after every epoch, so that epochs compare
            "starts of calibration": begun["between", "PGD-AT"],
            "dropout": dropped.masks[-8:],
        }

    return drawn


def same(a: Tensor, b: Tensor) -> bool:
    both = a.isfinite() & b.isfinite()
    return bool(both.any()) and torch.allclose(a[both].float(), b[both].float(), atol=1e-5)


def test_every_stream_depends_on_the_seed_and_on_nothing_else(streams) -> None:
    first, again, *others = (streams(seed, str(number)) for number, seed in enumerate(SEEDS))
    assert all(first.values()), "every stream is drawn from"
    for name, draws in first.items():
        assert all(map(same, draws, again[name])), f"{name}: equal seeds differ"
        for other in others:
            differ = [not same(a, b) for a, b in zip(draws, other[name], strict=True)]
            assert all(differ), f"{name}: two seeds agree in draw {differ.index(False)}"
        for one, two in combinations(draws, 2):
            assert not same(one, two), f"{name}: two draws of one run are the same"


def test_no_two_streams_of_a_run_share_their_draws(streams) -> None:
    drawn = streams(0, "run")
    starts = [drawn[name][0] for name in ("starts of attacks", "starts of scores", "starts of calibration")]
    for one, two in combinations(starts, 2):
        assert not same(one, two)
