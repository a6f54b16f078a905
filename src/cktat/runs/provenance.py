"""What a run ran on: device, precision, versions, commit. Recorded beside every number."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from cktat.errors import CktatError


def device_of(name: str) -> torch.device:
    """The device called `name`; "auto" is a GPU if there is one. Raises CktatError for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise CktatError(f"unknown device {name!r}; write auto, cpu, cuda or cuda:0") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise CktatError(f"device {name!r}: no CUDA device is available here; use --device cpu")
    if device.type not in ("cpu", "cuda"):
        raise CktatError(f"device {name!r} is not supported; use cpu or cuda")
    return device


def precision_of(name: str, device: torch.device) -> str:
    """fp32 or bf16; "auto" is bf16 where the device computes in it, decided by what it supports and never by timing."""
    if name not in ("auto", "fp32", "bf16"):
        raise CktatError(f"unknown precision {name!r}; write auto, fp32 or bf16")
    if name != "auto":
        return name
    return "bf16" if has_bf16(device) else "fp32"


def has_bf16(device: torch.device) -> bool:
    """Whether `device` computes in bf16 itself."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def hardware(device: torch.device, processes: int = 1) -> dict[str, Any]:
    """Device, processor, cores, threads, whether it computes in bf16, and how many such processes worked together."""
    described: dict[str, Any] = {"device": device.type, "processes": processes}
    described |= {"threads": torch.get_num_threads(), "cores": os.cpu_count(), "bf16": has_bf16(device)}
    described["cpu"] = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    if device.type == "cuda":
        described["gpu"] = torch.cuda.get_device_name(device)
    return described


def versions() -> dict[str, str]:
    """Versions of what a number depends on."""
    return {
        "cktat": importlib.metadata.version("cktat"),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def commit() -> str | None:
    """The commit of the checkout this code runs from, with "+changes" if it has uncommitted ones; None if there is none."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # A package installed into an environment that lies inside some other repository is not of that repository.
    if git("ls-files", "--error-unmatch", str(Path(__file__).resolve())) is None:
        return None
    head = git("rev-parse", "HEAD")
    return head and head + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
