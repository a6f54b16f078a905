"""The tests of this folder run on a device that is not the CPU: `pytest tests/device --device pretend`, or `--device cuda`.

Without `--device` they are not collected here: tests/test_on_devices.py starts them in processes of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.device import accelerator
from tests.device.room import Room


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if config.getoption("--device") is None and collection_path.name.startswith("test_") else None


@pytest.fixture(scope="session")
def device_name(request: pytest.FixtureRequest) -> str:
    name: str = request.config.getoption("--device")
    if name == accelerator.NAME:
        accelerator.register()
    elif name != "cuda":
        raise pytest.UsageError(f"--device is {accelerator.NAME} or cuda, not {name}")
    elif not torch.cuda.is_available():
        pytest.skip("no CUDA device is here")
    return name


@pytest.fixture
def room(device_name: str) -> Iterator[Room]:
    room = Room(device_name)
    with room.open():
        yield room
