"""Learning rates: the closed form of each schedule, and how far one-cycle is PyTorch's."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cktat.runs import Recipe, checked
from cktat.training.schedule import lr_factor


def recipe(**fields) -> Recipe:
    return Recipe(**({"epochs": 40, "batch_size": 2, "lr": 0.1} | fields))


def torchs(steps: int, rise: float) -> list[float]:
    """What torch.optim.lr_scheduler.OneCycleLR gives at each of `steps` steps, as factors of its highest rate."""
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=1.0, total_steps=steps, pct_start=rise)
    factors = []
    for _ in range(steps):
        factors.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        cycle.step()
    return factors


@pytest.mark.parametrize(("epochs", "rise", "per_epoch"), [(40, 0.25, 7), (10, 0.3, 10), (3, 0.5, 100)])
def test_one_cycle_is_torchs_but_for_where_its_two_phases_end(epochs: int, rise: float, per_epoch: int) -> None:
    """With N steps and P = rise * N, torch's rise ends at step P - 1 and its fall at N - 1, ours at P and N.

    So ours at a share of a phase is torch's at that share of its own phase, to the last digits.
    """
    steps = epochs * per_epoch
    peak = rise * steps - 1
    for step, wanted in enumerate(torchs(steps, rise)):
        up, down = step / peak, (step - peak) / (steps - 1 - peak)
        progress = rise * up if up <= 1 else rise + (1 - rise) * down
        ours = lr_factor(recipe(schedule="one-cycle", epochs=epochs, rise=rise), progress * epochs)
        assert ours == pytest.approx(wanted, abs=1e-12)


def test_one_cycle_at_the_same_step_is_never_further_from_torchs_than_one_step_changes() -> None:
    steps, rise = 400, 0.25
    wanted = torchs(steps, rise)
    ours = [lr_factor(recipe(rise=rise), step / 10) for step in range(steps)]
    change = max(abs(b - a) for a, b in pairwise(wanted))
    assert 0 < max(abs(a - b) for a, b in zip(ours, wanted, strict=True)) <= change


def test_one_cycle_begins_at_a_25th_peaks_at_1_and_ends_at_a_250_000th() -> None:
    cycle = recipe(schedule="one-cycle", rise=0.25)
    assert lr_factor(cycle, 0) == pytest.approx(1 / 25, abs=1e-15)
    assert lr_factor(cycle, 5) == pytest.approx((1 / 25 + 1) / 2, abs=1e-12)  # halfway up
    assert lr_factor(cycle, 10) == 1.0
    assert lr_factor(cycle, 25) == pytest.approx((1 + 4e-6) / 2, abs=1e-12)  # halfway down
    assert lr_factor(cycle, 40) == pytest.approx(4e-6, abs=1e-15)


@pytest.mark.parametrize(("rise", "begin", "end"), [(0.0, 1.0, 4e-6), (1.0, 1 / 25, 1.0)])
def test_one_cycle_may_only_fall_or_only_rise(rise: float, begin: float, end: float) -> None:
    cycle = recipe(schedule="one-cycle", rise=rise)
    assert lr_factor(cycle, 0) == pytest.approx(begin, abs=1e-12)
    assert lr_factor(cycle, 39.999) == pytest.approx(end, abs=1e-3)


def test_piecewise_drops_at_its_points_and_to_their_factor() -> None:
    drops = recipe(schedule="piecewise", epochs=200, points=((0.5, 0.1), (0.75, 0.01)))
    found = [lr_factor(drops, epoch) for epoch in (0, 99.99, 100, 149.99, 150, 199.99, 200)]
    assert found == [1.0, 1.0, 0.1, 0.1, 0.01, 0.01, 0.01]
    # the epochs that authors write, 215, 260 and 285 of 300, are met exactly
    rslads = recipe(schedule="piecewise", epochs=300, points=((215 / 300, 0.1), (260 / 300, 0.01), (285 / 300, 0.001)))
    found = [lr_factor(rslads, epoch + step / 391) for epoch in (214, 215, 259, 260, 284, 285) for step in (0, 390)]
    assert found == [1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01, 0.001, 0.001]


def test_piecewise_from_the_beginning_on() -> None:
    assert lr_factor(recipe(schedule="piecewise", points=((0.0, 0.5),)), 0) == 0.5
    assert lr_factor(recipe(schedule="piecewise"), 39) == 1.0


def test_linear_goes_straight_from_point_to_point_and_stays_at_the_last() -> None:
    # Generalist's: flat to a third, a tenth at two thirds, a hundredth at the end
    line = recipe(schedule="linear", epochs=120, points=((1 / 3, 1.0), (2 / 3, 0.1), (1.0, 0.01)))
    for epoch, wanted in ((0, 1.0), (20, 1.0), (40, 1.0), (60, 0.55), (80, 0.1), (100, 0.055), (120, 0.01)):
        assert lr_factor(line, epoch) == pytest.approx(wanted, abs=1e-12), epoch
    short = recipe(schedule="linear", points=((0.5, 0.2),))
    assert [lr_factor(short, epoch) for epoch in (0, 10, 20, 30, 40)] == pytest.approx([1, 0.6, 0.2, 0.2, 0.2])
    jump = recipe(schedule="linear", points=((0.0, 0.5), (1.0, 0.1)))
    assert [lr_factor(jump, epoch) for epoch in (0, 20, 40)] == pytest.approx([0.5, 0.3, 0.1])
    assert lr_factor(recipe(schedule="linear"), 17) == 1.0


@settings(max_examples=60)
@given(st.floats(0, 40))
def test_cosine_and_constant(epoch: float) -> None:
    assert lr_factor(recipe(schedule="cosine"), epoch) == pytest.approx(
        (1 + math.cos(math.pi * epoch / 40)) / 2, abs=1e-12
    )
    assert lr_factor(recipe(schedule="constant"), epoch) == 1.0


@pytest.mark.parametrize("schedule", ["piecewise", "linear", "cosine", "constant"])
def test_a_warm_up_is_its_factor_until_it_ends_and_nothing_after(schedule: str) -> None:
    points = ((0.5, 0.1),)
    warm = recipe(schedule=schedule, points=points, warmup_epochs=1.5, warmup_factor=0.3)
    plain = recipe(schedule=schedule, points=points)
    assert [lr_factor(warm, epoch) for epoch in (0, 1, 1.499)] == [0.3, 0.3, 0.3]
    for epoch in (1.5, 2, 19, 21, 39.9):
        assert lr_factor(warm, epoch) == lr_factor(plain, epoch)


def test_one_cycle_has_its_own_warm_up() -> None:
    assert lr_factor(recipe(warmup_epochs=5, warmup_factor=0.9), 0) == lr_factor(recipe(), 0)


def test_points_out_of_order_are_refused(one_line) -> None:
    # in silence the first one would win from its share on, whatever comes later
    fields = {"epochs": 4, "batch_size": 1, "lr": 0.1, "schedule": "piecewise", "points": [[0.75, 0.01], [0.5, 0.1]]}
    with one_line("points"):
        checked(Recipe, fields, "the recipe")
