"""Where runs lie: folders found by what they compute, never by a path that a user must remember."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cktat.errors import CktatError, one_line, unknown
from cktat.runs import RunConfig, RunFolder
from cktat.usercode import is_object, named_object

UNSAID = "imported"
"""Stands for the design of an imported network where nobody says how it was trained."""

_SAID: set[str] = set()


def _to_stderr(text: str) -> None:
    print(f"cktat: {text}", file=sys.stderr)


class Store:
    """A folder of run folders. root None is the environment's CKTAT_STORE, or ./runs. say: is told of damaged runs.

    Example:
        >>> Store("no-such-folder").runs()
        []
    """

    def __init__(self, root: str | Path | None = None, say: Callable[[str], None] = _to_stderr) -> None:
        self.say = say
        self.root = Path(root or os.environ.get("CKTAT_STORE") or "runs").expanduser()

    def runs(self) -> list[RunFolder]:
        """All runs in the store, by name, the damaged ones among them."""
        return [RunFolder(path.parent) for path in sorted(self.root.glob("*/run.json"))]

    def records(self) -> list[tuple[RunFolder, dict[str, Any]]]:
        """All runs that can be read, by name, each with what its run.json holds. The others are named and passed over."""
        found = []
        for run in self.runs():
            try:
                found.append((run, run.read()))
            except (CktatError, OSError) as error:
                self.pass_over(run, error)
        return found

    def pass_over(self, run: RunFolder, why: Exception) -> None:
        """Says, once in a process, that a run is damaged and not made use of."""
        text = f"passed over {run.path}, which is damaged: {one_line(why)}"
        if text not in _SAID:
            _SAID.add(text)
            self.say(text)

    def find(self, identity: str) -> RunFolder | None:
        """The run that computes this, a finished one first."""
        return self.by_identity().get(identity)

    def by_identity(self) -> dict[str, RunFolder]:
        """The runs by what they compute; where several compute the same, a finished one."""
        there = sorted(reversed(self.records()), key=lambda one: one[1].get("finished") is not None)
        return {record["identity"]: run for run, record in there}

    def imported(self, name: str) -> RunFolder:
        """The network that `cktat import` put into the store as `name`, DESIGN@HASH. Raises CktatError if there is none."""
        there = {
            f"{record['config'].get('design')}@{record['identity'][:8]}": run
            for run, record in self.records()
            if record.get("imported")
        }
        if name not in there:
            raise unknown(f"imported network in {self.root}", name, there or ["(none)"])
        return there[name]

    def place(self, config: RunConfig, identity: str) -> RunFolder:
        """Where a run of this identity lies or will lie."""
        return self.find(identity) or self.named(
            config.design, config.data, config.model, f"s{config.seed}", identity[:8]
        )

    def named(self, *words: str) -> RunFolder:
        """The folder of these words; of a path its last part, without what a folder's name should not hold."""
        words = tuple(
            named_object(word) if is_object(word) else Path(word).stem if "/" in word or ".py:" in word else word
            for word in words
        )
        return RunFolder(self.root / re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(words)))

    def has(self, name: str | Path) -> bool:
        """Whether there is a run of this folder, or of this name in the store."""
        return any((path / "run.json").is_file() for path in (Path(name), self.root / name))

    def open(self, name: str | Path) -> RunFolder:
        """A run by its folder or its name in the store. Raises CktatError with what there is if there is none."""
        for path in (Path(name), self.root / name):
            if (path / "run.json").is_file():
                return RunFolder(path)
        known = [run.path.name for run in self.runs()]
        there = (
            f"{self.root} holds {', '.join(known[:8])}{', ...' if len(known) > 8 else ''}"
            if known
            else f"{self.root} holds none"
        )
        raise CktatError(f"no run at {name}; {there}")
