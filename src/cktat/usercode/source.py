"""The text behind a user's `file.py:function`: that file, and what it imports from its own folder. Nothing is run here."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cktat.errors import CktatError

LARGEST = 10_000_000
"""Bytes of a file that is taken for code."""


@dataclass(frozen=True)
class SourceFile:
    """One file of a user's code. package: whether modules may lie inside it; a folder without __init__.py has no text."""

    path: Path
    text: bytes
    package: bool


@dataclass(frozen=True, eq=False)
class Source:
    """parts: by dotted name as seen from the file's own folder; "" is the file itself."""

    parts: Mapping[str, SourceFile]

    @property
    def path(self) -> Path:
        return self.parts[""].path

    @cached_property
    def files(self) -> dict[str, str]:
        """sha256 (hex) of every file, by its path from the folder."""
        there = {part.path.relative_to(self.path.parent).as_posix(): part for part in self.parts.values()}
        return {name: _sum(there[name].text) for name in sorted(there) if not there[name].path.is_dir()}

    @cached_property
    def sha256(self) -> str:
        """Of the one file; of several, of the lines that `sha256sum` prints for them in the order of their names."""
        if len(self.files) == 1:
            return self.files[self.path.name]
        return _sum("".join(f"{digest}  {name}\n" for name, digest in self.files.items()).encode())

    def __str__(self) -> str:
        others = [name for name in self.files if name != self.path.name]
        return f"{self.path}{f' with {chr(44).join(others)}' if others else ''} (sha256 {self.sha256})"


def absolute(spec: str) -> str:
    """`file.py:function` with the file's whole path, so that it can be found from any working directory."""
    path, _, name = spec.rpartition(":")
    return f"{Path(path).expanduser().resolve()}:{name}"


def source_of(spec: str, what: str = "code") -> Source:
    """The text behind `file.py:function` as it is now. `what` is said in errors. Raises CktatError for a missing file."""
    path = Path(absolute(spec).rpartition(":")[0])
    if not path.is_file():
        raise CktatError(f"{what} {spec!r}: there is no file {path}")
    parts = {"": _read(path, package=True)}
    left = [""]
    while left:
        name = left.pop()
        for wanted in _imports(parts[name], name):
            words = wanted.split(".")
            for depth in range(1, len(words) + 1):
                inner = ".".join(words[:depth])
                if inner not in parts:
                    found = _found(path.parent, words[:depth])
                    if found is None:
                        break
                    parts[inner] = found
                    left.append(inner)
    return Source(parts)


def sum_of_function(function: Callable[..., object]) -> str:
    """sha256 of the lines that define a Python function; "" where there are none to be found."""
    try:
        return _sum(inspect.getsource(function).encode())
    except (OSError, TypeError):
        return ""


def _imports(part: SourceFile, name: str) -> Iterator[str]:
    """Dotted names that a file's import statements, wherever they stand, may mean in the folder."""
    try:
        tree = ast.parse(part.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # it cannot be run either
        return
    inside = [word for word in name.split(".") if word][: None if part.package else -1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level <= len(inside) + 1:
            above = inside[: len(inside) + 1 - node.level] if node.level else []
            base = [*above, *([node.module] if node.module else [])]
            yield from (".".join([*base, alias.name]) for alias in node.names)


def _found(folder: Path, words: list[str]) -> SourceFile | None:
    place = folder.joinpath(*words)
    if (place / "__init__.py").is_file():
        return _read(place / "__init__.py", package=True)
    if (file := place.with_name(f"{place.name}.py")).is_file():
        return _read(file, package=False)
    # as in Python, a folder without __init__.py stands behind an installed package of its name
    return SourceFile(place, b"", True) if place.is_dir() and (words[1:] or not _installed(words[0])) else None


def _installed(name: str) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None


def _read(path: Path, package: bool) -> SourceFile:
    with path.open("rb") as file:
        text = file.read(LARGEST + 1)
    if len(text) > LARGEST:
        raise CktatError(f"{path} is larger than {LARGEST:,} bytes; that is no code that a person wrote")
    return SourceFile(path, text, package)


def _sum(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
