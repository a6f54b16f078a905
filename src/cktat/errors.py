"""The one exception of this package that is meant for people: it names the thing, the place and the way out."""

from __future__ import annotations

import difflib
import errno
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class CktatError(Exception):
    """Bad input from a user. Its text is one clear line; the command line prints it and exits with `exit_code`.

    Example:
        >>> import cktat
        >>> try:
        ...     cktat.designs.trades(betta=6)
        ... except CktatError as error:
        ...     print(error)
        design 'trades' has no parameter 'betta'; it has beta, start, third_pass
    """

    exit_code = 2
    shared = False
    """Whether all processes of a run raise it: then the first alone says it."""


class SystemFault(CktatError):
    """The system refused to read or write a file: a full disk, no permission, no such file."""

    exit_code = 1


@contextmanager
def named_file(path: Path, doing: str, size: int | None = None) -> Iterator[None]:
    """Turns an OSError inside into one line that names `path`. doing: "read" or "written"; size: bytes that were to be written.

    Raises CktatError for a file that is missing or no file, SystemFault for what the system refuses.
    """
    try:
        yield
    except OSError as error:
        raise of_system(error, path, doing, size) from None


def of_system(error: OSError, path: Path, doing: str, size: int | None = None) -> CktatError:
    """The error of the system about `path` in one line that says what to do; see `named_file`."""
    if isinstance(error, FileNotFoundError) and doing == "read":
        return CktatError(f"there is no file {path}")
    if isinstance(error, IsADirectoryError):
        return CktatError(f"{path} is a folder, not a file")
    if isinstance(error, PermissionError):
        return SystemFault(f"{path} cannot be {doing}: you have no permission to; change it, or who you are")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        wants = "" if size is None else f", it needs {size:,} bytes{_free(path)}"
        return SystemFault(f"{path} cannot be {doing}: no space left on device{wants}; make room and start again")
    if error.errno == errno.EROFS:
        return SystemFault(f"{path} cannot be {doing}: its file system is for reading only; name another folder")
    return SystemFault(f"{path} cannot be {doing}: {error.strerror or error}")


def _free(path: Path) -> str:
    parent = next((folder for folder in path.absolute().parents if folder.is_dir()), None)
    return "" if parent is None else f" and {shutil.disk_usage(parent).free:,} are free in {parent}"


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
    """The first line of an error's text that is not empty, for errors that go on over several."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")


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
