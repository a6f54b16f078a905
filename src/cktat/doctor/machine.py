"""What the machine has to compute with: devices, bf16, threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from cktat.doctor.diagnosis import Diagnosis

DRIVER = Path("/proc/driver/nvidia/version")
"""There where Linux has NVIDIA's driver."""
QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""The share of the processors that a container may use: microseconds, or "max", in so many."""
UNITS = ("amx_bf16", "avx512_bf16")
"""A processor's own instructions that multiply in bf16, by the names that torch gives them."""


def devices() -> Iterator[Diagnosis]:
    """The processor and every GPU."""
    import torch

    from cktat.runs import hardware

    there = hardware(torch.device("cpu"))
    yield Diagnosis("device", "ok", f"cpu: {there['cpu']}, {there['cores']} cores", values=there)
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        about = torch.cuda.get_device_properties(number)
        text = (
            f"cuda:{number}: {about.name}, {about.total_memory / 2**30:.0f} GiB, capability {about.major}.{about.minor}"
        )
        yield Diagnosis("device", "ok", text, values={"gpu": about.name, "memory_bytes": about.total_memory})
    if torch.cuda.is_available():
        return
    if DRIVER.exists():
        why = (
            f"this torch is built for CUDA {torch.version.cuda}, which its driver may be too old for"
            if torch.version.cuda
            else "this torch is built for CPUs only"
        )
        yield Diagnosis(
            "device", "note", f"this machine has a GPU of NVIDIA that is not used: {why}",
            "install the torch that fits the driver: pytorch.org/get-started",
        )  # fmt: skip
    elif torch.backends.mps.is_available():
        yield Diagnosis("device", "note", "this machine has a GPU of Apple, which cktat does not use; the CPU is used")
    else:
        yield Diagnosis("device", "ok", "no GPU; everything runs on the CPU")


def bf16() -> Iterator[Diagnosis]:
    """Whether each device multiplies in bf16 itself. Every torch runs bf16 somehow; by emulation it is slower than fp32."""
    import torch

    from cktat.runs import precision_of

    for name in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        itself = precision_of("auto", torch.device(name)) == "bf16"
        units = ""
        if name == "cpu" and hasattr(torch.cpu, "get_capabilities"):
            has = torch.cpu.get_capabilities()
            units = " and ".join(unit for unit in UNITS if has.get(unit))
        how = (
            f"computes in bf16 itself{f' ({units})' if units else ''}"
            if itself
            else "only emulates bf16, which is slow"
        )
        yield Diagnosis(
            "bf16", "ok", f"{name} {how}; --precision auto is {'bf16' if itself else 'fp32'}", values={name: itself}
        )


def threads() -> Iterator[Diagnosis]:
    """Threads of a computation beside the cores that this process may use."""
    import torch

    used, usable = torch.get_num_threads(), cores()
    text = f"{used} thread{'s' if used > 1 else ''} on {usable} core{'s' if usable > 1 else ''}"
    given = os.environ.get("OMP_NUM_THREADS")
    text += f" (OMP_NUM_THREADS={given})" if given else ""
    values = {"threads": used, "cores": usable}
    if used > usable:
        advice = f"set OMP_NUM_THREADS={usable} or give --threads {usable}; more threads than cores wait for each other"
        yield Diagnosis("threads", "note", text, advice, values)
    else:
        yield Diagnosis("threads", "ok", text, values=values)


def cores() -> int:
    """The cores that this process may use: those it is bound to, and no more than its container's share."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        share, period = QUOTA.read_text(encoding="ascii").split()
        return min(bound, max(1, int(share) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):  # no container, or "max"
        return bound
