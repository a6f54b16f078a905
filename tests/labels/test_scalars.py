"""Numbers that are not known when a design is written."""

import math
import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cktat.errors import CktatError
from cktat.labels import Calibrated, Moment, Scalar, Schedule, from_progress, value

NOW = Moment(progress=0.25, epoch=3, epochs=12, step=100)
PROGRESS = Schedule(lambda moment: moment.progress, "progress")

numbers = st.floats(-4, 4)
trees = st.recursive(
    st.one_of(numbers, st.just(PROGRESS)),
    lambda inner: st.tuples(st.sampled_from("+-*"), inner, inner),
    max_leaves=8,
)
OPERATORS = {"+": operator.add, "-": operator.sub, "*": operator.mul}


def fold(tree, leaf):
    if isinstance(tree, tuple):
        symbol, left, right = tree
        return OPERATORS[symbol](fold(left, leaf), fold(right, leaf))
    return leaf(tree)


@settings(max_examples=60)
@given(trees)
def test_arithmetic_of_scalars_is_that_of_their_values(tree):
    written = fold(tree, lambda leaf: leaf)
    assert value(written, NOW) == pytest.approx(fold(tree, lambda leaf: 0.25 if leaf is PROGRESS else leaf))


@pytest.mark.parametrize(
    ("scalar", "wanted", "text"),
    [
        (PROGRESS + 1, 1.25, "(progress + 1)"),
        (1 + PROGRESS, 1.25, "(1 + progress)"),
        (PROGRESS - 1, -0.75, "(progress - 1)"),
        (1 - PROGRESS, 0.75, "(1 - progress)"),
        (PROGRESS * 8, 2.0, "(progress * 8)"),
        (8 * PROGRESS, 2.0, "(8 * progress)"),
        (PROGRESS**2, 0.0625, "(progress ** 2)"),
        (3 * PROGRESS**2, 0.1875, "(3 * (progress ** 2))"),
    ],
)
def test_each_operation_is_worked_out_and_written(scalar, wanted, text):
    assert isinstance(scalar, Scalar)
    assert value(scalar, NOW) == wanted
    assert str(scalar) == text


def test_value_of_a_plain_number_is_a_float():
    assert value(3, NOW) == 3.0
    assert isinstance(value(3, NOW), float)


@pytest.mark.parametrize(
    ("read", "wanted"),
    [
        (lambda m: m.progress, 0.25),
        (lambda m: m.epoch, 3.0),
        (lambda m: m.epoch / m.epochs, 0.25),
        (lambda m: m.step, 100.0),
    ],
)
def test_a_schedule_reads_the_moment_and_gives_a_float(read, wanted):
    got = value(Schedule(read), NOW)
    assert got == wanted
    assert isinstance(got, float)


@pytest.mark.parametrize(("progress", "wanted"), [(0.0, 0.0), (0.2999, 0.0), (60 / 200, 1.0), (0.31, 1.0), (1.0, 1.0)])
def test_from_progress_begins_exactly_there(progress, wanted):
    assert value(from_progress(0.3), Moment(progress=progress)) == wanted


def test_from_progress_of_the_same_moment_is_the_same_schedule():
    assert from_progress(0.3) == from_progress(0.3)
    assert from_progress(0.3) != from_progress(0.4)
    assert str(from_progress(0.3)) == "from progress 0.3"


def test_a_calibrated_value_that_is_not_settled_says_how_to_settle_it():
    with pytest.raises(CktatError, match=r"'tau' is not settled; give it a value with design\.settle\(tau=\.\.\.\)"):
        value(Calibrated("tau"), NOW)
    with pytest.raises(CktatError, match="'tau' is not settled"):
        value(2 * Calibrated("tau") ** 2, NOW)


def test_scalars_of_the_same_parts_are_equal():
    tau = Calibrated("tau")
    assert 2 * tau**2 == 2 * Calibrated("tau") ** 2
    assert hash(2 * tau) == hash(2 * Calibrated("tau"))
    assert 2 * tau != tau * 2
    assert tau != Calibrated("share")


def test_a_scalar_without_a_value_says_so():
    with pytest.raises(CktatError, match="has no value"):
        Scalar().at(NOW)


def test_a_moment_is_by_default_the_very_beginning():
    assert Moment() == Moment(0.0, 0, 1, 0)
    assert math.isclose(value(PROGRESS, Moment()), 0.0)
