"""Plants one fault after the other and asks the tests whether they notice. `make mutants`; never part of `make test`.

The faults are in the TOML files beside this one; README.md there says how to write one. Nothing in the tree is touched:
every fault has a process of its own, which is served the changed text of that one file, and runs the named tests.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import os
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SOURCE = ROOT / "src" / "cktat"
FIELDS = {"file", "old", "new", "why", "tests"}
HEAVY = (
    "torch",
    "numpy",
    "scipy",
    "pydantic",
    "matplotlib.figure",
    "safetensors.torch",
    "typer",
    "jinja2",
    "hypothesis",
)
"""Imported once, before the first fault, because a fork shares them; nothing of cktat is among them."""

PATIENCE = 10
"""How many times longer than without a fault tests may take before they count as failed."""


@dataclass(frozen=True)
class Fault:
    """One planted fault. file: relative to src/cktat. old, new: its text, there exactly once, and what takes its place.
    why: one sentence. tests: what must fail. survives: why no test can find it, "" if one must.
    """

    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...]
    survives: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.why}"

    def text(self) -> str:
        """The text of the file with the fault in it. Raises ValueError for an entry that does not apply any more."""
        path = SOURCE / self.file
        if not path.is_file():
            raise ValueError("there is no such file")
        text = path.read_text(encoding="utf-8")
        if (times := text.count(self.old)) != 1:
            raise ValueError(f"the old text stands there {times} times: {self.old!r}")
        changed = text.replace(self.old, self.new)
        if path.suffix == ".py":
            try:
                compile(changed, str(path), "exec", dont_inherit=True)
            except SyntaxError as error:
                raise ValueError(f"with the new text it is no Python: {error}") from None
        return changed

    def stale(self) -> str | None:
        """What is wrong with the entry, None if nothing is."""
        try:
            self.text()
        except ValueError as error:
            return str(error)
        gone = [test for test in self.tests if not (ROOT / test.partition("::")[0]).exists()]
        return f"there are no tests at {gone[0]}" if gone else None


def read_faults() -> list[Fault]:
    """All faults of the list, file by file. Raises ValueError for an entry without its fields."""
    found = []
    for path in sorted(HERE.glob("*.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["fault"]:
            if not FIELDS <= entry.keys() <= FIELDS | {"survives"} or not entry["tests"]:
                raise ValueError(f"{path.name}: a fault has {', '.join(sorted(FIELDS))}, not {entry}")
            found.append(Fault(**entry | {"tests": tuple(entry["tests"])}))
    return found


class Served(importlib.machinery.SourceFileLoader):
    """Loads a module from the text that it was given."""

    def __init__(self, name: str, path: str, content: str) -> None:
        super().__init__(name, path)
        self.content = content

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.content, self.path, "exec", dont_inherit=True)


class Finder(importlib.abc.MetaPathFinder):
    """Finds the one module of `path` with `content` in the place of what it holds."""

    def __init__(self, path: Path, content: str) -> None:
        parts = ("cktat", *path.relative_to(SOURCE).with_suffix("").parts)
        self.package = parts[-1] == "__init__"
        self.name, self.path, self.content = ".".join(parts[:-1] if self.package else parts), path, content

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(
            name, self.path, loader=Served(name, str(self.path), self.content),
            submodule_search_locations=[str(self.path.parent)] if self.package else None,
        )  # fmt: skip


def plant(fault: Fault) -> None:
    """From now on this process meets the fault: as a module, or as what it reads from a file of the package."""
    path, content = SOURCE / fault.file, fault.text()
    if path.suffix == ".py":
        sys.meta_path.insert(0, Finder(path, content))
        return
    opened = io.open

    def served(file: Any, *words: Any, **named: Any) -> Any:
        hit = isinstance(file, str | os.PathLike) and Path(file).resolve() == path
        return io.StringIO(content) if hit else opened(file, *words, **named)

    io.open = served


class Child:
    """The tests in a process of their own, with a fault or without."""

    def __init__(self, fault: Fault | None, tests: tuple[str, ...], patience: float) -> None:
        self.fault, self.tests = fault, tests
        self.folder, self.started = Path(tempfile.mkdtemp(prefix="mutants-")), time.monotonic()
        self.patience = patience
        self.pid = os.fork()
        if self.pid == 0:
            self._run()

    def _run(self) -> None:
        code = 70
        try:
            os.setsid()
            out = os.open(self.folder / "output", os.O_WRONLY | os.O_CREAT)
            for stream in (1, 2):
                os.dup2(out, stream)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.chdir(ROOT)
            os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(self.folder / "hypothesis")
            sys.path.insert(0, str(SOURCE.parent))
            if self.fault is not None:
                plant(self.fault)
            import pytest

            plain = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={self.folder / 'tmp'}"]
            code = int(pytest.main([*plain, *self.tests]))
        finally:
            sys.stdout.flush()
            os._exit(code)

    def ended(self) -> int | None:
        """The exit code of the tests, minus one for more time than they were given, None while they run."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status) & 0xFF
        if time.monotonic() - self.started < self.patience:
            return None
        os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return -1

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def output(self) -> str:
        return (self.folder / "output").read_text(encoding="utf-8", errors="replace")

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def every(asked: Sequence[tuple[Fault | None, tuple[str, ...], float]], jobs: int) -> Iterator[tuple[Child, int]]:
    """Runs all that is asked, `jobs` at a time: each child with its exit code, as they end."""
    waiting, running = list(reversed(asked)), []
    while waiting or running:
        while waiting and len(running) < jobs:
            running.append(Child(*waiting.pop()))
        for child in list(running):
            if (code := child.ended()) is not None:
                running.remove(child)
                yield child, code
                child.clear()
        time.sleep(0.02)


def main() -> int:
    asked = argparse.ArgumentParser(description="Plants faults and asks the tests whether they notice.")
    asked.add_argument("only", nargs="*", help="only faults whose file or reason holds one of these words")
    asked.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    asked.add_argument("--verbose", action="store_true", help="also a line per fault that was found")
    words = asked.parse_args()
    faults = [f for f in read_faults() if not words.only or any(word in str(f) for word in words.only)]
    stale = {fault: problem for fault in faults if (problem := fault.stale())}
    for fault, problem in stale.items():
        print(f"STALE     {fault}: {problem}")
    whole = [fault for fault in faults if fault not in stale]
    for name in HEAVY:
        try:
            importlib.import_module(name)
        except ImportError:
            continue  # then nothing here imports it
    began = time.monotonic()
    # every file of tests by itself, for several faults name it: without a fault it must pass, and take its usual time
    normal: dict[str, float] = {}
    single = dict.fromkeys(test for fault in whole for test in fault.tests)
    for child, code in every([(None, (test,), 3600.0) for test in single], words.jobs):
        (test,) = child.tests
        if code:
            print(f"BROKEN    {test} fails without a fault:\n{child.output()[-2000:]}", flush=True)
        else:
            normal[test] = child.seconds
            if words.verbose:
                print(f"passed    {test} without a fault [{child.seconds:.0f} s]", flush=True)
    broken = [fault for fault in whole if not normal.keys() >= set(fault.tests)]
    tried = [
        (fault, fault.tests, 30 + PATIENCE * sum(normal[test] for test in fault.tests))
        for fault in whole
        if fault not in broken
    ]
    found, survived = [], []
    for child, code in every(tried, words.jobs):
        (found if code else survived).append(child.fault)
        if code == 0 and child.fault is not None:
            print(
                f"SURVIVED  {child.fault}" + (f" ({child.fault.survives})" if child.fault.survives else ""), flush=True
            )
        elif words.verbose:
            print(f"found     {child.fault} [{'timeout' if code < 0 else code}, {child.seconds:.0f} s]", flush=True)
    share = 100 * len(found) / len(tried) if tried else 0.0
    print(
        f"{len(found)} of {len(tried)} faults found ({share:.1f} %), {len(survived)} survived, {len(stale)} stale, "
        f"{len(broken)} not tried because their tests fail without a fault; {time.monotonic() - began:.0f} s"
    )
    return 0 if share >= 95 and not stale and not broken else 1


if __name__ == "__main__":
    sys.exit(main())
