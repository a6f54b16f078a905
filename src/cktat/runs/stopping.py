"""Stopping in good order: a signal or a deadline is noticed between two steps, the state is saved, the run ends with 3."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import ClassVar

from cktat.errors import CktatError


class Stopped(CktatError):
    """Training stopped before its end and can be resumed."""

    exit_code = 3


class Stop:
    """Asks whether to stop: after SIGINT or SIGTERM (a second one stops at once), or when `after` seconds are over.

    As a context it takes over the two signals and gives them back.
    """

    listened: ClassVar[bool] = False
    """Whether one listened in this process: from then on something may have been begun."""

    def __init__(self, after: float | None = None) -> None:
        self.deadline = None if after is None else time.monotonic() + after
        self.reason: str | None = None
        self._warned = False
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Stop:
        Stop.listened = True
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._before[number] = signal.signal(number, self._heard)
            except ValueError:  # not in the main thread, where Python allows no handlers
                return self
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before.clear()

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self._warned:
            raise KeyboardInterrupt
        self._warned = True  # a first signal after the deadline must not break the saving that goes on
        self.reason = self.reason or f"received {signal.Signals(number).name}"

    @property
    def left(self) -> float | None:
        """Seconds until the deadline, None if there is none."""
        return None if self.deadline is None else max(self.deadline - time.monotonic(), 0.0)

    def now(self) -> str | None:
        """Why to stop now, or None."""
        if self.reason is None and self.deadline is not None and time.monotonic() >= self.deadline:
            self.reason = "the time given with --stop-after is over"
        return self.reason


class Waiting:
    """Says for whom a process waits: after some seconds, and then seldom."""

    SOON, SELDOM = 3.0, 600.0
    """Seconds until it is said for the first time, and until it is said again."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._next = say, time.monotonic() + self.SOON

    def note(self, whom: str) -> None:
        """It still waits for `whom`."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self.SELDOM
            self._say(f"waiting for {whom}")


def seconds(text: str) -> float:
    """Seconds of a duration such as 90, 90s, 9m, 1.5h. Raises CktatError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    if not match or float(match[1]) <= 0:
        raise CktatError(f"{text!r} is not a duration; write 90s, 9m or 1.5h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]
