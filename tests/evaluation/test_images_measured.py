"""Numbers are of test images, all of them, each with its own label; and a verdict rests on the results of these weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cktat.evaluation import Result, Subject, doubts_of, evaluate, for_report, load_subject

EPS = 0.02  # so small that every moved image lies nearest to the one it came from


@pytest.fixture
def subject(runs: Any, tmp_path: Path) -> Subject:
    run = runs.train("pgd_at", tmp_path, eps=EPS)
    return load_subject(run, "best", None, torch.device("cpu"))


def origins(subject: Subject, work: Any, tiny: Any) -> list[set[tuple[str, int]]]:
    """(split, number) of the images that each forward pass saw while `work` went on."""
    arrays = np.load(tiny.data)
    parts = ("train", "held_out", "test")
    names = [(part, number) for part in parts for number in range(len(arrays[f"x_{part}"]))]
    there = torch.cat([torch.from_numpy(arrays[f"x_{part}"]).float().flatten(1) / 255 for part in parts])
    seen: list[Tensor] = []
    handle = subject.module.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))
    try:
        work()
    finally:
        handle.remove()
    nearest = [(x.flatten(1).unsqueeze(1) - there).abs().amax(dim=2).argmin(dim=1).tolist() for x in seen]
    return [{names[place] for place in places} for places in nearest]


def test_an_evaluation_sees_every_test_image_and_no_other(subject: Subject, tiny: Any) -> None:
    seen = origins(subject, lambda: evaluate(subject, ("fgsm", "pgd10")), tiny)
    assert seen[0] == {("test", number) for number in range(30)}
    assert set.union(*seen) == seen[0]
    some = origins(subject, lambda: evaluate(subject, ("fgsm",), test_images=7), tiny)
    assert set.union(*some) == {("test", number) for number in range(7)}


def test_what_the_report_draws_is_of_test_images(subject: Subject, tiny: Any) -> None:
    seen = origins(subject, lambda: for_report(subject), tiny)
    assert set.union(*seen) == {("test", number) for number in range(30)}


def test_a_flag_is_that_of_its_image_and_label(subject: Subject, tiny: Any) -> None:
    arrays = np.load(tiny.data)
    x, y = torch.from_numpy(arrays["x_test"]).float().unsqueeze(1) / 255, torch.from_numpy(arrays["y_test"])
    # weights of a network that is right for about half of the images, so that an order shows
    with torch.no_grad():
        for parameter in subject.module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
        right = subject.module(x).argmax(dim=1) == y
    (clean,) = evaluate(subject, ())
    assert 3 < int(right.sum()) < 27
    assert clean.robust == "".join("1" if flag else "0" for flag in right.tolist())
    assert clean.labels == tuple(y.tolist())


@pytest.mark.parametrize("own", [True, False])
def test_a_verdict_rests_on_the_results_of_these_weights(own: bool, subject: Subject) -> None:
    for attack, broken in (("pgd20", 2), ("pgd100", 17)):
        (_, found) = evaluate(subject, (attack,))
        provenance = found.provenance if own else found.provenance | {"weights_sha256": "0" * 64}
        made = dataclasses.replace(found, robust="0" * broken + "1" * (30 - broken), provenance=provenance)
        made.write(subject.run.results / f"best-{attack}.json")
        assert Result.read(subject.run.results / f"best-{attack}.json").correct == 30 - broken
    verdict = doubts_of(subject)
    found = next(found for found in verdict.findings if found.check == "more steps")
    counted = found.evidence.get("broken_by_20"), found.evidence.get("broken_by_100")
    assert (counted == (2, 17)) == own
    assert (found.finding == "doubt") == own
    assert {"pgd20", "pgd100"} <= set(verdict.protocol["results"]) or not own
