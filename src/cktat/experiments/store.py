"""Where runs lie: folders found by what they compute, never by a path that a user must remember."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cktat.errors import CktatError, unknown
from cktat.training import RunConfig, RunFolder


class Store:
    """A folder of run folders. root None is the environment's CKTAT_STORE, or ./runs."""

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = Path(root or os.environ.get("CKTAT_STORE") or "runs").expanduser()

    def runs(self) -> list[RunFolder]:
        """All runs in the store, by name."""
        return [RunFolder(path.parent) for path in sorted(self.root.glob("*/run.json"))]

    def find(self, identity: str) -> RunFolder | None:
        """The run that computes this, a finished one first."""
        return self.by_identity().get(identity)

    def by_identity(self) -> dict[str, RunFolder]:
        """The runs by what they compute; where several compute the same, a finished one."""
        return {run.read()["identity"]: run for run in sorted(reversed(self.runs()), key=lambda run: run.finished)}

    def imported(self, name: str) -> RunFolder:
        """The network that `cktat import` put into the store as `name`, DESIGN@HASH. Raises CktatError if there is none."""
        there = {
            f"{run.read()['config']['design']}@{run.read()['identity'][:8]}": run
            for run in self.runs()
            if run.read().get("imported")
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
        words = tuple(Path(word).stem if "/" in word or ".py:" in word else word for word in words)
        return RunFolder(self.root / re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(words)))

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
