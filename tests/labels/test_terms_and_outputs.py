"""A term is weight * mean(per_sample * distance); outputs are logits by cell, raised to fp32 and cut where frozen."""

import math

import pytest
import torch
import torch.nn.functional as F

from cktat.errors import CktatError
from cktat.labels import (
    Average,
    Calibrated,
    Cell,
    Confidence,
    Frozen,
    Learner,
    Moment,
    Outputs,
    Schedule,
    Term,
    adversarial,
    boosted,
    clean,
    held,
    kl,
    kl_per_class,
    mix,
    mse,
    sure,
    top,
    uniform,
    unsure,
    y,
)


def p_of_y(at, cell):
    return at.logits[cell].softmax(dim=1)[range(len(at.y)), at.y]


def test_a_term_is_the_weighted_mean_of_its_distance(words, at):
    z = at.logits[words.S, words.adv]
    for weight in (1.0, 2.5, 3):
        torch.testing.assert_close(Term(words.S(words.adv), y, weight)(at), weight * F.cross_entropy(z, at.y))


def test_the_weight_may_follow_the_training(words, at):
    term = Term(words.S(words.clean), y, 1 - Schedule(lambda moment: 0.5 * moment.progress))
    torch.testing.assert_close(term(at), 0.75 * F.cross_entropy(at.logits[words.S, words.clean], at.y))


def test_the_temperature_of_the_output_counts(words, at):
    wanted = F.cross_entropy(at.logits[words.S, words.clean] / 3.0, at.y)
    torch.testing.assert_close(Term(words.S(words.clean, 3.0), y)(at), wanted)


@pytest.mark.parametrize("power", [0.1, 1.0, 2.0])
def test_confidence_weighs_each_sample_by_the_probability_of_its_class(words, at, power):
    p = p_of_y(at, (words.T, words.adv)).detach()
    per_sample = F.cross_entropy(at.logits[words.S, words.clean], at.y, reduction="none")
    for confidence, weight in [
        (sure(words.T(words.adv), power), p**power),
        (unsure(words.T(words.adv), power), 1 - p**power),
        (unsure(words.T(words.adv), power, ceiling=1.5), 1.5 - p**power),
    ]:
        torch.testing.assert_close(confidence(at), weight)
        term = Term(words.S(words.clean), y, 2.0, per_sample=confidence)
        torch.testing.assert_close(term(at), 2.0 * (weight * per_sample).mean())


def test_the_temperature_of_a_confidence_counts(words, at):
    tempered = (at.logits[words.T, words.clean] / 4.0).softmax(dim=1)[range(6), at.y].detach()
    torch.testing.assert_close(sure(words.T(words.clean, 4.0))(at), tempered)


def test_confidence_is_live_unless_its_network_is_frozen(words, at):
    assert sure(words.S(words.clean))(at).requires_grad
    assert not sure(words.T(words.clean))(at).requires_grad


def test_a_root_of_a_probability_that_underflows_has_a_finite_gradient():
    S = Learner("S")
    logits = torch.tensor([[0.0, 500.0]], requires_grad=True)
    weight = sure(S(clean), 0.1)(Outputs({(S, clean): logits}, torch.tensor([0]), 2))
    weight.sum().backward()
    assert weight.item() == pytest.approx(math.exp(-50.0))
    assert logits.grad.isfinite().all()


def test_the_gradient_of_a_confidence():
    S = Learner("S")
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    at = torch.tensor([0, 3, 1])
    assert torch.autograd.gradcheck(lambda z: unsure(S(clean), 0.3)(Outputs({(S, clean): z}, at, 4)), (logits,))


def test_a_held_label_holds_the_whole_label(words, at):
    live = Term(words.S(words.adv), words.S(words.clean))
    still = Term(words.S(words.adv), held(words.S(words.clean)))
    x = at.logits[words.S, words.clean]
    torch.testing.assert_close(live(at), still(at))
    assert torch.autograd.grad(live(at), x)[0].abs().max() > 1e-3
    assert torch.autograd.grad(still(at), x, allow_unused=True)[0] is None


def test_a_held_label_works_by_every_distance(words, at):
    z = at.logits[words.S, words.adv]
    by_logits = Term(words.S(words.adv), held(words.S(words.clean)), by=mse)
    torch.testing.assert_close(by_logits(at), F.mse_loss(z, at.logits[words.S, words.clean]))
    by_class = Term(words.S(words.adv), held(y), by=boosted)
    torch.testing.assert_close(by_class(at), Term(words.S(words.adv), y, by=boosted)(at))


# --- which terms vanish


@pytest.mark.parametrize(
    ("weight", "vanishes"),
    [(0, True), (0.0, True), (1e-30, False), (Calibrated("b"), False), (Schedule(lambda m: 0), False)],
)
def test_only_a_weight_that_is_the_number_0_makes_a_term_vanish(words, weight, vanishes):
    assert Term(words.S(words.clean), y, weight).vanishes is vanishes


# --- names


def test_a_term_is_called_by_its_name_or_by_its_output_and_label(words):
    assert str(Term(words.S(words.adv), y)) == "S(x'):y"
    assert str(Term(words.S(words.adv, 2.0), words.T(words.clean, 2.0))) == "S^tau(x'):T^tau(x)"
    assert str(Term(words.S(words.adv), y, name="guide")) == "guide"


# --- what is refused


@pytest.mark.parametrize("network", [Frozen("T"), Average("A", of=Learner("S"))])
def test_a_network_that_does_not_train_cannot_be_pulled(network):
    with pytest.raises(CktatError) as error:
        Term(network(clean), y)
    assert str(error.value) == f"the term {network}(x):y pulls {network}, which does not train"


@pytest.mark.parametrize(
    ("label", "by", "needs"),
    [
        (y, mse, "logits"),
        (uniform, mse, "logits"),
        (mix(y, uniform, 0.5), mse, "logits"),
        (Learner("S")(clean), boosted, "classes"),
        (uniform, boosted, "classes"),
        (held(uniform), mse, "logits"),
    ],
)
def test_a_label_must_offer_what_the_distance_needs(label, by, needs):
    with pytest.raises(CktatError) as error:
        Term(Learner("S")(clean), label, by=by)
    assert f"S(x):{label} by {by} needs a label with {needs}, which it has not" in str(error.value)


@pytest.mark.parametrize(
    ("label", "by"),
    [(y, kl), (y, boosted), (top(Frozen("T")(clean)), boosted), (uniform, kl_per_class), (Frozen("T")(clean), mse)],
)
def test_labels_go_with_the_distances_that_they_offer_for(label, by):
    assert Term(Learner("S")(clean), label, by=by).by is by


@pytest.mark.parametrize("weight", [-1.0, -1e-9, math.nan, math.inf, True, "6", None])
def test_a_weight_is_finite_and_not_negative(words, weight):
    with pytest.raises(CktatError, match=r"the weight of S\(x\):y must be a finite number of 0 or more, not"):
        Term(words.S(words.clean), y, weight)


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_a_weight_that_becomes_bad_on_the_way_is_an_error(words, at, weight):
    term = Term(words.S(words.clean), y, Schedule(lambda moment: weight), name="guide")
    with pytest.raises(CktatError, match="the weight of guide must be a finite number of 0 or more, not"):
        term(at)


@pytest.mark.parametrize("power", [0.0, -1.0, math.nan, math.inf, True])
@pytest.mark.parametrize("kind", [sure, unsure])
def test_the_power_of_a_confidence_is_positive(words, kind, power):
    with pytest.raises(CktatError, match=r"the power of a confidence in T\(x\) must be a finite number above 0, not"):
        kind(words.T(words.clean), power)


def test_sure_and_unsure_are_confidences(words):
    output = words.T(words.clean)
    assert sure(output) == Confidence(output, 1.0, 0.0, 1.0)
    assert unsure(output) == Confidence(output, 1.0, 1.0, -1.0)


# --- outputs


def test_logits_that_were_not_computed_are_named(words):
    at = Outputs({(words.S, words.clean): torch.zeros(1, 2)}, torch.tensor([0]), 2)
    with pytest.raises(CktatError) as error:
        at[Cell(words.S, words.adv)]
    assert str(error.value) == "the loss needs the logits of S(x'), which were not computed"


def test_a_view_of_the_same_sign_and_another_label_is_another_cell(words):
    other = adversarial(words.S, words.S(clean))
    at = Outputs({(words.S, other): torch.zeros(1, 2)}, torch.tensor([0]), 2)
    with pytest.raises(CktatError, match=r"S\(x'\)"):
        at[Cell(words.S, words.adv)]


@pytest.mark.parametrize(
    ("given", "loss"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_half_precision_is_raised_to_fp32_and_nothing_else_changes(words, given, loss):
    logits = torch.randn(3, 4).to(given)
    at = Outputs({(words.S, words.clean): logits}, torch.tensor([0, 1, 2]), 4)
    assert at.dtype == loss
    assert at[Cell(words.S, words.clean)].dtype == loss
    assert torch.equal(at[Cell(words.S, words.clean)], logits.to(loss))
    assert uniform.log_probs(at).dtype == y.log_probs(at).dtype == loss


def test_logits_of_networks_that_do_not_train_are_constants(words, at):
    assert at[Cell(words.S, words.clean)].requires_grad
    assert not at[Cell(words.T, words.clean)].requires_grad


def test_outputs_know_the_moment(at):
    assert at.moment == Moment(0.5, 5, 10, 50)
