"""What an evaluation leaves for the report to draw: the curve's attack and counts, and pictures with their own answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from cktat.attacks import named
from cktat.evaluation import Subject, flags, for_report, load_subject
from cktat.runs import read_json

EPS = 0.15


@pytest.fixture(scope="module")
def subject(runs: Any, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    run = runs.train("standard", tmp_path_factory.mktemp("drawn"), eps=EPS, epochs=1)
    subject = load_subject(run, "best", None, torch.device("cpu"))
    for_report(subject, shown=6)
    return subject


@pytest.fixture(scope="module")
def tested(tiny: Any) -> tuple[Tensor, Tensor]:
    arrays = np.load(tiny.data)
    return torch.from_numpy(arrays["x_test"]).float().unsqueeze(1) / 255, torch.from_numpy(arrays["y_test"])


def test_the_curve_counts_the_images_that_pgd_20_leaves_at_each_radius(subject: Subject) -> None:
    curve = read_json(subject.run.results_path / "best-curve.json")
    assert curve["attack"] == "pgd20" and curve["images"] == 30
    assert curve["eps"] == pytest.approx([EPS * factor for factor in (0, 0.25, 0.5, 0.75, 1, 1.5, 2)])
    for eps, correct in zip(curve["eps"], curve["correct"], strict=True):
        assert correct == int(flags(subject.module, subject.data.test, named("pgd20") if eps else None, eps=eps).sum())
    weaker = [int(flags(subject.module, subject.data.test, named("fgsm"), eps=eps).sum()) for eps in curve["eps"][1:]]
    assert weaker != curve["correct"][1:], "otherwise one step would do as well"


def test_pictures_are_the_first_right_images_and_their_attacked_ones(
    subject: Subject, tested: tuple[Tensor, Tensor]
) -> None:
    x, y = tested
    drawn = load_file(subject.run.results_path / "best-pictures.safetensors")
    answers = subject.module(x).argmax(dim=1)
    right = (answers == y).nonzero().flatten()
    assert 6 < len(right) < 30, "otherwise the first images are the first right ones"
    assert drawn["index"].tolist() == right[:6].tolist() != list(range(6))
    torch.testing.assert_close(drawn["x"], x[drawn["index"]])
    assert torch.equal(drawn["y"], y[drawn["index"]]) and torch.equal(drawn["before"], drawn["y"])
    assert torch.equal(drawn["after"], subject.module(drawn["x_adv"]).argmax(dim=1))
    assert not torch.equal(drawn["after"], drawn["before"])
    change = (drawn["x_adv"] - drawn["x"]).abs()
    assert float(change.max()) <= EPS + 1e-6 and float(change.flatten(1).amax(dim=1).min()) > EPS / 2
    assert float(drawn["x_adv"].min()) >= 0 and float(drawn["x_adv"].max()) <= 1
