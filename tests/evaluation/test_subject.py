"""What is evaluated is what was trained: these weights, on the test images of these data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cktat.errors import CktatError
from cktat.evaluation import evaluate, load_subject


def test_a_run_on_some_of_the_training_images_is_measured_on_all_test_images(runs: Any, tmp_path: Path) -> None:
    run = runs.train("standard", tmp_path, examples=24)
    subject = load_subject(run, "best", None, torch.device("cpu"))
    assert (len(subject.data.train), len(subject.data.test)) == (24, 30)
    assert evaluate(subject, ())[0].images == 30


def test_data_that_changed_since_the_training_are_refused(runs: Any, tiny: Any, tmp_path: Path) -> None:
    data = tmp_path / "own.npz"
    arrays = dict(np.load(tiny.data))
    np.savez(data, **arrays)
    run = runs.train("standard", tmp_path / "store", data=str(data))
    load_subject(run, "best", None, torch.device("cpu"))
    np.savez(data, **arrays | {"y_test": arrays["y_test"][::-1]})
    with pytest.raises(CktatError, match=r"is not what .* was trained on; its content has changed"):
        load_subject(run, "best", None, torch.device("cpu"))


def test_best_and_last_weights_are_each_their_own(runs: Any, tmp_path: Path) -> None:
    differ = False
    for seed in range(4):
        run = runs.train("standard", tmp_path, seed=seed, epochs=4, lr=0.1)
        for pick in ("best", "last"):
            weights, card = run.load(pick)
            subject = load_subject(run, pick, None, torch.device("cpu"))
            assert all(torch.equal(weights[name], value) for name, value in subject.module.state_dict().items())
            provenance = evaluate(subject, ())[0].provenance
            assert (provenance["weights"], provenance["epoch"]) == (pick, card["epoch"])
            assert provenance["weights_sha256"] == card["weights_sha256"]
        differ |= run.load("best")[1]["epoch"] != run.load("last")[1]["epoch"]
    assert differ, "otherwise one would do as well as the other"
