"""The words that later designs brought: others, trust, pairs, annealed, mean_since, inverse views, class means."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cktat.errors import CktatError
from cktat.labels import (
    Adversarial,
    ClassMean,
    Design,
    Frozen,
    Inverse,
    Learner,
    Moment,
    Outputs,
    Schedule,
    Term,
    adversarial,
    annealed,
    clean,
    inverse,
    kl,
    mean_since,
    mix,
    others,
    pairs,
    trust,
    uniform,
    value,
    y,
)
from cktat.labels.design import read_by_schedules
from cktat.labels.walk import canonical

S, T = Learner("S"), Frozen("T")


# --- labels


def test_others_is_uniform_over_the_classes_other_than_y(at):
    wanted = torch.full((6, 5), 0.25, dtype=torch.float64).scatter(1, at.y.unsqueeze(1), 0.0)
    torch.testing.assert_close(others.log_probs(at).exp(), wanted)
    assert str(others) == "others"


def probabilities(rows):
    return Outputs({T(clean).cell: torch.tensor(rows, dtype=torch.float64).log()}, torch.zeros(len(rows)).long(), 3)


@pytest.mark.parametrize(
    ("p", "ceiling", "wanted"),
    [
        ((0.6, 0.3, 0.1), 0.7, 0.7),  # right: the whole ceiling
        ((0.3, 0.6, 0.1), 0.7, 0.4),
        ((0.1, 0.85, 0.05), 0.7, 0.0),  # surer of a wrong class than the ceiling: nothing
        ((0.05, 0.9, 0.05), 0.9, 0.05),
        ((0.4, 0.4, 0.2), 1.0, 1.0),
    ],
)
def test_trust_is_the_ceiling_less_what_another_class_is_ahead(p, ceiling, wanted):
    assert trust(T(clean), ceiling)(probabilities([p])).item() == pytest.approx(wanted, abs=1e-12)


def test_a_share_per_sample_mixes_every_row_by_its_own(at):
    share = trust(T(clean), 0.8)
    mixed = mix(S(clean), y, share).log_probs(at).exp()
    shares = share(at)
    assert len(set(shares.tolist())) > 3 and shares.max() > 0.4
    for row, own in enumerate(shares.tolist()):
        torch.testing.assert_close(mixed[row], mix(S(clean), y, own).log_probs(at).exp()[row])


def test_the_ends_of_a_share_per_sample_are_the_labels_themselves():
    at = probabilities([(0.9, 0.05, 0.05), (0.001, 0.998, 0.001)])
    mixed = mix(uniform, y, trust(T(clean), 0.5)).log_probs(at)
    torch.testing.assert_close(mixed[0].exp(), torch.tensor([4 / 6, 1 / 6, 1 / 6], dtype=torch.float64))
    assert torch.equal(mixed[1], y.log_probs(at)[1])
    whole = mix(uniform, y, trust(T(clean), 1.0)).log_probs(at)
    assert torch.equal(whole[0], uniform.log_probs(at)[0])


def test_a_ceiling_may_follow_the_training_and_must_stay_a_share(at):
    assert torch.equal(trust(T(clean), Schedule(lambda m: m.progress))(at), trust(T(clean), 0.5)(at))
    with pytest.raises(CktatError, match=r"the ceiling of the trust in T\(x\) must be a finite number from 0 to 1"):
        trust(T(clean), Schedule(lambda m: 2.0))(at)
    with pytest.raises(CktatError, match=r"from 0 to 1, not 1\.5"):
        trust(T(clean), 1.5)


# --- distances

K = 4
rows = st.lists(st.floats(-20, 20), min_size=K, max_size=K)


def one(values):
    return torch.tensor([values], dtype=torch.float64)


@settings(max_examples=60)
@given(rows, rows, st.lists(st.floats(0.01, 1), min_size=K, max_size=K))
def test_pairs_is_the_sum_over_pairs_of_classes(logits, label, weights):
    total = sum(weights)
    w = [weight / total for weight in weights]
    wanted = 0.25 * sum(
        w[j] * w[k] * ((logits[j] - logits[k]) - (label[j] - label[k])) ** 2 for j in range(K) for k in range(K)
    )
    cell = T(clean).cell
    at = Outputs({cell: one(w).log()}, torch.tensor([0]), K)
    by = pairs(T(clean)).at(at)
    assert by(one(logits), one(label)).item() == pytest.approx(wanted, rel=1e-9, abs=1e-9)
    assert by(one(logits) + 7.0, one(label)).item() == pytest.approx(wanted, rel=1e-9, abs=1e-9)


def test_what_weighs_a_distance_is_a_pass_of_the_design():
    design = Design("weighed", (Term(S(clean), T(clean), by=pairs(T(clean, 2.0))),))
    assert [str(cell) for cell in design.cells] == ["S(x)", "T(x)"]
    alone = Design("weighed", (Term(S(clean), S(adversarial(S, y)), by=pairs(T(clean))),))
    assert "T(x)" in [str(cell) for cell in alone.cells] and T in alone.networks
    assert str(alone) == "S(x):S(x') by pairs(T(x))"


def test_a_plain_distance_is_what_it_was_in_an_identity():
    assert canonical(kl) == {
        "is": "Distance", "name": "kl", "needs": "log-probabilities", "function": "cktat.labels.distances._kl"
    }  # fmt: skip


# --- numbers


@pytest.mark.parametrize(("progress", "share"), [(0.0, 0.0), (1 / 3, 0.25), (0.5, 0.5), (2 / 3, 0.75), (1.0, 1.0)])
def test_annealed_follows_half_a_cosine(progress, share):
    assert value(annealed(2.5, 2.0), Moment(progress)) == pytest.approx(2.5 - 0.5 * share)
    assert str(annealed(2.5, 2.0)) == "2.5 to 2" and annealed(2.5, 2.0) == annealed(2.5, 2.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100).map(lambda percent: percent / 100), st.integers(1, 60))
def test_mean_since_is_a_plain_mean(begin, total):
    found, weights = 0.0, []
    for step in range(total):
        decay = value(mean_since(begin), Moment(progress=step / total, step=step))
        found = decay * found + (1 - decay) * step
        if step / total >= begin:
            weights.append(step)
        wanted = sum(weights) / len(weights) if weights else step
        assert found == pytest.approx(wanted, rel=1e-9, abs=1e-9)


# --- views


def test_an_inverse_view_is_a_view_that_is_searched_in_a_smaller_ball():
    near = inverse(S, y, 0.5)
    assert isinstance(near, Inverse) and isinstance(near, Adversarial)
    assert (str(near), near.reach, near.label, near.of) == ("x+", 0.5, y, S)
    assert canonical(near)["is"] == "Inverse" and near != inverse(S, y)


@pytest.mark.parametrize("reach", [0.0, -1.0, 1.1, math.nan, "half", Schedule(lambda m: 0.5, "half")])
def test_a_reach_is_a_plain_share_above_0(reach):
    with pytest.raises(CktatError, match=r"the reach of x\+ must be a"):
        inverse(S, y, reach)


def test_an_inverse_view_of_a_frozen_network_is_refused():
    with pytest.raises(CktatError, match=r"x\+ must attack a network that trains"):
        inverse(T, y)


# --- class means


def test_class_means_stand_for_outputs_of_the_loss_and_look_at_no_image():
    M = ClassMean("M", of=S(clean, 2.0))
    design = Design("mine", (Term(S(clean), mix(M(clean), y, 0.3)),))
    assert design.class_means == (M,) and not M.trains
    assert read_by_schedules(design) == {"epoch"}
    with pytest.raises(CktatError, match=r"M averages S\^tau\(x'\), which is no output of the loss"):
        Design("mine", (Term(S(clean), ClassMean("M", of=S(adversarial(S, y), 2.0))(clean)),))
    adv = adversarial(S, y)
    with pytest.raises(CktatError, match=r"M looks at no image; write M\(clean\)"):
        Design("mine", (Term(S(adv), M(adv)), Term(S(clean), y)))
