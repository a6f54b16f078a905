"""Showing progress: a bar with the time left on a terminal, one plain line per epoch otherwise."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Silent:
    """Shows nothing."""

    def begin(self, name: str, epochs: int, steps: int, done: int) -> None: ...
    def step(self) -> None: ...
    def epoch(self, record: dict[str, Any]) -> None: ...
    def end(self) -> None: ...


class Shown(Silent):
    """Writes to `console`: bars where it is a terminal, lines where it is a pipe."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar: Progress | None = None
        self.task: TaskID | None = None

    def begin(self, name: str, epochs: int, steps: int, done: int) -> None:
        self.name, self.epochs = name, epochs
        if self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self.bar = Progress(*columns, console=self.console, transient=True)
            self.bar.start()
            self.task = self.bar.add_task(name, total=epochs * steps, completed=done)

    def step(self) -> None:
        if self.bar is not None and self.task is not None:
            self.bar.advance(self.task)

    def epoch(self, record: dict[str, Any]) -> None:
        held_out = record["held_out"]
        self.console.print(
            f"{self.name} epoch {record['epoch']}/{self.epochs}: loss {record['loss']:.4f}, held-out clean "
            f"{held_out['clean']:.3f}, PGD {held_out['pgd']:.3f}, {record['seconds']:.1f} s",
            highlight=False,
            soft_wrap=True,
        )

    def end(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
