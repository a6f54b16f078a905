"""What follows a training while it runs: progress bars, loggers, measurements of a user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Begun:
    """A run that begins or goes on.

    Attributes:
        design: the design's name.
        folder: where the run is written.
        epochs: how many it has.
        steps: optimiser steps of an epoch.
        done: steps that an earlier process did.
        images: training images of an epoch.
        config: all settings of the run, as `run.json` has them.
    """

    design: str
    folder: Path
    epochs: int
    steps: int
    done: int
    images: int
    config: dict[str, Any]


class Callback:
    """Follows trainings; override what you need. `cktat.train(..., callbacks=[...])` calls it, in the first process only.

    A training may need others first, such as that of a teacher: `begin` and `end` come once for each run. An error in a
    callback ends the training; what was saved after the last epoch stays, and the run can be resumed.

    Example:
        >>> import cktat
        >>> class Loudly(cktat.Callback):
        ...     def epoch(self, record):
        ...         print(record["epoch"], record["held_out"]["pgd"])
    """

    def begin(self, run: Begun) -> None:
        """A run begins, or goes on where it was stopped."""

    def step(self, step: int, losses: Mapping[str, Tensor]) -> None:
        """An optimiser step is done.

        Args:
            step: how many are done in this run, this one included.
            losses: weighted loss of every term, scalars on the device of training. Reading one makes the host wait for a
                GPU.
        """

    def epoch(self, record: dict[str, Any]) -> None:
        """An epoch is done, and its weights are saved.

        Args:
            record: "epoch" (from 1), "lr", "loss", "terms" (mean weighted loss by term), "held_out" ("images", and accuracy
                "clean" and under "pgd", in [0, 1]), "seconds" of the steps, "seconds_held_out".
        """

    def end(self) -> None:
        """The run is done, stopped, or failed."""


class Callbacks(Callback):
    """Several, one after the other."""

    def __init__(self, each: Sequence[Callback]) -> None:
        self.each = tuple(each)

    def begin(self, run: Begun) -> None:
        self._all(lambda one: one.begin(run))

    def step(self, step: int, losses: Mapping[str, Tensor]) -> None:
        self._all(lambda one: one.step(step, losses))

    def epoch(self, record: dict[str, Any]) -> None:
        self._all(lambda one: one.epoch(record))

    def end(self) -> None:
        self._all(lambda one: one.end())

    def _all(self, call: Callable[[Callback], None]) -> None:
        for one in self.each:
            call(one)
