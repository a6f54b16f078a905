"""What workers are handed: their tasks one at a time, and what is left of the time."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, cast

import pytest

from cktat.errors import CktatError
from cktat.grid import workers as module
from cktat.runs import Stop


class Pool:
    """Keeps what it is asked to do; each task is at work until it is ended."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def submit(self, work: Any, *given: Any) -> Future[Any]:
        self.asked.append(given)
        return Future()

    def shutdown(self, **_: object) -> None: ...


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[Pool]:
    made: list[Pool] = []
    monkeypatch.setattr(module, "_pool", lambda: made.append(Pool()) or made[-1])
    return made


def test_each_worker_has_one_task_at_a_time(pools: list[Pool]) -> None:
    with module.workers(2, "here", Stop()) as crew:
        first, _second = (crew.submit(cast(Any, name)) for name in "ab")
        first.set_result(cast(Any, None))
        crew.submit(cast(Any, "c"))
    assert [[task for task, _ in pool.asked] for pool in pools] == [["a", "c"], ["b"]]


def test_workers_are_told_what_is_left_of_the_time(pools: list[Pool], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("cktat.runs.stopping.time.monotonic", lambda: clock[0])
    for after, left in ((100.0, 60.0), (None, None)):
        clock[0] = 0.0
        with module.workers(2, "here", Stop(after)) as crew:
            clock[0] = 40.0
            crew.submit(cast(Any, "a"))
        assert pools[-2].asked == [("a", left)]


def test_a_place_that_there_is_not_is_refused() -> None:
    with pytest.raises(CktatError, match="a grid runs on here or ray, not on 'there'"):
        module.workers(2, "there", Stop())
