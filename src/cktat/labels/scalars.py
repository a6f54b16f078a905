"""Numbers of a design that need not be known when it is written: schedules, calibrated values, and their arithmetic."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cktat.errors import CktatError


@dataclass(frozen=True)
class Moment:
    """Where training stands: `progress` in [0, 1], `epoch` of `epochs` (from 0) and `step` (optimiser steps done).

    Example:
        >>> Moment(progress=0.5, epoch=5, epochs=10).progress
        0.5
    """

    progress: float = 0.0
    epoch: int = 0
    epochs: int = 1
    step: int = 0


class Scalar:
    """A number with arithmetic whose value is known at a `Moment`; `share * tau**2` and `1 - share` are scalars too.

    Example:
        >>> print(2 * Calibrated("tau"))
        (2 * tau)
    """

    def at(self, moment: Moment) -> float:
        raise CktatError(f"{self} has no value")

    def __add__(self, other: Number) -> Expression:
        return Expression("+", self, other)

    def __radd__(self, other: Number) -> Expression:
        return Expression("+", other, self)

    def __sub__(self, other: Number) -> Expression:
        return Expression("-", self, other)

    def __rsub__(self, other: Number) -> Expression:
        return Expression("-", other, self)

    def __mul__(self, other: Number) -> Expression:
        return Expression("*", self, other)

    def __rmul__(self, other: Number) -> Expression:
        return Expression("*", other, self)

    def __pow__(self, other: Number) -> Expression:
        return Expression("**", self, other)


Number = float | int | Scalar

OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "**": operator.pow,
}


@dataclass(frozen=True)
class Schedule(Scalar):
    """A number that changes while training goes on. `text` names it in tables and errors.

    Example:
        >>> rising = Schedule(lambda moment: moment.progress, "progress")
        >>> (1 - rising).at(Moment(progress=0.25))
        0.75
    """

    function: Callable[[Moment], float]
    text: str = "schedule"

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise CktatError(f"a schedule must be a function of a Moment, not {self.function!r}")

    def at(self, moment: Moment) -> float:
        return float(self.function(moment))

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Calibrated(Scalar):
    """A number chosen on held-out images before training starts; `Design.settle(name=value)` fills it in.

    Example:
        >>> print(1 - Calibrated("share"))
        (1 - share)
    """

    name: str

    def at(self, moment: Moment) -> float:
        raise CktatError(f"'{self.name}' is not settled; give it a value with design.settle({self.name}=...)")

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Expression(Scalar):
    """`left` and `right` joined by one of + - * **."""

    symbol: str
    left: Number
    right: Number

    def at(self, moment: Moment) -> float:
        return OPERATORS[self.symbol](value(self.left, moment), value(self.right, moment))

    def __str__(self) -> str:
        return f"({self.left} {self.symbol} {self.right})"


@functools.cache
def from_progress(begin: float) -> Schedule:
    """0 while progress < `begin`, 1 from there on.

    Example:
        >>> from_progress(0.3).at(Moment(progress=0.2)), from_progress(0.3).at(Moment(progress=0.3))
        (0.0, 1.0)
    """
    return Schedule(lambda moment: float(moment.progress >= begin), f"from progress {begin:g}")


@functools.cache
def growing(decay: float) -> Schedule:
    """The decay of an average that starts low and grows to `decay`: min(decay, (step + 1) / (step + 10))."""
    require_share(decay, "the decay of an average")
    return Schedule(lambda at: min(decay, (at.step + 1) / (at.step + 10)), f"min({decay:g}, (step + 1) / (step + 10))")


@functools.cache
def annealed(first: float, last: float) -> Schedule:
    """From `first` to `last` along half a cosine of the progress, flat at both ends.

    Example:
        >>> annealed(2.0, 1.0).at(Moment(progress=0.5))
        1.5
    """
    return Schedule(
        lambda at: last + (first - last) * (1 + math.cos(math.pi * at.progress)) / 2, f"{first:g} to {last:g}"
    )


@functools.cache
def mean_since(begin: float) -> Schedule:
    """The decay with which an average is the plain mean of all weights since progress `begin`, and equal to what it follows
    before: n / (n + 1) with n the weights that are in it already (stochastic weight averaging).

    Example:
        >>> mean_since(0.5).at(Moment(progress=0.4))
        0.0
    """
    require_share(begin, "the progress at which an average begins")

    def decay(at: Moment) -> float:
        progress, step = at.progress, at.step
        if progress < begin:
            return 0.0
        # the first step in it is the first one whose progress is not below `begin`
        first = math.ceil(begin * step / progress - 1e-6) if begin and progress else 0
        already = max(step - first, 0)
        return already / (already + 1)

    return Schedule(decay, f"mean since progress {begin:g}")


def value(number: Number, moment: Moment) -> float:
    """The number at this moment, as a float.

    Example:
        >>> value(3, Moment())
        3.0
    """
    return number.at(moment) if isinstance(number, Scalar) else float(number)


def now(number: Number, moment: Moment, require: Callable[[Number, str], Number], what: str) -> float:
    """The number at this moment, checked as it would have been at construction had it been a plain number."""
    return float(require(value(number, moment), what))  # type: ignore[arg-type]


def settled(part: object, values: Mapping[str, float]) -> object:
    """`part` of a declaration with a calibrated value filled in, or an expression that has become a number worked out."""
    if isinstance(part, Calibrated):
        return values.get(part.name, part)
    if isinstance(part, Expression) and not isinstance(part.left, Scalar) and not isinstance(part.right, Scalar):
        return OPERATORS[part.symbol](part.left, part.right)
    return part


def require_number(number: Number, what: str) -> Number:
    """`number` unless it is no number, or a plain one that is not finite."""
    return _require(number, what, "of any size", lambda v: True)


def require_positive(number: Number, what: str) -> Number:
    """`number` unless it is a plain number that is not finite or not above 0."""
    return _require(number, what, "above 0", lambda v: v > 0)


def require_weight(number: Number, what: str) -> Number:
    """`number` unless it is a plain number that is not finite or negative."""
    return _require(number, what, "of 0 or more", lambda v: v >= 0)


def require_share(number: Number, what: str) -> Number:
    """`number` unless it is a plain number outside [0, 1]."""
    return _require(number, what, "from 0 to 1", lambda v: 0 <= v <= 1)


def _require(number: Number, what: str, wanted: str, holds: Callable[[float], bool]) -> Number:
    if isinstance(number, Scalar):
        return number
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise CktatError(f"{what} must be a finite number {wanted}, not {number!r}")
    if not (math.isfinite(number) and holds(number)):
        raise CktatError(f"{what} must be a finite number {wanted}, not {number}")
    return float(number)
