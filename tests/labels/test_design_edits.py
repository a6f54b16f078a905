"""Settling calibrated values, taking terms away, and the walk and rebuild beneath both."""

import math

import pytest
import torch

from cktat.errors import CktatError
from cktat.labels import (
    Average,
    Calibrated,
    Design,
    Frozen,
    Learner,
    Moment,
    Outputs,
    Schedule,
    Term,
    TrueLabel,
    adversarial,
    clean,
    extrapolated,
    gaussian,
    held,
    mix,
    sure,
    top,
    uniform,
    value,
    y,
)
from cktat.labels.walk import rebuild, walk

S, R, T = Learner("S"), Learner("R"), Frozen("T")
adv = adversarial(S, y)


def distilled(tau, share, name="d") -> Design:
    return Design(name, (Term(S(adv), y, 1 - share), Term(S(adv, tau), T(adv, tau), share * tau**2, name="guide")))


OPEN = distilled(Calibrated("tau"), Calibrated("share"))


def outputs(design: Design) -> Outputs:
    generator = torch.Generator().manual_seed(0)
    logits = {cell: torch.randn(4, 3, generator=generator) for cell in design.cells}
    return Outputs(logits, torch.tensor([0, 1, 2, 0]), 3)


# --- settle


@pytest.mark.parametrize(("tau", "share"), [(2.0, 0.25), (0.2, 1.0), (16.0, 0.0)])
def test_a_settled_design_is_the_one_built_with_numbers(tau, share):
    settled, built = OPEN.settle(tau=tau, share=share), distilled(tau, share)
    assert settled == built
    assert settled.cells == built.cells
    torch.testing.assert_close(settled.loss(outputs(settled)), built.loss(outputs(built)), rtol=0, atol=0)
    assert all(isinstance(term.weight, float) for term in settled.terms)


def test_settling_a_weight_to_0_makes_its_term_vanish():
    assert [str(t) for t in OPEN.settle(tau=1.0, share=0.0).live] == ["S(x'):y"]
    assert [str(t) for t in OPEN.settle(tau=1.0, share=1.0).live] == ["guide"]


def test_settling_leaves_the_open_design_as_it_was():
    OPEN.settle(tau=2.0, share=0.5)
    assert sorted(OPEN.open) == ["share", "tau"]


def test_a_design_can_be_settled_one_value_at_a_time():
    half = OPEN.settle(tau=2.0)
    assert half.open == ("share",)
    assert half.settle(share=0.25) == distilled(2.0, 0.25)


def test_a_value_is_settled_wherever_it_stands():
    tau = Calibrated("tau")
    design = Design(
        "d",
        (
            Term(S(adversarial(S, T(clean, tau))), mix(held(T(clean, tau)), y, tau * 0.1)),
            Term(S(clean), y, per_sample=sure(T(clean, tau))),
        ),
    )
    settled = design.settle(tau=4.0)
    assert settled.open == ()
    first, second = settled.terms
    assert first.output.view.label.tau == 4.0
    assert first.label.soft.label.tau == 4.0
    assert first.label.share == pytest.approx(0.4)
    assert second.per_sample.output.tau == 4.0


def test_a_value_that_only_a_network_holds_is_open_too():
    design = Design("d", (Term(Learner("S", start="standard", start_tau=Calibrated("tau"))(clean), y),))
    assert design.open == ("tau",)
    assert design.settle(tau=3.0).learners[0].start_tau == 3.0


def test_a_value_that_only_the_deployed_average_holds_is_open_too():
    average = Average("S", of=R, decay=Calibrated("decay"))
    design = Design("d", (Term(R(clean), y),), deploy=average)
    assert design.open == ("decay",)
    assert design.settle(decay=0.9).deployed.decay == 0.9


def test_the_loss_of_an_unsettled_design_is_an_error_that_says_how_to_settle_it():
    with pytest.raises(CktatError, match=r"design 'd' is not settled; give design\.settle") as error:
        OPEN.loss(outputs(OPEN))
    assert "tau=..." in str(error.value)
    assert "share=..." in str(error.value)
    with pytest.raises(CktatError, match=r"design\.settle\(share=\.\.\.\)"):
        OPEN.settle(tau=1.0).losses(outputs(OPEN))


def test_settling_a_name_that_is_not_open_names_those_that_are():
    with pytest.raises(CktatError, match="unknown open value of design 'd' 'tua'; did you mean 'tau'") as error:
        OPEN.settle(tua=2.0)
    assert "share" in str(error.value)
    with pytest.raises(CktatError, match="known: share"):
        OPEN.settle(tau=2.0).settle(tau=3.0)
    with pytest.raises(CktatError, match=r"known: \(none\)"):
        distilled(2.0, 0.5).settle(tau=1.0)


@pytest.mark.parametrize("tau", [0.0, -1.0, math.nan, math.inf])
def test_a_settled_value_is_checked_like_a_number_given_at_once(tau):
    with pytest.raises(CktatError, match=r"the temperature of S|the weight of guide|tau of design"):
        OPEN.settle(tau=tau)


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_settled_share_must_leave_no_negative_weight(share):
    with pytest.raises(CktatError, match=r"the weight of .* must be a finite number of 0 or more"):
        OPEN.settle(tau=1.0, share=share)


# --- without


def trades(beta: float = 6.0) -> Design:
    view = adversarial(S, S(clean), start=gaussian(0.001))
    return Design("TRADES", (Term(S(clean), y, name="hard"), Term(S(view), S(clean), beta, name="smooth")))


def names(design: Design) -> list[str]:
    return [str(term) for term in design.terms]


def test_without_takes_the_named_term_away():
    left = trades().without("smooth")
    assert left.terms == (Term(S(clean), y, name="hard"),)
    assert [str(c) for c in left.cells] == ["S(x)"]


def test_a_term_without_a_name_is_called_by_its_output_and_label():
    design = Design("d", (Term(S(clean), y), Term(S(adv), T(clean))))
    assert names(design.without("S(x):y")) == ["S(x'):T(x)"]


def test_where_only_consistency_would_be_left_cross_entropy_on_x_comes_in():
    view = adversarial(S, y)
    smooth = Term(S(view), S(clean), 6.0, name="smooth")
    design = Design("d", (Term(S(view), T(clean, 5.0), name="guide"), smooth), also=(S(clean),))
    left = design.without("guide")
    assert left.terms == (Term(S(clean), y, name="hard"), smooth)
    assert left.also == design.also


@pytest.mark.parametrize(
    "label", [S(clean), held(S(clean)), uniform, top(S(clean)), mix(S(clean), uniform, 0.5)], ids=str
)
def test_labels_that_a_constant_answers_do_not_count_as_a_task(label):
    design = Design(
        "d", (Term(S(adv), y, name="task"), Term(S(adv), label, name="rest"), Term(S(clean), uniform, name="u"))
    )
    assert names(design.without("task")) == ["hard", "rest", "u"]


@pytest.mark.parametrize("label", [y, T(clean), mix(T(clean), S(clean), 0.5), top(T(adv)), held(T(clean))], ids=str)
def test_labels_that_speak_of_the_class_or_a_teacher_are_a_task(label):
    design = Design("d", (Term(S(adv), y, name="task"), Term(S(adv), label, name="rest")))
    assert names(design.without("task")) == ["rest"]


def test_a_task_of_weight_0_is_no_task():
    design = Design(
        "d", (Term(S(adv), y, name="task"), Term(S(adv), y, 0.0, name="off"), Term(S(adv), S(clean), name="s"))
    )
    assert names(design.without("task")) == ["hard", "off", "s"]


def test_a_replacement_that_is_given_comes_first():
    instead = Term(S(adv), y, name="other")
    left = Design("d", (Term(S(adv), T(clean), name="guide"), Term(S(adv), S(clean), name="s"))).without(
        "guide", instead=instead
    )
    assert left.terms[0] == instead
    assert names(left) == ["other", "s"]


def test_a_replacement_that_is_given_is_taken_even_where_a_task_is_left():
    instead = Term(S(clean), uniform, name="flat")
    assert names(trades().without("smooth", instead=instead)) == ["flat", "hard"]


def test_several_terms_can_go_at_once():
    assert names(trades().without("hard", "smooth")) == ["hard"]
    assert trades().without("hard", "smooth").terms == (Term(S(clean), y, name="hard"),)


def test_taking_away_a_term_that_is_not_there_names_those_that_are():
    with pytest.raises(CktatError, match="unknown term of design 'TRADES' 'smoth'; did you mean 'smooth'") as error:
        trades().without("smoth")
    assert "known: hard, smooth" in str(error.value)


def test_the_literal_ablation_can_still_be_had_by_replace():
    smooth = trades().terms[1]
    assert names(trades().replace(terms=(smooth,))) == ["smooth"]


def test_replace_checks_the_design_again():
    with pytest.raises(CktatError, match="has no term left"):
        trades().replace(terms=())


# --- averaged


def test_averaged_deploys_a_mean_of_what_was_deployed_and_changes_nothing_else():
    plain = trades()
    design = plain.averaged(0.995)
    (mean,) = design.averages
    assert design.deployed == mean
    assert mean.followed == (plain.deployed,)
    assert (design.terms, design.cells, design.learners) == (plain.terms, plain.cells, plain.learners)


@pytest.mark.parametrize(("step", "decay"), [(0, 0.1), (8, 0.5), (10**6, 0.995)])
def test_the_decay_of_a_mean_grows_with_the_steps(step, decay):
    (mean,) = trades().averaged(0.995).averages
    assert value(mean.decay, Moment(step=step)) == pytest.approx(decay)


# --- walk and rebuild


def test_walk_gives_a_node_and_everything_inside_it_in_the_order_of_the_fields():
    term = Term(S(clean), mix(T(clean, 2.0), y, 0.5), 3.0)
    found = list(walk(term))
    assert found[0] is term
    ordered = [part for part in found if part in (S, T, y)]
    assert ordered == [S, T, y]
    assert 0.5 in found
    assert 3.0 in found


def test_walk_goes_into_tuples():
    assert [p for p in walk((S(clean), (T(clean),))) if p in (S, T)] == [S, T]


def test_walk_gives_but_does_not_enter_what_is_refused():
    far = extrapolated(adv, 2.0)
    found = list(walk(S(far), into=lambda part: part != far))
    assert far in found
    assert adv not in found
    assert adv in list(walk(S(far)))


def test_rebuild_replaces_parts_however_deep():
    design = Design("d", (Term(S(adv), mix(T(adv), y, 0.5)), Term(S(clean), y)))
    changed = rebuild(design, lambda part: uniform if part == T(adv) else part)
    assert changed.terms[0].label == mix(uniform, y, 0.5)
    assert changed.terms[1] == design.terms[1]
    assert design.terms[0].label == mix(T(adv), y, 0.5)


def test_rebuild_reaches_views():
    design = Design("d", (Term(S(extrapolated(adv, 2.0)), y),))
    changed = rebuild(design, lambda part: 3.0 if part == 2.0 else part)
    assert changed.terms[0].output.view.reach == 3.0
    changed = rebuild(design, lambda part: uniform if isinstance(part, TrueLabel) else part)
    assert changed.terms[0].output.view.beyond.label == uniform


def test_rebuild_without_a_change_gives_the_same_object():
    design = Design("d", (Term(S(adv), y), Term(S(clean), T(clean), Schedule(lambda m: 1.0))))
    assert rebuild(design, lambda part: part) is design


def test_rebuild_does_not_enter_what_is_refused():
    of = Design("teacher", (Term(S(clean), y, 2.0),))
    design = Design("d", (Term(S(clean), Frozen("T", of=of)(clean), 2.0),))

    def tripled(part):
        return 6.0 if part == 2.0 else part

    outside = rebuild(design, tripled, into=lambda part: part is design or not isinstance(part, Design))
    assert outside.terms[0].weight == 6.0
    assert outside.frozen[0].of == of
    assert rebuild(design, tripled).frozen[0].of.terms[0].weight == 6.0


def test_rebuild_runs_the_checks_of_what_it_changes():
    design = Design("d", (Term(S(clean), T(clean, 2.0)),))
    with pytest.raises(CktatError, match="the temperature of T"):
        rebuild(design, lambda part: -2.0 if part == 2.0 else part)
