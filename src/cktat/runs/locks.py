"""Locks between processes: one at a time is in a folder or at a file, and whoever waits knows for whom."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from cktat.errors import CktatError, unknown

KINDS = {"hard": FileLock, "soft": SoftFileLock}
"""By the operating system, or by a file that is there. CKTAT_LOCKS says which; all processes must say the same."""

REFUSED = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS}
"""What a file system without locks answers."""


class Busy(BlockingIOError):
    """Another process holds a lock. The text says which process, what it does, and since when."""


@contextmanager
def locked(path: Path, does: str) -> Iterator[None]:
    """Only one process at a time is in here with this lock file, which is removed at the end. The lock goes with its
    process, however that ends. Nobody waits in here: see `World.patiently`.

    does: what is done in here, said to those who wait, such as "trains runs/a".
    Raises Busy if another process is in here, CktatError where the file system refuses locks, and OSError where there can
    be no such file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = os.environ.get("CKTAT_LOCKS") or "hard"
    if kind not in KINDS:
        raise unknown("kind of lock in CKTAT_LOCKS", kind, KINDS)
    own: list[os.stat_result] = []
    lock: BaseFileLock = (
        SoftFileLock(path)
        if KINDS[kind] is SoftFileLock  # the hard one is too where the system has none
        else FileLock(path, fallback_to_soft=False, on_acquired=lambda handle: own.append(_signed(handle, does)))
    )
    while not _taken(lock, path):
        if path.exists():
            raise Busy(holder(path))
    try:
        yield
    finally:
        # Before the release: whoever opened the file and gets the lock now finds it the lock of nothing, and opens anew.
        # A soft lock removes its file itself, and so does Windows, which lets nobody else do it.
        if own and _is_at(path, own[-1]):
            with suppress(PermissionError):
                path.unlink(missing_ok=True)
        lock.release()


def holder(path: Path) -> str:
    """Who holds the lock of this file, as far as the file says it."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = [line for line in file.read(1000).splitlines() if line.isprintable()]
    except OSError:  # gone just now, or of a system that lets nobody else read it
        return "another process"
    if len(lines) < 2 or not lines[0].isdecimal():
        return "another process"
    who = f"process {lines[0]} on {lines[1]}"
    return f"{who}, which {lines[3]} since {lines[2]}" if len(lines) == 4 else who


def _taken(lock: BaseFileLock, path: Path) -> bool:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        raise CktatError(
            f"the file system of {path.parent} refuses locks ({os.strerror(error.errno)}); set CKTAT_LOCKS=soft for all "
            f"processes that use this store, and a file that is there will be the lock"
        ) from None
    return True


def _signed(handle: int, does: str) -> os.stat_result:
    """Writes into a lock file whose lock it is; the first two lines are those that filelock's soft lock writes."""
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    with suppress(OSError):  # on a full disk it is a lock all the same
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n{socket.gethostname()}\n{since}\n{does}\n".encode())
    return os.fstat(handle)


def _is_at(path: Path, file: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), file)
    except FileNotFoundError:
        return False
