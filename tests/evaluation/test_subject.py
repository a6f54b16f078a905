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
