"""From a name and hyper-parameters to a design, with clear errors and a record of where it came from."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec

from cktat.errors import CktatError, naming, one_line, unknown
from cktat.labels import Calibrated, Design
from cktat.labels.scalars import Number
from cktat.numeric import as_number
from cktat.usercode import FAILURES, is_file_function, load_file_function, said

P = ParamSpec("P")
Maker = Callable[..., Design]


def label_design(function: Callable[P, Design]) -> Callable[P, Design]:
    """A design function that names the hyper-parameters it has when given another, and whose designs know their origin.

    Example:
        >>> from cktat.labels import Design, Learner, Term, clean, y
        >>> @label_design
        ... def plain(weight: float = 1.0):
        ...     return Design("plain", (Term(Learner("S")(clean), y, weight),))
        >>> print(plain(weight=2.0))
        2 S(x):y
    """
    return recorded(function, function.__name__)


def recorded(function: Callable[P, Design], name: str) -> Callable[P, Design]:
    """`function` with its parameters checked and `Design.origin` set to `name` and all its hyper-parameters.

    Errors of its own checks name the design. Numbers of NumPy become Python's.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def make(*args: P.args, **hyper: P.kwargs) -> Design:
        known = signature.parameters
        for key in hyper:
            if key not in known:
                raise CktatError(f"design {name!r} has no parameter {key!r}; it has {', '.join(known) or 'none'}")
        with naming(f"design {name!r}"):
            try:
                bound = signature.bind(*args, **hyper)
                bound.arguments.update({key: as_number(value) for key, value in bound.arguments.items()})
                _require_switches(known, bound.arguments)
                design = function(*bound.args, **bound.kwargs)
            except TypeError as error:
                raise CktatError(one_line(error)) from error
            if not isinstance(design, Design):
                raise CktatError(f"the function returned {type(design).__name__}, not a Design")
        everything = {key: p.default for key, p in known.items()} | bound.arguments
        return design.replace(origin=(name, tuple(sorted(everything.items()))))

    return make


def _require_switches(known: Mapping[str, inspect.Parameter], given: Mapping[str, Any]) -> None:
    """Raises CktatError where a parameter that is true or false by default is given anything else."""
    for key, value in given.items():
        if key in known and isinstance(known[key].default, bool) and not isinstance(value, bool):
            raise CktatError(f"{key} must be true or false, not {value!r}")


def of_package(function: Maker, name: str) -> Maker:
    """A design function of another package, under the name of its entry point. What fails in it is one line that names it."""

    @functools.wraps(function)
    def guarded(*args: Any, **hyper: Any) -> Design:
        try:
            return function(*args, **hyper)
        except CktatError:
            raise
        except FAILURES as error:
            whose = f"{function.__module__}.{getattr(function, '__qualname__', type(function).__name__)}"
            raise CktatError(f"the function {whose} failed: {said(error)}") from error

    return recorded(guarded, name)


def build(spec: str, known: Mapping[str, Maker], hyper: dict[str, Any]) -> Design:
    """The design that `spec` names: a name in `known` or `file.py:function`."""
    if isinstance(spec, str) and is_file_function(spec):
        return recorded(load_file_function(spec, "design"), spec)(**hyper)
    if not isinstance(spec, str) or spec not in known:
        raise unknown("design", spec, known, "or give your own as file.py:function")
    return known[spec](**hyper)


def parameters(maker: Maker) -> dict[str, Any]:
    """Hyper-parameters of a design function and their defaults.

    Example:
        >>> from cktat.designs import DESIGNS
        >>> parameters(DESIGNS["trades"])
        {'beta': 6.0, 'start': None, 'third_pass': False}
    """
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
