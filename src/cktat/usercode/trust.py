"""Whose code may run. What a user names, on the command line or in Python, is theirs. What a file names (the record of a run,
a card, a configuration) runs only if it is the very text that was recorded, and this user has named that text before or
allows it now.

What a user has named is kept as one line per text and function in a file of that user alone. It names content, not places:
a copy elsewhere with one byte changed, in it or in what it imports from its folder, is another text.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from cktat.errors import CktatError
from cktat.usercode.source import Source, absolute, source_of

_pins: ContextVar[Mapping[str, str]] = ContextVar("pins", default={})  # noqa: B039
_reading: ContextVar[tuple[Path, bool] | None] = ContextVar("reading", default=None)
_own: set[str] = set()

NOWHERE = (OSError, RuntimeError)
"""No such file, or none that may be written; no home at all."""


@contextmanager
def pinned(code: Mapping[str, str]) -> Iterator[None]:
    """In here the text behind each `file.py:function` of `code` must have the sum that `code` gives."""
    token = _pins.set({**_pins.get(), **code})
    try:
        yield
    finally:
        _pins.reset(token)


@contextmanager
def recorded(where: Path, code: Mapping[str, str], trust: bool) -> Iterator[None]:
    """In here nothing of a user's runs but what the file `where` names with its sum in `code`, and that only if this user
    has named the same text before, or `trust` says that it may; it is then shown."""
    pins, reading = _pins.set(dict(code)), _reading.set((where, trust))
    try:
        yield
    finally:
        _reading.reset(reading)
        _pins.reset(pins)


def require(spec: str, source: Source) -> None:
    """Raises CktatError unless the text behind `spec` may run here and now."""
    reading, pin = _reading.get(), _pins.get().get(absolute(spec))
    if reading is None:
        if pin not in (None, source.sha256):
            raise CktatError(
                f"{source} was changed while it was in use; bring the text of sum {pin} back, or start anew"
            )
        return _remember(spec, source)
    where, trust = reading
    if pin is None:
        raise CktatError(f"{where} names code, {absolute(spec)}, without the sum of its text; it is not run")
    if pin != source.sha256:
        raise CktatError(
            f"{where} was made with another text than what is now {source}: its sum is {pin}; it is not run. "
            f"Bring that text back, or train or import again"
        )
    _allow(spec, source, where, trust)


def own(spec: str) -> None:
    """Notes that this user has named `file.py:function`; what it is now may run from here on."""
    _remember(spec, source_of(spec))


def allow(spec: str, where: Path, trust: bool) -> None:
    """Raises CktatError unless `file.py:function`, which the file `where` names, may be taken for this user's own."""
    _allow(spec, source_of(spec), where, trust)


def _allow(spec: str, source: Source, where: Path, trust: bool) -> None:
    if _key(spec, source) in _own | _kept():
        return
    if not trust:
        raise CktatError(
            f"{where} names code that you have not named yourself: function {spec.rpartition(':')[2]} of {source}. "
            f"Read it; the same command then runs it with --trust-code, in Python with trust_code=True"
        )
    print(f"runs function {spec.rpartition(':')[2]} of {source}, which {where} names", flush=True)


def _remember(spec: str, source: Source) -> None:
    key = _key(spec, source)
    if key in _own:
        return
    _own.add(key)
    if key in _kept():
        return
    with suppress(*NOWHERE):  # where it cannot be kept, the next command asks for --trust-code
        _file().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(_file(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "a", encoding="utf-8") as file:
            file.write(f"{key}\n")


def _key(spec: str, source: Source) -> str:
    return f"{source.sha256} {spec.rpartition(':')[2]}"


def _kept() -> set[str]:
    try:
        return set(_file().read_text(encoding="utf-8", errors="replace").splitlines())
    except NOWHERE:
        return set()


def _file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "cktat" / "named-code"
