"""Finding and replacing parts of a declaration, which is a tree of frozen dataclasses and tuples."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from cktat.usercode import sum_of_function


def walk(node: Any, into: Callable[[Any], bool] = lambda node: True) -> Iterator[Any]:
    """`node` and everything inside it, in the order of the fields; what `into` refuses is given but not entered."""
    yield node
    if not into(node):
        return
    if isinstance(node, tuple):
        for part in node:
            yield from walk(part, into)
    elif dataclasses.is_dataclass(node) and not isinstance(node, type):
        for field in dataclasses.fields(node):
            yield from walk(getattr(node, field.name), into)


def rebuild(node: Any, change: Callable[[Any], Any], into: Callable[[Any], bool] = lambda node: True) -> Any:
    """A copy of `node` in which `change` has replaced every part, from the leaves up; the parts' own checks run again."""
    if not into(node):
        return node
    if type(node) is tuple:
        node = tuple(rebuild(part, change, into) for part in node)
    elif dataclasses.is_dataclass(node) and not isinstance(node, type):
        old = {f.name: getattr(node, f.name) for f in dataclasses.fields(node) if f.init}
        new = {name: rebuild(part, change, into) for name, part in old.items()}
        if any(new[name] != old[name] for name in old):
            node = dataclasses.replace(node, **new)
    return change(node)


def canonical(node: Any) -> Any:
    """`node` in JSON values: what it declares, without where it came from. Functions stand there by their names, and those
    of others than this package by their text, too."""
    if isinstance(node, tuple):
        return [canonical(part) for part in node]
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        # a field that came after the first runs is no part of what a design declares where it says nothing new
        fields = [
            f for f in dataclasses.fields(node)
            if f.compare and not (f.metadata.get("later") and getattr(node, f.name) == f.default)
        ]  # fmt: skip
        return {"is": type(node).__name__} | {f.name: canonical(getattr(node, f.name)) for f in fields}
    if callable(node):
        text = "" if node.__module__.partition(".")[0] == __name__.partition(".")[0] else sum_of_function(node)
        return f"{node.__module__}.{node.__qualname__}{text and f' {text}'}"
    return node
