"""The place of a result on disk: its lock, its progress until it is whole, and its file."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from cktat.evaluation.result import Result
from cktat.evaluation.subject import Subject
from cktat.evaluation.suite import forget, is_of
from cktat.training import locked


def unfinished(path: Path) -> Path:
    """Where the progress of a long measurement lies until its result is written."""
    return path.with_suffix(".part")


def owner(protocol: dict[str, Any], subject: Subject) -> dict[str, Any]:
    """Whose progress it is that lies there."""
    return protocol | {key: subject.card[key] for key in ("weights_sha256", "data")}


def lock(held: ExitStack, path: Path, subject: Subject) -> None:
    """Locks the place, and sweeps the run's folder. Raises Busy if another process is at it, Gone if the folder is."""
    subject.run.require_begun()
    held.enter_context(locked(path.parent.parent / f".{path.stem}.lock", f"measures {path}"))
    subject.run.sweep()


def keep(result: Result, path: Path, subject: Subject) -> None:
    """Writes a result, and removes its progress. Raises Gone if the run's folder is not there any more."""
    subject.run.require_begun()
    result.write(path)
    forget(unfinished(path))


def tidy(path: Path, protocol: dict[str, Any], subject: Subject) -> None:
    """Removes the progress that a kill left beside its result."""
    with suppress(OSError), ExitStack() as held:  # Busy is one: another process is at it
        if is_of(unfinished(path), owner(protocol, subject)):
            lock(held, path, subject)
            forget(unfinished(path))


def measured(path: Path, protocol: dict[str, Any], subject: Subject) -> Result | None:
    """The result that is there, if it is of these weights and this protocol."""
    if not path.is_file():
        return None
    old = Result.read(path)
    same = old.protocol == protocol and old.provenance["weights_sha256"] == subject.card["weights_sha256"]
    return old if same else None
