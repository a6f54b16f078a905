"""A trained network of the package's own architecture, and a thousand images of its data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import cktat


class Planted:
    """Pickled, it asks whoever loads it to leave a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture(scope="session")
def trained(runs, tmp_path_factory: pytest.TempPathFactory) -> cktat.Run:
    """`small` on the tiny data, measured clean and under two attacks; it is right of most images and breaks on some."""
    run = runs.train("trades", tmp_path_factory.mktemp("store"), model="small", epochs=6, set={"beta": 2})
    cktat.evaluate(run, ["pgd20", "fgsm"], show=False, draw=False, doubts=False)
    return cktat.Run.open(run)


@pytest.fixture(scope="session")
def thousand(tiny) -> tuple[Tensor, Tensor]:
    """Images [1000, 1, 6, 6] in [0, 1] and their labels."""
    with np.load(tiny.data) as data:
        images, labels = torch.from_numpy(data["x_train"]), torch.from_numpy(data["y_train"])
    draws = torch.Generator().manual_seed(1)
    chosen = torch.randint(len(labels), (1000,), generator=draws)
    x = images[chosen].unsqueeze(1) / 255 + 0.1 * torch.randn(1000, 1, 6, 6, generator=draws)
    return x.clamp(0, 1), labels[chosen]


@pytest.fixture
def planted() -> type[Planted]:
    return Planted
