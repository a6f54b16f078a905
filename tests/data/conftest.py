"""Small data for these tests, and the real CIFAR files where a machine has them."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cktat.data import locate
from cktat.errors import CktatError


@pytest.fixture
def real_cifar() -> Callable[[str], Path]:
    """The folder of a real CIFAR, by name; skips the test where CKTAT_DATA has none."""

    def folder(name: str) -> Path:
        if "CKTAT_DATA" not in os.environ:
            pytest.skip(f"CKTAT_DATA is not set: {name} itself is not tested")
        try:
            return locate(name)
        except CktatError as error:
            pytest.skip(str(error))

    return folder


@pytest.fixture
def arrays() -> dict[str, object]:
    """A valid data set of a user: 60 training and 9 test images of 3 classes, 5 x 6 RGB, channels last."""
    numbers = np.random.default_rng(0)
    return {
        "x_train": numbers.integers(0, 256, (60, 5, 6, 3), dtype=np.uint8),
        "y_train": np.arange(60) % 3,
        "x_test": numbers.integers(0, 256, (9, 5, 6, 3), dtype=np.uint8),
        "y_test": np.arange(9) % 3,
    }
