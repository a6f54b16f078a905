"""A number is of the attack that its protocol and its file name say: this ball, this seed, these steps and starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cktat.attacks import ATTACKS
from cktat.evaluation import Subject, evaluate, load_subject
from cktat.seeds import generator

BATCH = 11


@pytest.fixture(params=["Linf", "L2"])
def subject(request: Any, runs: Any, tmp_path: Path) -> Subject:
    radius = {"Linf": {"eps": 0.1}, "L2": {"eps": 0.6, "norm": "L2"}}[request.param]
    return load_subject(runs.train("pgd_at", tmp_path, **radius), "best", None, torch.device("cpu"))


def lengths(x: Tensor) -> Tensor:
    return x.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


def moved(module: nn.Module, x: Tensor, y: Tensor, norm: str, eps: float, draws: torch.Generator) -> Tensor:
    """The images that ten steps of PGD of a quarter of eps end at, written out."""
    if norm == "Linf":
        start = (2 * torch.rand(x.shape, generator=draws) - 1) * eps
    else:
        noise = torch.randn(x.shape, generator=draws)
        share = torch.rand((len(x), 1, 1, 1), generator=draws)
        start = eps * share ** (1 / x[0].numel()) * noise / lengths(noise)
    at = (x + start).clamp(0, 1)
    for _ in range(10):
        at.requires_grad_(True)
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(module(at), y, reduction="sum"), at)
        step = gradient.sign() if norm == "Linf" else gradient / lengths(gradient)
        change = at.detach() + eps / 4 * step - x
        change = change.clamp(-eps, eps) if norm == "Linf" else change * (eps / lengths(change)).clamp(max=1)
        at = (x + change).clamp(0, 1)
    return at


def asked(subject: Subject, **options: Any) -> tuple[list[Tensor], str]:
    """The images that the network was asked about under pgd10, pass by pass, and the flags that were found."""
    seen: list[Tensor] = []
    handle = subject.module.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))
    try:
        _, found = evaluate(subject, ("pgd10",), batch_size=BATCH, **options)
    finally:
        handle.remove()
    return seen, found.robust


@pytest.mark.parametrize("options", [{}, {"seed": 5}, {"eps": 0.05}])
def test_pgd_is_pgd_in_this_ball_from_these_draws(options: dict[str, Any], subject: Subject, tiny: Any) -> None:
    arrays = np.load(tiny.data)
    x, y = torch.from_numpy(arrays["x_test"]).float().unsqueeze(1) / 255, torch.from_numpy(arrays["y_test"])
    seen, robust = asked(subject, **options)
    eps = options.get("eps", subject.card["eps"])
    flags = []
    for first in range(0, 30, BATCH):
        some, labels = x[first : first + BATCH], y[first : first + BATCH]
        right = subject.module(some).argmax(dim=1) == labels
        draws = generator(options.get("seed", 0), "evaluate", first)
        end = moved(subject.module, some[right], labels[right], subject.norm, eps, draws)
        assert any(at.shape == end.shape and torch.allclose(at, end, atol=1e-5) for at in seen)
        right[right.clone()] = subject.module(end).argmax(dim=1) == labels[right]
        flags += right.tolist()
    assert robust == "".join("1" if flag else "0" for flag in flags)


def test_a_file_is_named_after_what_is_not_usual(subject: Subject) -> None:
    evaluate(subject, ("fgsm",), eps=0.05)
    evaluate(subject, ("fgsm",), test_images=9)
    evaluate(subject, (), eps=0.05, test_images=9)
    evaluate(subject, ("fgsm",), eps=subject.card["eps"], test_images=30)
    names = {f"{attack}{end}" for end in ("", "-eps0.05000", "-first9") for attack in ("clean", "fgsm")}
    assert {path.stem.removeprefix("best-") for path in subject.run.results.iterdir()} == names | {
        "clean-eps0.05000-first9"
    }


def test_a_protocol_says_how_many_starts_there_were(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ATTACKS, "twice", replace(ATTACKS["pgd20"], restarts=2, steps=3))
    (_, found) = evaluate(subject, ("twice",))
    assert (found.protocol["restarts"], found.protocol["steps"]) == (2, 3)
    assert found.protocol["step"] == pytest.approx(subject.card["eps"] / 4)
