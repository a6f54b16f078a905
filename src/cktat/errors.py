"""The one exception of this package that is meant for people: it names the thing, the place and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class CktatError(Exception):
    """Bad input from a user. Its text is one clear line; the command line prints it and exits with `exit_code`."""

    exit_code = 2
    shared = False
    """Whether all processes of a run raise it: then the first alone says it."""


def unknown(what: str, name: object, known: Iterable[str], hint: str = "") -> CktatError:
    """The error for a name that does not exist, with the nearest names that do.

    >>> str(unknown("attack", "pdg20", ["pgd20", "mim"]))
    "unknown attack 'pdg20'; did you mean 'pgd20'? known: pgd20, mim"
    """
    known = list(known)
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.5)
    guess = f"; did you mean {' or '.join(repr(n) for n in near)}?" if near else ";"
    return CktatError(f"unknown {what} {name!r}{guess} known: {', '.join(known)}{'; ' + hint if hint else ''}")


def one_line(error: BaseException) -> str:
    """The first line of an error's text, for errors that go on over several."""
    return (str(error).splitlines() or [""])[0]


@contextmanager
def naming(what: str) -> Iterator[None]:
    """A CktatError raised in here begins with `what`, unless it names it already."""
    try:
        yield
    except CktatError as error:
        if type(error) is not CktatError or what in str(error):
            raise
        raise CktatError(f"{what}: {error}") from error


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short, of the machine or of a GPU."""
    # by name, because not every command imports torch; on a CPU it raises a plain RuntimeError
    kinds = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return kinds or "allocate memory" in str(error)
