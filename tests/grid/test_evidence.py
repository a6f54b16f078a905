"""Which number fills a cell: of this run, these weights, this attack, these images and this ball, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cktat.api import Store
from cktat.evaluation import evaluate, load_subject
from cktat.grid import Evidence, export
from cktat.runs import RunFolder, Threat


@pytest.fixture(params=["folder", "record"])
def measured(request: Any, runs: Any, tmp_path: Path) -> tuple[RunFolder, Evidence]:
    """A run's best weights under fgsm, at its own radius 0.1 and at 0.05, and its last weights on 20 images: as they lie in
    its folder, or as a record of it without the folder."""
    run = runs.train("pgd_at", tmp_path / "store", epochs=3, lr=0.2)
    for pick, options in (("best", {}), ("best", {"eps": 0.05}), ("last", {"test_images": 20})):
        evaluate(load_subject(run, pick, None, torch.device("cpu")), ("fgsm",), **options)
    if request.param == "folder":
        return run, Evidence(Store(tmp_path / "store"))
    export(run, tmp_path / "records")
    return run, Evidence(Store(tmp_path / "empty"), tmp_path / "records")


def test_a_cell_takes_the_number_of_its_weights_attack_images_and_ball(measured: tuple[RunFolder, Evidence]) -> None:
    run, evidence = measured
    identity, threat = run.read()["identity"], run.config().threat

    def flags(pick: str, attack: str, images: int, threat: Threat = threat, identity: str = identity) -> str | None:
        found = evidence.result(identity, pick, attack, images, threat)
        return None if found is None else found.robust

    at = {
        (pick, eps, images): next(
            result
            for result in evaluate(
                load_subject(run, pick, None, torch.device("cpu")), ("fgsm",), eps=eps, test_images=images
            )
            if result.attack == "fgsm"
        ).robust
        for pick, eps, images in (("best", None, None), ("best", 0.05, None), ("last", None, 20))
    }
    closer = threat.model_copy(update={"eps": 0.05})
    assert flags("best", "fgsm", 30) == at["best", None, None]
    assert flags("best", "fgsm", 30, closer) == at["best", 0.05, None]
    assert flags("last", "fgsm", 20) == at["last", None, 20]
    assert at["best", None, None] != at["best", 0.05, None], "otherwise one would do as well as the other"
    for nothing in (
        ("best", "pgd10", 30), ("best", "fgsm", 20), ("last", "fgsm", 30),
        ("best", "fgsm", 30, threat.model_copy(update={"norm": "L2"})),
        ("best", "fgsm", 30, threat.model_copy(update={"eps": 0.2})),
        ("best", "fgsm", 30, threat, "0123456789abcdef"),
    ):  # fmt: skip
        assert flags(*nothing) is None, nothing


def test_a_run_that_still_trains_fills_no_cell(measured: tuple[RunFolder, Evidence], runs: Any) -> None:
    run, evidence = measured
    if run.read()["identity"] in evidence.folders:
        runs.edit(run.run_json, lambda fields: fields | {"finished": None}, seal=True)
        assert evidence.result(run.read()["identity"], "best", "fgsm", 30, run.config().threat) is None
        assert not evidence.finished(run.read()["identity"])
