"""The modules behind a network that is a plain function: what it holds, and what it names."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from torch import Tensor, nn

FAR = 4
"""Functions of functions, and containers in objects, are followed so many steps."""
MANY = 100
"""Containers of more than these are data."""


def modules_of(model: Any) -> list[nn.Module]:
    """All modules of a network, parts of parts included; of a function, those of the networks that it is seen to use.

    It is seen to use what is in its closure, its defaults and its object, and the global names in its code.
    """
    if isinstance(model, nn.Module):
        return list(model.modules())
    found: dict[int, nn.Module] = {}
    seen, near = {id(model)}, [model]
    for _step in range(FAR):
        reached = []
        for thing in (held for each in near for held in _held(each)):
            if id(thing) in seen:
                continue
            seen.add(id(thing))
            if isinstance(thing, nn.Module):
                found |= {id(part): part for part in thing.modules()}
            else:
                reached.append(thing)
        near = reached
    return list(found.values())


def _held(thing: Any) -> Iterator[Any]:
    if isinstance(thing, functools.partial):
        yield from (thing.func, *thing.args, *thing.keywords.values())
    elif isinstance(thing, MethodType):
        yield from (thing.__self__, thing.__func__)
    elif isinstance(thing, FunctionType):
        yield from (cell.cell_contents for cell in thing.__closure__ or () if not _empty(cell))
        yield from (*(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values())
        yield from (thing.__globals__[name] for name in _names(thing.__code__) if name in thing.__globals__)
        yield from filter(None, [getattr(thing, "__wrapped__", None)])
    elif isinstance(thing, list | tuple | set | frozenset):
        yield from thing if len(thing) <= MANY else ()
    elif isinstance(thing, dict):
        yield from thing.values() if len(thing) <= MANY else ()
    elif not isinstance(thing, type | ModuleType | Tensor):
        yield from getattr(thing, "__dict__", {}).values()
        call = inspect.getattr_static(type(thing), "__call__", None)
        yield from [call] if isinstance(call, FunctionType) else []


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:  # functions inside the function
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _empty(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:  # a name that is not bound yet
        return True
    return False
