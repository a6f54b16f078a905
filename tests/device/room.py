"""The device that the tests of this folder run on, and where the host waits for it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

import cktat
from tests.device.accelerator import FROM_THE_HOST, NAME, OnDevice, Pretending

SOURCE = Path(cktat.__file__).parent
PINNED = "seeds.fetched"
"""Where a GPU takes what was drawn on the CPU from pinned memory without waiting, which the pretend accelerator has not."""


class Room:
    """A device to test on, "pretend" or "cuda", and what can be said of tensors there."""

    def __init__(self, name: str) -> None:
        self.device = torch.device(name)
        self.pretends = name == NAME
        self._heard: list[set[str]] = []

    @contextmanager
    def open(self) -> Iterator[None]:
        """While it lasts, the pretend accelerator is there."""
        if not self.pretends:
            yield
            return
        with Pretending(self._hear):
            yield

    @contextmanager
    def waits(self) -> Iterator[set[str]]:
        """The places, as module.function, at which the host waits for the device while it lasts."""
        places: set[str] = set()
        self._heard.append(places)
        try:
            if self.pretends:
                yield places
            else:
                with self._of_cuda():
                    yield places
        finally:
            self._heard.pop()

    @contextmanager
    def _of_cuda(self) -> Iterator[None]:
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = lambda message, *rest, **more: (  # type: ignore[assignment]
                self._hear("synchronises") if "synchroniz" in str(message) else None
            )
            torch.cuda.set_sync_debug_mode("warn")
            try:
                yield
            finally:
                torch.cuda.set_sync_debug_mode(before)

    def _hear(self, what: str) -> None:
        place = place_of(sys._getframe(1))
        if self._heard and not (place == PINNED and what == FROM_THE_HOST):
            self._heard[-1].add(place)

    def holds(self, found: Tensor, wanted: Tensor) -> bool:
        """Whether `found` lies on the device and holds the numbers of `wanted` on the CPU. A GPU adds in another order, after
        which signs of steps differ: there it holds finite numbers of that shape."""
        if found.device.type != self.device.type or found.shape != wanted.shape or found.dtype != wanted.dtype:
            return False
        if isinstance(found, OnDevice):
            return torch.equal(found.held, wanted)
        return bool(found.isfinite().all())

    def tree_holds(self, found: Any, wanted: Any) -> bool:
        """`holds` for every tensor of nested dictionaries."""
        if isinstance(wanted, dict):
            return found.keys() == wanted.keys() and all(
                torch.equal(found[key], wanted[key]) if key == "epoch" else self.tree_holds(found[key], wanted[key])
                for key in wanted
            )  # an epoch's number is the host's own
        return self.holds(found, wanted)


def place_of(frame: FrameType | None) -> str:
    """The innermost function of the package that is at work, such as "training.score.held_out_accuracy"."""
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(SOURCE):
            module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
            return f"{module}.{frame.f_code.co_qualname.split('.<locals>')[0]}"
        frame = frame.f_back
    return "outside of the package"
