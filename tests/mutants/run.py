"""Plants one fault after the other and asks the tests whether they notice. `make mutants`; never part of `make test`.

The faults are in the TOML files beside this one; README.md there says how to write one. Nothing in the tree is touched:
every fault has a process of its own, which is served the changed text of that one file, and runs the named tests.
"""

from __future__ import annotations

import argparse
import builtins
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
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from faults import ROOT, SOURCE, Fault, read_faults  # beside this file, which is run as a script

HEAVY = (
    "torch",
    "numpy",
    "scipy.stats",
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

    def served(file: Any, mode: str = "r", *words: Any, **named: Any) -> Any:
        if not (isinstance(file, str | os.PathLike) and Path(file).resolve() == path):
            return opened(file, mode, *words, **named)
        return io.BytesIO(content.encode()) if "b" in mode else io.StringIO(content)

    io.open = builtins.open = served


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
            code = int(pytest.main([*plain, *" ".join(self.tests).split()]))
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
        self.kill()
        return -1

    def kill(self) -> None:
        """Ends the tests and all that they started."""
        os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def output(self) -> str:
        return (self.folder / "output").read_text(encoding="utf-8", errors="replace")

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def every(asked: Sequence[tuple[Fault | None, tuple[str, ...], float]], jobs: int) -> Iterator[tuple[Child, int]]:
    """Runs all that is asked, `jobs` at a time: each child with its exit code, as they end."""
    waiting, running = list(reversed(asked)), list[Child]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(Child(*waiting.pop()))
            for child in list(running):
                if (code := child.ended()) is not None:
                    running.remove(child)
                    yield child, code
                    child.clear()
            time.sleep(0.02)
    finally:  # interrupted: they are in sessions of their own, where no Ctrl-C reaches them
        for child in running:
            child.kill()
            child.clear()


def main() -> int:
    asked = argparse.ArgumentParser(description="Plants faults and asks the tests whether they notice.")
    asked.add_argument("only", nargs="*", help="only faults whose file or reason holds one of these words")
    asked.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    asked.add_argument("--check", action="store_true", help="run nothing: only say which entries are stale")
    asked.add_argument("--verbose", action="store_true", help="also a line per fault that was found")
    words = asked.parse_args()
    faults = [f for f in read_faults() if not words.only or any(word in str(f) for word in words.only)]
    stale = {fault: problem for fault in faults if (problem := fault.stale())}
    for fault, problem in stale.items():
        print(f"STALE     {fault}: {problem}")
    if words.check:
        print(f"{len(faults)} entries, {len(stale)} stale")
        return 1 if stale else 0
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
