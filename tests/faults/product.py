"""The command under test, and what a campaign says of it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from cktat.runs import sealed

COMMAND = [sys.executable, "-m", "cktat"]
SMALL = ("--data", "digits", "--model", "small", "--examples", "200", "--epochs", "2")
"""A training of a second: what is tried is the product around it."""


@dataclass
class Campaign:
    """What was tried, and each try that fell short, in one line."""

    name: str
    tried: int = 0
    short: list[str] = field(default_factory=list)
    note: str = ""

    def held(self, holds: bool, otherwise: str) -> None:
        """Counts one try; `otherwise` says what fell short where it does not hold."""
        self.tried += 1
        if not holds:
            self.short.append(otherwise)

    def line(self) -> str:
        """The campaign in one line: tried, survived, what fell short."""
        text = f"{self.name}: tried {self.tried}, survived {self.tried - len(self.short)}"
        return text + (f" ({self.note})" if self.note else "")


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (minus the signal) and what it printed."""

    code: int
    out: str
    err: str

    @property
    def in_one_line(self) -> bool:
        """Refused as a user's mistake is to be refused: exit 1 or 2, and on stderr one line of ours, or the usage."""
        lines = self.err.strip().splitlines()
        ours = len(lines) == 1 and lines[0].startswith("cktat: ")
        return self.code in (1, 2) and (ours or self.err.lstrip().startswith("Usage:"))

    def brief(self) -> str:
        return f"exit {self.code}: {(self.err.strip() or self.out.strip())[-300:]!r}"


def environment(**more: str) -> dict[str, str]:
    """One thread, no colours, and none of the variables that name folders of the person who runs the campaign."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("CKTAT_")}
    return kept | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"} | more


def start(arguments: Sequence[str], cwd: Path, **more: str) -> subprocess.Popen[str]:
    """The command, started in `cwd`."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*COMMAND, *arguments], cwd=cwd, env=environment(**more), text=True, **pipes)  # type: ignore[call-overload, no-any-return]


def end(process: subprocess.Popen[str], timeout: float = 300) -> Ended:
    """What a started command ended with. One that does not end is killed, with an exit code of its own."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return Ended(124, out, f"{err}\ndid not end in {timeout:g} s")
    return Ended(process.returncode, out, err)


def run(arguments: Sequence[str], cwd: Path, **more: str) -> Ended:
    """The command, carried out in `cwd`."""
    return end(start(arguments, cwd, **more))


def killed(arguments: Sequence[str], cwd: Path, after: float) -> bool:
    """Whether the command was still at work when SIGKILL met it, `after` seconds from its start."""
    process = start(arguments, cwd)
    time.sleep(after)
    at_work = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return at_work


def product_of(folder: Path) -> dict[str, Any]:
    """All numbers below a folder: digests of weights, flags of results, cells of tables, by path.

    What differs from one undisturbed run to another - times, process numbers - is left out.
    """
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".safetensors" and path.stem in ("best", "last"):
            found[name] = digest(path)
        elif path.parent.name == "results" and path.suffix == ".json":
            record = json.loads(path.read_text(encoding="utf-8"))
            found[name] = record.get("robust") or [one.get("accuracy") for one in record.get("points", [])]
        elif path.suffix in (".csv", ".tex"):
            found[name] = path.read_text(encoding="utf-8")
    return found


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes a JSON file and the sum in it: whoever lies can compute a sum."""
    record = json.loads(path.read_text(encoding="utf-8"))
    record.pop("sha256", None)
    change(record)
    path.write_text(json.dumps(sealed(record)), encoding="utf-8")


def digest(path: Path) -> str:
    """A sum of the tensors in a weights file; its card holds times."""
    total = hashlib.sha256()
    for name, tensor in sorted(load_file(path).items()):
        total.update(name.encode() + tensor.numpy().tobytes())
    return total.hexdigest()


def leftovers(folder: Path) -> list[str]:
    """Temporary files, half files and locks below a folder."""
    names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return [str(name) for name in names if name.name.startswith(".") or name.suffix in (".lock", ".part", ".tmp")]


def draws(seed: int, what: str) -> random.Random:
    """The random numbers of one campaign."""
    return random.Random(f"{seed} {what}")
