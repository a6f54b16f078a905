"""Stopping: durations as people write them, and signals that are noted instead of obeyed."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from cktat.errors import CktatError
from cktat.runs import Stop, Stopped, seconds
from cktat.runs import stopping as module


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("90", 90),
        ("90s", 90),
        ("9m", 540),
        ("1.5h", 5400),
        (" 2 h ", 7200),
        ("0.5s", 0.5),
        ("100h", 360_000),
    ],
)
def test_durations(text: str, wanted: float) -> None:
    assert seconds(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "h", "0", "0.0m", "-1h", "1d", "1h30m", "1:30", "nan", "inf", "1e3", "1,5h", ".5h", "1.h", "9 9"]
)
def test_anything_else_is_refused(text: str, one_line) -> None:
    with one_line("is not a duration; write 90s, 9m or 1.5h"):
        seconds(text)


@pytest.fixture
def handlers():
    """The two handlers as they were, put back whatever a test does to them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_is_noted_and_a_second_one_stops_at_once(number: signal.Signals, handlers) -> None:
    with Stop() as stop:
        assert stop.now() is None
        os.kill(os.getpid(), number)
        assert stop.now() == f"received {number.name}"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        assert stop.now() == f"received {number.name}"
    assert {n: signal.getsignal(n) for n in handlers} == handlers


def test_handlers_are_given_back_after_an_error_too(handlers) -> None:
    def own(*_: object) -> None: ...

    signal.signal(signal.SIGTERM, own)
    with pytest.raises(ArithmeticError), Stop() as stop:
        assert signal.getsignal(signal.SIGTERM) == stop._heard != own
        assert signal.getsignal(signal.SIGINT) == stop._heard
        raise ArithmeticError
    assert signal.getsignal(signal.SIGTERM) is own
    assert signal.getsignal(signal.SIGINT) == handlers[signal.SIGINT]


def test_one_inside_another_gives_back_the_outer_one(handlers) -> None:
    with Stop() as outer:
        with Stop() as inner:
            os.kill(os.getpid(), signal.SIGTERM)
        assert inner.now() == "received SIGTERM" and outer.now() is None
        os.kill(os.getpid(), signal.SIGINT)
        assert outer.now() == "received SIGINT"


def test_in_another_thread_it_works_without_signals(handlers) -> None:
    reasons: list[str | None] = []

    def run() -> None:
        with Stop() as stop:
            reasons.append(stop.now())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert reasons == [None]
    assert {n: signal.getsignal(n) for n in handlers} == handlers


def test_the_deadline_is_over_when_its_seconds_are(monkeypatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    stop, endless = Stop(after=5.0), Stop()
    clock[0] = 104.9
    assert stop.now() is None
    clock[0] = 105.0
    assert stop.now() == "the time given with --stop-after is over"
    clock[0] = 1e9
    assert endless.now() is None


def test_a_first_signal_after_the_deadline_does_not_break_the_saving(handlers) -> None:
    with Stop(after=0.0) as stop:
        assert stop.now() == "the time given with --stop-after is over"
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.now() == "the time given with --stop-after is over"
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


def test_what_is_left_of_the_time_is_never_below_0(monkeypatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    stop = Stop(after=5.0)
    for now, left in ((100.0, 5.0), (104.0, 1.0), (107.0, 0.0)):
        clock[0] = now
        assert stop.left == left
    assert Stop().left is None


def test_being_stopped_is_its_own_exit_code() -> None:
    assert issubclass(Stopped, CktatError) and Stopped("x").exit_code == 3 != CktatError("x").exit_code
