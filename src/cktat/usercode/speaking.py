"""What is said where a user's code fails: one line with the kind of error, its text, and the line of the user's file."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cktat.errors import CktatError, one_line, out_of_memory
from cktat.usercode.modules import is_of_user

FAILURES = (Exception, SystemExit)
"""What a user's code may end with: `sys.exit` in it must not end a command as if all were well."""


def said(error: BaseException) -> str:
    """An error's kind and text in one line, and where in a user's file it came from."""
    text, place = one_line(error), _place(error)
    where = f" ({Path(place.filename).name}, line {place.lineno}, in {place.name})" if place else ""
    return f"{type(error).__name__}{f': {text}' if text else ''}{where}"


@contextmanager
def blamed() -> Iterator[None]:
    """An error that passed through a user's file on its way becomes a CktatError that says so."""
    try:
        yield
    except CktatError:
        raise
    except FAILURES as error:
        if (place := _place(error)) is None or out_of_memory(error):
            raise
        raise CktatError(f"the code in {place.filename} failed: {said(error)}") from error


def _place(error: BaseException) -> traceback.FrameSummary | None:
    """The innermost line of a user's file in an error's traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame for frame in reversed(frames) if is_of_user(frame.filename)), None)
