"""torch.compile on the networks: the step of plain modules, and nothing is compiled anew once two steps are done."""

from __future__ import annotations

import shutil
from functools import partialmethod
from typing import Any

import pytest
import torch
from torch._dynamo.utils import counters

from cktat.api import configure
from cktat.designs import make
from cktat.labels import Learner
from cktat.models import build
from cktat.training import Training


def training_of(name: str, tiny: Any, **options: Any) -> Training:
    design = make(name)
    config, data = configure(design=name, **tiny.options | options)

    def module(seed: int) -> torch.nn.Module:
        return build(tiny.model, classes=3, channels=1, mean=data.mean, std=data.std, seed=seed)

    others = [*design.frozen, *(n for n in design.learners if n.start is not None and not isinstance(n.start, Learner))]
    given = {network: module(100).state_dict() for network in others}
    return Training(design, config, data, lambda model, number: module(number), given)


def steps(training: Training) -> tuple[list[int], dict[str, torch.Tensor]]:
    """How many graphs there were after each of four steps and after a score, and the weights then."""
    graphs = []
    for batch in training.batches.epoch(0):
        training.step(batch)
        graphs.append(counters["stats"]["unique_graphs"])
    training.end_epoch()
    return [*graphs, counters["stats"]["unique_graphs"]], training.team.deployed.state_dict()


def check(name: str, tiny: Any, **options: Any) -> None:
    torch._dynamo.reset()
    counters.clear()
    graphs, compiled = steps(training_of(name, tiny, compile=True, **options))
    assert graphs[1] >= 2 and graphs[2:4] == [graphs[1]] * 2, "nothing is compiled anew after two steps"
    assert graphs[4] - graphs[3] <= 1, "a score may need a clean pass that the attack did not"
    _, plain = steps(training_of(name, tiny, **options))
    for key, wanted in plain.items():
        torch.testing.assert_close(compiled[key], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [("pgd_at", {"awp": 0.01}), ("trades", {}), ("cktat", {}), ("lbgat", {}), ("generalist", {"ema": 0.9})],
)
def test_attack_and_update_are_traced_once(
    name: str, options: dict[str, Any], tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is traced, and when, is the same for every backend; this one needs no compiler.
    monkeypatch.setattr(
        torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend="aot_eager"), raising=True
    )
    check(name, tiny, **options)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler: torch.compile's CPU kernels are not tested")
def test_compiled_kernels_compute_the_same(tiny: Any) -> None:
    check("cktat", tiny)
