"""Learners, frozen networks, averages and views: what they are, and what is refused."""

import math

import pytest

from cktat.errors import CktatError
from cktat.labels import (
    Adversarial,
    Average,
    Calibrated,
    Extrapolated,
    Frozen,
    Gaussian,
    Learner,
    NetworkMix,
    Schedule,
    adversarial,
    clean,
    extrapolated,
    gaussian,
    here,
    mix,
    uniform,
    y,
)

S, R, N, T = Learner("S"), Learner("R"), Learner("N"), Frozen("T")


def test_only_learners_train():
    assert S.trains
    assert not T.trains
    assert not Average("A", of=S).trains


def test_networks_are_written_by_their_letter():
    assert [str(n) for n in (S, T, Average("R~", of=R))] == ["S", "T", "R~"]


def test_calling_a_network_gives_its_output_on_that_view():
    output = T(clean, 4.0)
    assert (output.network, output.view, output.tau) == (T, clean, 4.0)
    assert T(clean).tau == 1.0


def test_networks_are_equal_by_what_they_are():
    assert Learner("S") == S
    assert Frozen("T", of="trades") != T
    assert Frozen("T", pick="last") != T
    assert Learner("T") != T
    assert Learner("S", weight_decay=1e-3) != S


@pytest.mark.parametrize("kind", [Learner, Frozen])
@pytest.mark.parametrize("pick", ["first", "", None])
def test_pick_is_best_or_last(kind, pick):
    for allowed in ("best", "last"):
        assert kind("T", pick=allowed).pick == allowed
    with pytest.raises(CktatError) as error:
        kind("T", pick=pick)
    assert str(error.value) == f"network T: pick must be 'best' or 'last', not {pick!r}"


@pytest.mark.parametrize("field", ["start_tau", "lr_factor"])
@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, True, "1"])
def test_a_learners_factors_are_positive(field, bad):
    assert getattr(Learner("S", **{field: 0.5}), field) == 0.5
    with pytest.raises(CktatError, match=f"{field} of learner S must be a finite number above 0, not"):
        Learner("S", **{field: bad})


@pytest.mark.parametrize("bad", [-1e-4, math.nan, math.inf, True, "0"])
def test_a_learners_weight_decay_is_not_negative(bad):
    assert [Learner("S", weight_decay=w).weight_decay for w in (None, 0.0, 5e-4)] == [None, 0.0, 5e-4]
    with pytest.raises(CktatError, match="weight_decay of learner S must be a finite number of 0 or more, not"):
        Learner("S", weight_decay=bad)


# --- averages


def test_an_average_must_say_what_it_follows():
    with pytest.raises(CktatError, match=r"average A must say what it follows: Average\('A', of=\.\.\.\)"):
        Average("A")


@pytest.mark.parametrize("decay", [-0.1, 1.1, math.nan, True, "0.9"])
def test_the_decay_of_an_average_is_from_0_to_1(decay):
    assert Average("A", of=S, decay=Schedule(lambda m: 0.5)).followed == (S,)
    with pytest.raises(CktatError, match="the decay of average A must be a finite number from 0 to 1, not"):
        Average("A", of=S, decay=decay)


def test_an_average_follows_a_network_or_both_of_a_mixture():
    both = mix(R, N, 0.3)
    assert both == NetworkMix(R, N, 0.3)
    assert Average("A", of=both).followed == (R, N)
    assert Average("A", of=Average("B", of=R)).followed == (Average("B", of=R),)


@pytest.mark.parametrize("share", [-0.5, 1.5, math.nan, False])
def test_the_share_of_a_mixture_of_networks_is_from_0_to_1(share):
    with pytest.raises(CktatError, match="the share of R in a mixture of networks must be a finite number from 0 to 1"):
        mix(R, N, share)


@pytest.mark.parametrize(("a", "b"), [(S, y), (y, S), (1.0, y), ("y", "y")])
def test_mix_takes_two_of_a_kind(a, b):
    with pytest.raises(CktatError, match="mix takes two labels or two networks, not"):
        mix(a, b, 0.5)


# --- views


def test_views_are_written_by_their_sign():
    adv = adversarial(S, y)
    assert [str(v) for v in (clean, adv, extrapolated(adv, 2.0), here)] == ["x", "x'", "x''", "here"]
    assert str(adversarial(S, y, sign="x*")) == "x*"


def test_an_adversarial_view_knows_its_inner_maximisation():
    plain, noisy = adversarial(S, y), adversarial(S, S(clean), start=gaussian(0.001))
    assert (plain.of, plain.label, plain.start) == (S, y, uniform)
    assert (noisy.label, noisy.start) == (S(clean), Gaussian(0.001))
    assert plain == Adversarial("x'", S, y)
    assert plain != noisy
    assert plain != adversarial(R, y)


def test_only_a_network_that_trains_can_be_attacked():
    for frozen in (T, Average("A", of=S)):
        with pytest.raises(CktatError) as error:
            adversarial(frozen, y)
        assert str(error.value) == f"x' must attack a network that trains, not {frozen}"


@pytest.mark.parametrize("sigma", [0.0, -0.001, math.nan, math.inf, True, "0.001"])
def test_the_sigma_of_a_gaussian_start_is_positive(sigma):
    with pytest.raises(CktatError, match="the sigma of a Gaussian start must be a finite number above 0, not"):
        gaussian(sigma)


@pytest.mark.parametrize("reach", [0.0, -2.0, math.nan, math.inf, True, "2"])
def test_the_reach_of_an_extrapolated_view_is_positive(reach):
    with pytest.raises(CktatError, match="the reach of an extrapolated view must be a finite number above 0, not"):
        extrapolated(adversarial(S, y), reach)


def test_an_extrapolated_view_knows_what_it_goes_beyond():
    adv = adversarial(S, y)
    assert extrapolated(adv, 2) == Extrapolated("x''", adv, 2.0)
    assert extrapolated(adv, Calibrated("reach")).reach == Calibrated("reach")
