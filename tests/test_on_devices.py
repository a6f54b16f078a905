"""The tests of tests/device, in processes of their own: to register a device changes a process for good."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "tests" / "device").glob("test_*.py"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("device", ["pretend", "cuda"])
@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_on_a_device_that_is_not_the_cpu(file: Path, device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device is here")
    options = ["-p", "no:cacheprovider", "-p", "no:xdist", f"--device={device}"]
    command = [sys.executable, "-m", "pytest", str(file), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]  # 5 where nothing was collected


def test_no_other_test_meets_the_pretend_accelerator() -> None:
    assert torch._C._get_privateuse1_backend_name() == "privateuseone"
