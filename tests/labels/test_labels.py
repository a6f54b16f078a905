"""Every label against its closed form."""

import math

import pytest
import torch
import torch.nn.functional as F

from cktat.errors import CktatError
from cktat.labels import Calibrated, Learner, Outputs, Schedule, clean, held, mix, top, uniform, y

LOG_PROBS, LOGITS, CLASSES = "log-probabilities", "logits", "classes"


def one_hot(classes, K=5):
    return F.one_hot(classes, K).double()


def plain(label, at):
    """The label's probabilities; every one must be a distribution."""
    probabilities = label.log_probs(at).exp()
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(len(at.y), dtype=torch.float64))
    return probabilities


def test_y_is_the_one_hot_label(at):
    assert torch.equal(plain(y, at), one_hot(at.y))
    assert torch.equal(y.classes(at), at.y)
    assert (y.log_probs(at) == -math.inf).sum() == 6 * 4
    assert y.offers == {LOG_PROBS, CLASSES}


def test_uniform_gives_every_class_the_same(at):
    torch.testing.assert_close(plain(uniform, at), torch.full((6, 5), 0.2, dtype=torch.float64))
    assert uniform.offers == {LOG_PROBS}


@pytest.mark.parametrize("tau", [0.5, 1.0, 1, 5.0])
def test_an_output_is_the_tempered_softmax(words, at, tau):
    z = at.logits[words.T, words.clean].detach()
    label = words.T(words.clean, tau)
    weights = torch.exp(z / tau)
    torch.testing.assert_close(plain(label, at), weights / weights.sum(dim=1, keepdim=True))
    torch.testing.assert_close(label.logits(at), z / tau)
    assert label.offers == {LOG_PROBS, LOGITS}


def test_the_temperature_may_follow_the_training(words, at):
    label = words.T(words.clean, Schedule(lambda moment: 1 + 2 * moment.progress))
    torch.testing.assert_close(label.logits(at), at.logits[words.T, words.clean] / 2.0)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_that_becomes_bad_on_the_way_is_an_error(words, at, bad):
    label = words.T(words.clean, Schedule(lambda moment: bad))
    with pytest.raises(CktatError, match=r"the temperature of T\^tau\(x\) must be a finite number above 0"):
        label.log_probs(at)


def test_an_output_of_a_learner_is_live_and_that_of_a_frozen_network_is_not(words, at):
    assert words.S(words.clean).log_probs(at).requires_grad
    assert words.S(words.clean, 2.0).logits(at).requires_grad
    assert not words.T(words.clean).log_probs(at).requires_grad


def test_the_cell_of_an_output_has_no_temperature(words):
    assert words.T(words.clean, 5.0).cell == words.T(words.clean).cell == (words.T, words.clean)
    assert str(words.T(words.clean).cell) == "T(x)"


# --- top


def test_top_is_the_most_likely_class(words, at):
    label = top(words.T(words.adv))
    wanted = at.logits[words.T, words.adv].max(dim=1).indices
    assert torch.equal(label.classes(at), wanted)
    assert torch.equal(plain(label, at), one_hot(wanted))
    assert label.offers == {LOG_PROBS, CLASSES}


def test_top_other_than_y_is_the_most_likely_wrong_class():
    S = Learner("S")
    logits = {(S, clean): torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])}
    at = Outputs(logits, torch.tensor([0, 1, 2]), 3)
    assert top(S(clean), other_than=y).classes(at).tolist() == [1, 0, 1]
    assert top(S(clean)).classes(at).tolist() == [0, 0, 2]
    assert top(S(clean), other_than=top(S(clean))).classes(at).tolist() == [1, 1, 1]


def test_top_carries_no_gradient(words, at):
    assert not top(words.S(words.clean)).log_probs(at).requires_grad


# --- mixtures


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.999, 1.0, 0, 1])
def test_a_mixture_is_share_p_plus_the_rest_q(words, at, share):
    pairs = [
        (words.T(words.clean, 3.0), words.S(words.adv)),
        (words.T(words.clean), y),
        (y, uniform),
        (y, top(words.T(words.adv))),
        (top(words.T(words.clean)), uniform),
    ]
    for soft, hard in pairs:
        p, q = soft.log_probs(at).exp(), hard.log_probs(at).exp()
        mixed = mix(soft, hard, share)
        torch.testing.assert_close(plain(mixed, at), share * p + (1 - share) * q)
        assert torch.equal(mixed.log_probs(at) == -math.inf, share * p + (1 - share) * q == 0)
        assert mixed.offers == {LOG_PROBS}


def test_mixing_y_with_uniform_is_label_smoothing(at):
    logits = torch.randn(6, 5, dtype=torch.float64)
    label = mix(y, uniform, 0.9).log_probs(at)
    smoothed = -(label.exp() * F.log_softmax(logits, dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(smoothed, F.cross_entropy(logits, at.y, label_smoothing=0.1))


def test_a_share_may_follow_the_training(words, at):
    share = Schedule(lambda moment: moment.progress)
    soft, hard = words.T(words.clean), words.T(words.adv)
    torch.testing.assert_close(plain(mix(soft, hard, share), at), plain(mix(soft, hard, 0.5), at))


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_a_share_that_becomes_bad_on_the_way_is_an_error(words, at, bad):
    with pytest.raises(CktatError, match=r"the share of T\(x\).* must be a finite number from 0 to 1"):
        mix(words.T(words.clean), y, Schedule(lambda moment: bad)).log_probs(at)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("hard", ["y", "uniform", "output"])
def test_the_gradient_of_a_mixture(share, hard):
    S, R = Learner("S"), Learner("R")
    label = mix(S(clean, 2.0), {"y": y, "uniform": uniform, "output": R(clean)}[hard], share)
    classes = torch.tensor([0, 2, 1])

    def probabilities(s, r):
        return label.log_probs(Outputs({(S, clean): s, (R, clean): r}, classes, 4)).exp()

    leaves = [torch.randn(3, 4, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(probabilities, leaves)


def test_a_class_that_neither_part_of_a_mixture_allows_has_no_gradient_and_no_nan():
    S = Learner("S")
    logits = torch.tensor([[2.0, 1.0, 0.0]])
    at = Outputs({(S, clean): logits}, torch.tensor([1]), 3)
    mixed = mix(y, top(S(clean)), 0.25).log_probs(at)
    torch.testing.assert_close(mixed.exp(), torch.tensor([[0.75, 0.25, 0.0]]))
    masked = torch.tensor([[2.0, 1.0, -math.inf]], requires_grad=True)  # a live output that rules a class out
    label = mix(S(clean), y, 0.5).log_probs(Outputs({(S, clean): masked}, torch.tensor([1]), 3))
    assert label[0, 2] == -math.inf
    label.exp().square().sum().backward()
    assert masked.grad.isfinite().all()
    assert masked.grad.abs().max() > 0


# --- held


def test_held_is_the_same_label_without_gradient(words, at):
    live = words.S(words.clean)
    assert torch.equal(held(live).log_probs(at), live.log_probs(at))
    assert held(live).offers == live.offers
    for what in live.offers:
        assert not held(live).resolve(at, what).requires_grad
        assert torch.equal(held(live).resolve(at, what), live.resolve(at, what))
    assert torch.equal(held(y).resolve(at, CLASSES), at.y)


# --- what a label has not


@pytest.mark.parametrize(
    ("make", "asked"),
    [
        (lambda w: uniform, LOGITS),
        (lambda w: uniform, CLASSES),
        (lambda w: y, LOGITS),
        (lambda w: w.T(w.clean), CLASSES),
        (lambda w: mix(y, uniform, 0.5), LOGITS),
        (lambda w: top(w.T(w.clean)), LOGITS),
    ],
)
def test_asking_a_label_for_what_it_has_not_names_both(words, at, make, asked):
    label = make(words)
    assert asked not in label.offers
    with pytest.raises(CktatError) as error:
        label.resolve(at, asked)
    assert str(error.value) == f"the label {label} has no {asked}"


# --- how labels are written


def test_labels_are_written_as_in_table_2(words):
    T, S, x, adv = words.T, words.S, words.clean, words.adv
    assert str(y) == "y"
    assert str(uniform) == "uniform"
    assert [str(label) for label in (T(x), T(x, 1), T(x, 5.0), S(adv, Calibrated("tau")))] == [
        "T(x)", "T(x)", "T^tau(x)", "S^tau(x')",
    ]  # fmt: skip
    assert str(top(T(adv), other_than=y)) == "top(T(x'), other than y)"
    assert str(mix(T(x), y, 0.5)) == "interpolation between T(x) and y"
    assert str(held(S(x))) == "held S(x)"


# --- numbers that are refused


@pytest.mark.parametrize("tau", [0, 0.0, -1.0, math.nan, math.inf, -math.inf, True, "5", None])
def test_a_temperature_that_is_no_positive_number_is_refused(words, tau):
    with pytest.raises(CktatError) as error:
        words.T(words.clean, tau)
    said = repr(tau) if isinstance(tau, bool | str | None) else tau
    assert str(error.value) == f"the temperature of T(x) must be a finite number above 0, not {said}"


@pytest.mark.parametrize("share", [-0.01, 1.01, math.nan, math.inf, True, "half"])
def test_a_share_outside_0_to_1_is_refused(words, share):
    with pytest.raises(CktatError, match=r"the share of T\(x\) in a mixture must be a finite number from 0 to 1, not"):
        mix(words.T(words.clean), y, share)
