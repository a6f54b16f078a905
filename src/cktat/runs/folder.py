"""A run on disk: run.json, log.jsonl, last and best weights with their cards, and the training state."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from cktat.errors import CktatError
from cktat.runs.config import RunConfig
from cktat.runs.door import checked, parse, read_bytes, read_sealed, sealed, short, unsealed
from cktat.runs.files import Card, load_weights, write_atomic, write_sealed
from cktat.runs.leftovers import sweep
from cktat.runs.locks import Busy, locked
from cktat.runs.schemas import EpochKept, RunKept

RUN, LOG = "the record of a run", "a line of a training's log"
LOST = "train anew with another --out, or bring the weights in with `cktat import`"


class Gone(CktatError):
    """A run's folder was deleted or moved while a process was at it."""

    exit_code = 1


@dataclass(frozen=True)
class RunFolder:
    """Paths and contents of one run's folder. measured_in: where folders of results lie that are not in their runs' own."""

    path: Path
    measured_in: Path | None = None

    @property
    def run_json(self) -> Path:
        return self.path / "run.json"

    @property
    def state(self) -> Path:
        return self.path / "state.pt"

    @property
    def log(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def results(self) -> Path:
        return self.path / "results" if self.measured_in is None else self.measured_in / self.path.resolve().name

    def weights(self, weights: str) -> Path:
        return self.path / f"{weights}.safetensors"

    def load(self, weights: str) -> tuple[dict[str, Tensor], Card]:
        """Weights and card of `weights`, "best" or "last". Raises CktatError if the run has none, or not its own."""
        tensors, card = load_weights(self.weights(weights))
        own = self.read()
        if card["run"] != own["identity"]:
            raise CktatError(
                f"{self.weights(weights)} is of another run ({short(card['run'])}), not of the one in its folder"
            )
        if own.get("data") and card["data"]["fingerprint"] != own["data"]["fingerprint"]:
            raise CktatError(f"{self.weights(weights)} is of other data than {self.run_json} says")
        return tensors, card

    @property
    def exists(self) -> bool:
        return self.run_json.exists()

    def read(self) -> dict[str, Any]:
        """What run.json holds. Raises CktatError if this is no run folder."""
        if not self.exists:
            raise CktatError(f"{self.path} holds no run (there is no run.json); `cktat runs` lists what there is")
        return read_sealed(self.run_json, RunKept, RUN, LOST)

    def config(self) -> RunConfig:
        return checked(RunConfig, self.read()["config"], str(self.run_json))

    @property
    def finished(self) -> bool:
        return self.exists and self.read().get("finished") is not None

    def begin(self, **fields: Any) -> None:
        """Writes run.json, atomically: all of it, where there is none yet."""
        write_sealed(self.run_json, fields)

    def write(self, **fields: Any) -> None:
        """Changes fields of run.json, atomically. Raises Gone if it is not there any more."""
        self.require_begun()
        write_sealed(self.run_json, self.read() | fields)

    def require_begun(self) -> None:
        """Raises Gone where run.json is not: what is written into the folder now would be of no run."""
        if not self.exists:
            raise Gone(
                f"{self.run_json} is gone: the run's folder was deleted or moved while this process was at it; "
                f"nothing more is written there"
            )

    def history(self) -> list[dict[str, Any]]:
        """One record per finished epoch."""
        if not self.log.exists():
            return []
        lines = []
        for number, line in enumerate(read_bytes(self.log).splitlines(), 1):
            where = f"{self.log}, line {number},"
            way_out = "remove it; --resume writes it anew from an unfinished run's state"
            lines.append(unsealed(parse(line, where), EpochKept, where, LOG, way_out))
            if lines[-1]["epoch"] != number:
                raise CktatError(f"{where} is of epoch {lines[-1]['epoch']}: a line is missing or was moved; {way_out}")
        if self.finished and len(lines) != (epochs := self.config().recipe.epochs):
            raise CktatError(
                f"{self.log} has {len(lines)} lines and the finished run {epochs} epochs: lines are missing"
            )
        return lines

    def write_history(self, history: list[dict[str, Any]]) -> None:
        # Written anew from the state, so that a line of an epoch that a kill undid does not stay behind.
        write_atomic(self.log, "".join(json.dumps(sealed(line)) + "\n" for line in history).encode())

    @contextmanager
    def locked(self, does: str) -> Iterator[None]:
        """Only one process at a time trains in a folder. What killed ones left there is swept.

        does: said to those who wait. Raises Busy if another process is at it, and CktatError where there can be no folder.
        """
        with ExitStack() as held:
            try:
                held.enter_context(locked(self.path / ".lock", f"{does} {self.path}"))
            except Busy:
                raise
            except OSError as error:
                raise CktatError(f"{self.path} cannot be the folder of a run: {error.strerror}") from None
            self.sweep()
            yield

    def sweep(self) -> None:
        """Removes what killed processes left in the folder."""
        sweep(self.path)
        sweep(self.results)
