"""Showing progress: a bar with the time left on a terminal, one plain line otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch import Tensor

from cktat.attacks import Standing
from cktat.training import Begun, Callback


def bars(console: Console) -> Progress:
    """Progress bars with counts and the time left, gone when done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)


def plain(console: Console, text: str) -> None:
    """Prints text as it is: brackets in a path are no markup."""
    console.print(text, highlight=False, soft_wrap=True, markup=False, emoji=False)


class Shown(Callback):
    """Writes to `console`: a bar of steps where it is a terminal, and a line per epoch."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar: Progress | None = None
        self.task: TaskID | None = None

    def begin(self, run: Begun) -> None:
        self.run = run
        if self.console.is_terminal:
            self.bar = bars(self.console)
            self.bar.start()
            self.task = self.bar.add_task(run.design, total=run.epochs * run.steps, completed=run.done)

    def step(self, step: int, losses: Mapping[str, Tensor]) -> None:
        if self.bar is not None and self.task is not None:
            self.bar.advance(self.task)

    def epoch(self, record: dict[str, Any]) -> None:
        held_out = record["held_out"]
        plain(
            self.console,
            f"{self.run.design} epoch {record['epoch']}/{self.run.epochs}: loss {record['loss']:.4f}, held-out clean "
            f"{held_out['clean']:.3f}, PGD {held_out['pgd']:.3f}, {record['seconds']:.1f} s, "
            f"{self.run.images / max(record['seconds'], 1e-9):.0f} images/s",
        )

    def end(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


class Meter:
    """Shows an evaluation: a bar of images per attack with the accuracy so far on a terminal, a line per attack."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar = bars(console) if console.is_terminal else None
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Meter:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def __call__(self, attack: str, done: int, right: int, images: int) -> None:
        if self.bar is not None:
            if attack not in self.tasks:
                self.tasks[attack] = self.bar.add_task(attack, total=images)
            self.bar.update(self.tasks[attack], completed=done, description=f"{attack} {right / done:.3f}")
        if done == images:
            self.say(f"{attack}: {right}/{images} = {right / images:.3f}")

    def standing(self, name: str, at: Standing) -> None:
        """Shows how far a suite of attacks is: a bar per attack, with the accuracy so far and the time left for all."""
        if self.bar is None:
            return
        key = f"{name} {at.attack}"
        if key not in self.tasks:
            self.tasks[key] = self.bar.add_task(key, total=at.of)
        left = f"{at.seconds_left / 60:.0f} min" if at.seconds_left >= 90 else f"{at.seconds_left:.0f} s"
        text = f"{key} {at.robust / at.images:.3f}, {left} left for all"
        self.bar.update(self.tasks[key], total=at.of, completed=at.done, description=text)

    def say(self, text: str) -> None:
        plain(self.console, text)
