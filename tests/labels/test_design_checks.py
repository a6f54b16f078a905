"""What a design says of itself, and every declaration that is refused."""

import pytest
import torch
import torch.nn.functional as F

from cktat.errors import CktatError
from cktat.labels import (
    Average,
    Calibrated,
    Design,
    Frozen,
    Learner,
    Outputs,
    Schedule,
    Term,
    adversarial,
    clean,
    extrapolated,
    here,
    mix,
    sure,
    top,
    uniform,
    y,
)

S, R, N = Learner("S"), Learner("R"), Learner("N")
T, H, C = Frozen("T"), Frozen("H", of="trades"), Frozen("C", of="mart")
adv = adversarial(S, y)


def cells(design: Design) -> list[str]:
    return [str(cell) for cell in design.cells]


# --- what is derived


def test_cells_come_term_by_term_output_label_confidence_and_then_also():
    design = Design(
        "d",
        (
            Term(S(adv), T(clean), per_sample=sure(H(adv))),
            Term(S(clean), mix(C(clean), S(adv), 0.5)),
            Term(R(clean), y),
        ),
        also=(R(adv),),
    )
    assert cells(design) == ["S(x')", "T(x)", "H(x')", "S(x)", "C(x)", "R(x)", "R(x')"]


def test_one_cell_is_one_pass_however_often_and_however_tempered_it_is_used():
    design = Design("d", (Term(S(adv, 2.0), T(clean, 2.0), name="a"), Term(S(adv), T(clean), name="b")))
    assert cells(design) == ["S(x')", "T(x)"]


def test_labels_inside_an_inner_maximisation_are_no_pass():
    view = adversarial(S, T(clean))
    design = Design("d", (Term(S(view), y),))
    assert cells(design) == ["S(x')"]
    assert [str(n) for n in design.networks] == ["S", "T"]
    assert design.frozen == (T,)


def test_a_term_of_weight_0_leaves_no_pass_and_no_network():
    design = Design("d", (Term(S(clean), y), Term(S(adv), T(clean), 0.0), Term(R(clean), y, 0)))
    assert cells(design) == ["S(x)"]
    assert design.networks == (S,)
    assert len(design.live) == 1
    assert len(design.terms) == 3


def test_an_order_is_followed():
    terms = (Term(S(adv), S(clean)), Term(S(clean), y))
    assert cells(Design("d", terms)) == ["S(x')", "S(x)"]
    assert cells(Design("d", terms, order=(S(clean), S(adv)))) == ["S(x)", "S(x')"]


def test_views_come_after_those_they_are_made_from():
    far = extrapolated(adv, 2.0)
    design = Design("d", (Term(S(far), y), Term(S(clean), y)))
    assert [str(v) for v in design.views] == ["x'", "x''", "x"]


def test_learners_inside_averages_and_starts_are_networks_of_the_design():
    second = Learner("N", start=R)
    average = Average("S", of=mix(R, second, 0.5), copied_back_to=(R, second))
    design = Design("d", (Term(R(clean), y), Term(second(clean), y)), deploy=average)
    assert {n.letter for n in design.learners} == {"R", "N"}
    assert design.averages == (average,)
    assert design.deployed == average


def test_averages_come_after_those_they_follow():
    inner = Average("A", of=R)
    outer = Average("S", of=mix(inner, Average("B", of=inner), 0.5))
    design = Design("d", (Term(R(clean), y),), deploy=outer)
    assert [a.letter for a in design.averages] == ["A", "B", "S"]


def test_the_networks_of_a_teachers_own_design_are_not_this_designs():
    of = Design("teacher", (Term(R(clean), y),), deploy=R)
    design = Design("d", (Term(S(clean), Frozen("T", of=of)(clean)),))
    assert [str(n) for n in design.networks] == ["S", "T"]


def test_a_teacher_with_an_open_value_does_not_open_the_design():
    of = Design("teacher", (Term(S(clean), T(clean, Calibrated("tau"))),))
    design = Design("d", (Term(S(clean), Frozen("T", of=of)(clean)),))
    assert design.open == ()


def test_s_is_deployed_unless_another_is():
    terms = (Term(S(clean), y), Term(R(clean), y))
    assert Design("d", terms).deployed == S
    assert Design("d", terms, deploy=R).deployed == R


def test_a_design_is_adversarial_if_it_looks_at_an_adversarial_view():
    assert Design("d", (Term(S(adv), y),)).adversarial
    assert not Design("d", (Term(S(clean), y),)).adversarial


def test_the_loss_is_the_sum_of_the_losses_by_name():
    design = Design("d", (Term(S(clean), y), Term(S(adv), uniform, 2.0, name="smooth"), Term(S(clean), uniform, 0.0)))
    logits = {cell: torch.randn(4, 3) for cell in design.cells}
    outputs = Outputs(logits, torch.tensor([0, 1, 2, 0]), 3)
    losses = design.losses(outputs)
    assert list(losses) == ["S(x):y", "smooth"]
    first, second = logits.values()
    flat = torch.full((4, 3), 1 / 3)
    wanted = F.cross_entropy(first, outputs.y) + 2.0 * F.kl_div(second.log_softmax(1), flat, reduction="batchmean")
    torch.testing.assert_close(design.loss(outputs), wanted)
    torch.testing.assert_close(sum(losses.values()), wanted)


def test_no_term_is_lost_where_two_would_have_one_name():
    """Either the design is refused or both terms count: the loss must not be short of one."""
    outputs = Outputs({(S, clean): torch.zeros(2, 4)}, torch.tensor([0, 1]), 4)
    try:
        design = Design("d", (Term(S(clean), y), Term(S(clean), y, 2.0)))
    except CktatError as error:
        assert "S(x):y" in str(error)
    else:
        wanted = 3.0 * torch.log(torch.tensor(4.0))
        torch.testing.assert_close(design.loss(outputs), wanted)


# --- what is refused


def refused(said: str, **fields) -> None:
    with pytest.raises(CktatError) as error:
        Design(**{"name": "mine", **fields})
    assert str(error.value) == said


def test_a_design_needs_a_term_that_does_not_vanish():
    for terms in ((), (Term(S(clean), y, 0.0),)):
        refused("design 'mine' has no term left: every weight is 0", terms=terms)


@pytest.mark.parametrize(
    "terms",
    [
        (Term(S(clean), y), Term(Learner("S", weight_decay=1e-3)(clean), y)),
        (Term(S(clean), Frozen("S")(clean)),),
        (Term(S(clean), T(clean)), Term(S(adv), Frozen("T", of="trades")(clean))),
        (Term(S(clean), y), Term(Learner("x")(clean), y)),
    ],
    ids=["two learners", "a learner and a teacher", "two teachers", "a network and a view"],
)
def test_two_things_of_one_name_are_refused(terms):
    with pytest.raises(CktatError, match=r"design 'mine' calls two different things '[STx]'"):
        Design("mine", terms)


def test_two_adversarial_views_need_a_sign_each():
    other = adversarial(S, S(clean))
    with pytest.raises(CktatError, match="design 'mine' calls two different things \"x'\""):
        Design("mine", (Term(S(adv), y), Term(S(other), S(clean))))
    signed = adversarial(S, S(clean), sign="x*")
    assert [str(v) for v in Design("mine", (Term(S(adv), y), Term(S(signed), y))).views] == ["x'", "x*"]


def test_a_learner_must_have_a_loss():
    refused("design 'mine': learner R has no loss", terms=(Term(S(clean), R(clean)), Term(S(adv), y)))


def test_a_learner_that_is_only_averaged_must_have_a_loss():
    refused("design 'mine': learner N has no loss", terms=(Term(R(clean), y),), deploy=Average("S", of=mix(R, N, 0.5)))


def test_a_design_without_s_must_say_what_is_deployed():
    refused("design 'mine' has no network S; say which one is kept with deploy=", terms=(Term(R(clean), y),))
    assert Design("mine", (Term(R(clean), y),), deploy=R).deployed == R


def test_a_frozen_network_is_not_deployed():
    refused("design 'mine' would deploy T, which does not train", terms=(Term(S(clean), T(clean)),), deploy=T)
    refused("design 'mine' would deploy S, which does not train", terms=(Term(R(clean), Frozen("S")(clean)),))


@pytest.mark.parametrize(
    "label", [S(adv), T(adv), T(extrapolated(adv, 2.0)), mix(T(clean), S(adv), 0.5), top(T(adv))], ids=str
)
def test_the_label_inside_a_view_looks_at_x_or_here_only(label):
    view = adversarial(S, label, sign="x*")
    refused("design 'mine': the label inside x* may look at x or `here` only", terms=(Term(S(view), y),))


@pytest.mark.parametrize("label", [y, uniform, S(clean), T(clean, 3.0), T(here), mix(T(here), y, 0.5)], ids=str)
def test_the_label_inside_a_view_may_look_at_x_and_here(label):
    assert cells(Design("mine", (Term(S(adversarial(S, label)), y),))) == ["S(x')"]


def test_here_means_something_inside_a_view_only():
    said = "design 'mine': `here` has a meaning inside an adversarial view's label only"
    refused(said, terms=(Term(S(here), y),))
    refused(said, terms=(Term(S(adv), T(here)),))
    refused(said, terms=(Term(S(adv), y, per_sample=sure(T(here))),))


@pytest.mark.parametrize("order", [(S(adv),), (S(clean), S(adv), T(clean)), (T(clean), S(adv))], ids=len)
def test_an_order_must_name_exactly_the_cells(order):
    refused(
        "design 'mine': order must name exactly its cells S(x'), S(x)",
        terms=(Term(S(adv), S(clean)), Term(S(clean), y)),
        order=order,
    )


def test_an_order_must_not_name_a_cell_twice():
    refused(
        "design 'mine': order must name exactly its cells S(x'), S(x)",
        terms=(Term(S(adv), S(clean)), Term(S(clean), y)),
        order=(S(clean), S(adv), S(clean)),
    )


def test_a_loss_without_all_its_logits_names_the_cell():
    design = Design("mine", (Term(S(adv), S(clean)), Term(S(clean), y)))
    with pytest.raises(CktatError, match=r"the loss needs the logits of S\(x'\), which were not computed"):
        design.loss(Outputs({(S, clean): torch.zeros(2, 3)}, torch.tensor([0, 1]), 3))


def test_a_schedule_of_0_is_no_weight_of_0():
    """Its passes stay, because it may be above 0 at another moment."""
    design = Design("d", (Term(S(clean), y), Term(S(adv), y, Schedule(lambda m: 0.0))))
    assert cells(design) == ["S(x)", "S(x')"]


def test_designs_are_equal_whatever_their_origin():
    design = Design("d", (Term(S(clean), y),))
    named = design.replace(origin=("d", (("beta", 1.0),)))
    assert named == design
    assert hash(named) == hash(design)
    assert named.origin == ("d", (("beta", 1.0),))
