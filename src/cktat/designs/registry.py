"""From a name and hyper-parameters to a design, with clear errors and a record of where it came from."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from cktat.errors import CktatError, naming, one_line, unknown
from cktat.labels import Calibrated, Design
from cktat.labels.scalars import Number
from cktat.usercode import is_file_function, load_file_function

Maker = Callable[..., Design]


def label_design(function: Maker) -> Maker:
    """A design function that names the hyper-parameters it has when given another, and whose designs know their origin."""
    return recorded(function, function.__name__)


def recorded(function: Maker, name: str) -> Maker:
    """`function` with its parameters checked and `Design.origin` set to `name` and all its hyper-parameters."""

    @functools.wraps(function)
    def make(**hyper: Any) -> Design:
        known = inspect.signature(function).parameters
        for key in hyper:
            if key not in known:
                raise CktatError(f"design {name!r} has no parameter {key!r}; it has {', '.join(known) or 'none'}")
        design = function(**hyper)
        if not isinstance(design, Design):
            raise CktatError(f"design {name!r}: the function returned {type(design).__name__}, not a Design")
        everything = {key: p.default for key, p in known.items()} | hyper
        return design.replace(origin=(name, tuple(sorted(everything.items()))))

    return make


def build(spec: str, known: dict[str, Maker], hyper: dict[str, Any]) -> Design:
    """The design that `spec` names: a name in `known` or `file.py:function`. Errors of its own checks name the design."""
    if is_file_function(spec):
        maker = recorded(load_file_function(spec, "design"), spec)
    elif spec in known:
        maker = known[spec]
    else:
        raise unknown("design", spec, known, "or give your own as file.py:function")
    with naming(f"design {spec!r}"):
        try:
            return maker(**hyper)
        except TypeError as error:
            raise CktatError(one_line(error)) from error


def parameters(maker: Maker) -> dict[str, Any]:
    """Hyper-parameters of a design function and their defaults."""
    return {key: p.default for key, p in inspect.signature(maker).parameters.items()}


def number_or_auto(name: str, given: Number | str) -> Number:
    """`given`, or the calibrated value `name` where it is "auto"."""
    if isinstance(given, str):
        if given != "auto":
            raise CktatError(f"{name} must be a number or auto, not {given!r}")
        return Calibrated(name)
    return given


def choose(name: str, given: str, choices: Iterable[str]) -> str:
    """`given` if it is one of the choices. Raises CktatError otherwise."""
    if given not in choices:
        raise unknown(f"value of {name}", given, choices)
    return given
