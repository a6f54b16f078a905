"""A loss written out: "S(x):y + 6 S(x'):S(x)" pulls S(x) toward y, and S(x') toward S(x) six times as strongly."""

from __future__ import annotations

from collections.abc import Iterable

from cktat.labels.distances import kl
from cktat.labels.labels import Held, Mixture, Top, Trust
from cktat.labels.outputs import Label, Output
from cktat.labels.scalars import Expression, Number, Scalar, Schedule
from cktat.labels.terms import Confidence, Term


def sentence(terms: Iterable[Term]) -> str:
    """The terms as "weight output:label", joined by plus signs.

    A temperature stands as T^5(x), a weight per sample as T(x)_y^0.1 (the probability of y to the power 0.1), a number that
    changes in square brackets, a distance where it is not KL as "by mse".
    """
    return " + ".join(_term(term) for term in terms)


def _term(term: Term) -> str:
    weight = "" if term.weight == 1.0 else _factor(term.weight)
    sure = "" if term.per_sample is None else _confidence(term.per_sample)
    by = "" if term.by is kl else f"by {term.by}"
    return " ".join(part for part in (weight, sure, f"{_output(term.output)}:{_label(term.label)}", by) if part)


def _output(output: Output) -> str:
    tau = "" if output.tau == 1.0 else f"^{_power(output.tau)}"
    return f"{output.network.letter}{tau}({output.view})"


def _label(label: Label) -> str:
    if isinstance(label, Output):
        return _output(label)
    if isinstance(label, Held):
        return f"held({_label(label.label)})"
    if isinstance(label, Top):
        return f"top({_output(label.output)}{'' if label.other_than is None else f' other than {label.other_than}'})"
    if isinstance(label, Mixture) and isinstance(label.share, Trust):
        share = f"trust({_output(label.share.output)}, {_number(label.share.ceiling)})"
        return f"({share} {_label(label.soft)} + (1 - {share}) {_label(label.hard)})"
    if isinstance(label, Mixture):
        assert not isinstance(label.share, Trust)
        other = 1 - label.share
        return f"({_factor(label.share)} {_label(label.soft)} + {_factor(other)} {_label(label.hard)})"
    return str(label)


def _confidence(confidence: Confidence) -> str:
    power = "" if confidence.power == 1.0 else f"^{confidence.power:g}"
    probability = f"{_output(confidence.output)}_y{power}"
    return probability if confidence.sign > 0 else f"({confidence.base:g} - {probability})"


def _factor(number: Number) -> str:
    """A number as it stands in a product: sums in parentheses."""
    text = _number(number)
    return f"({text})" if isinstance(number, Expression) and number.symbol in "+-" else text


def _number(number: Number) -> str:
    if isinstance(number, Schedule):
        return f"[{number}]"
    if not isinstance(number, Expression):
        return str(number) if isinstance(number, Scalar) else f"{number:g}"
    if number.symbol == "**":
        return f"{_power(number.left)}^{_power(number.right)}"
    if number.symbol == "*":
        return " ".join(_factor(part) for part in (number.left, number.right) if part != 1.0)
    right = number.right
    wrapped = number.symbol == "-" and isinstance(right, Expression) and right.symbol in "+-"
    return f"{_number(number.left)} {number.symbol} {f'({_number(right)})' if wrapped else _number(right)}"


def _power(number: Number) -> str:
    return f"({_number(number)})" if isinstance(number, Expression) else _number(number)
