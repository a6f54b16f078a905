"""The place of a result on disk: its lock, its progress until it is whole, and its file."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from cktat.errors import CktatError
from cktat.evaluation.result import CLEAN, Result
from cktat.evaluation.subject import Subject
from cktat.evaluation.suite import forget, is_of
from cktat.runs import locked

FREE = {"batch_size", "seed", "mode", "processes"}
"""What a result may have been measured with in any way, unless one was asked for."""


def unfinished(path: Path) -> Path:
    """Where the progress of a long measurement lies until its result is written."""
    return path.with_suffix(".part")


def owner(protocol: dict[str, Any], subject: Subject) -> dict[str, Any]:
    """Whose progress it is that lies there."""
    return protocol | {key: subject.card[key] for key in ("weights_sha256", "data")}


def lock(held: ExitStack, path: Path, subject: Subject) -> None:
    """Locks the place, and sweeps the run's folder. Raises Busy if another process is at it, Gone if the folder is."""
    subject.run.require_begun()
    where = subject.run.path if subject.run.measured_in is None else path.parent
    held.enter_context(locked(where / f".{path.stem}.lock", f"measures {path}"))
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


def measured(path: Path, protocol: dict[str, Any], given: set[str], subject: Subject) -> Result | None:
    """The result of these weights at `path`, None if there is none. Raises CktatError for one that must not be replaced:
    of another run, or of these weights in a protocol that differs in what was `given` or in the attack itself."""
    if not path.is_file():
        return None
    old = Result.read(path)
    if old.provenance.get("run") != subject.card["run"]:
        raise CktatError(f"{path} is a result of another run ({old.provenance.get('run')}); give another --out")
    if any(old.provenance.get(key) != subject.card[key] for key in ("weights_sha256", "data")):
        return None
    free = FREE - given | ({"batch_size", "seed"} if old.attack == CLEAN else set())
    names = [name for name in old.protocol | protocol if name not in free]
    different = [
        f"{name.replace('_', ' ')} {old.protocol.get(name)} there, {protocol.get(name)} asked"
        for name in names
        if old.protocol.get(name) != protocol.get(name)
    ]
    if different:
        raise CktatError(
            f"{path} was measured in another way ({'; '.join(different[:3])}) and is not written over; keep both with "
            f"--out DIR, or remove it"
        )
    return old


def otherwise(result: Result, protocol: dict[str, Any]) -> str:
    """What is worth saying of a result that is read where no particular way was asked for."""
    names = [name for name in sorted(FREE) if name in result.protocol and result.attack != CLEAN]
    said = [f"{n.replace('_', ' ')} {result.protocol[n]}" for n in names if result.protocol[n] != protocol.get(n)]
    return f" ({', '.join(said)})" if said else ""


def require_writable(folder: Path) -> None:
    """Raises CktatError if nothing can be written into a folder, which need not be there yet."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not (existing.is_dir() and os.access(existing, os.W_OK)):
        raise CktatError(f"{folder} cannot be written to ({existing} forbids it); put results elsewhere with --out DIR")
