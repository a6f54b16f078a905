"""What killed processes leave behind: unfinished files with the name of their writer, and lock files. The next one sweeps."""

from __future__ import annotations

import os
import re
import socket
import time
from contextlib import suppress
from pathlib import Path

from cktat.errors import CktatError
from cktat.runs.locks import locked

DAY = 86_400
"""Seconds after which an unfinished file of another machine is a dead one's: a file is written in minutes."""


def temporary(path: Path) -> str:
    """How the name of an unfinished file begins that is to become `path`: it says who writes it."""
    return f".{path.name}.{_machine()}.{os.getpid()}."


def sweep(folder: Path) -> None:
    """Removes unfinished files of processes that ended, and lock files that nobody holds. Those of the living stay."""
    for path in folder.glob(".*"):
        with suppress(OSError, CktatError):  # another sweeps, too, or may and this one may not
            if path.suffix == ".lock":
                with locked(path, "sweeps"):
                    pass
            elif (of := re.fullmatch(r"\..+\.([\w-]+)\.(\d+)\.\w{8}", path.name)) and _is_dead(path, of[1], int(of[2])):
                path.unlink(missing_ok=True)


def _is_dead(path: Path, machine: str, process: int) -> bool:
    if machine == _machine() and os.name == "posix":
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        except OSError:  # it lives, and is another user's
            return False
        return False
    return time.time() - path.stat().st_mtime > DAY


def _machine() -> str:
    """This host, and among its containers this one: where numbers of processes mean the same."""
    space = Path("/proc/self/ns/pid")
    number = space.stat().st_ino if space.exists() else 0
    return f"{re.sub(r'[^A-Za-z0-9-]+', '-', socket.gethostname())[:60]}-{number}"
