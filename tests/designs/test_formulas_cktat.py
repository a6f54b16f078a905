"""CKTAT against its Eq. 17, and each point that the paper leaves open against its own formula."""

import pytest
import torch
import torch.nn.functional as F

from cktat.designs import DESIGNS


def kl(p, log_q, per_class=False):
    return F.kl_div(log_q, p, reduction="none").mean() if per_class else F.kl_div(log_q, p, reduction="batchmean")


def smooth(z, held=False, reverse=False, per_class=False):
    label, output = (z["S(x')"], z["S(x)"]) if reverse else (z["S(x)"], z["S(x')"])
    target = F.softmax(label, dim=1)
    return kl(target.detach() if held else target, F.log_softmax(output, dim=1), per_class)


def eq17(z, tau=5.0, beta=6.0, student_tau=1.0, factor=1.0, held=False, reverse=False, per_class=False):
    teacher = F.softmax(z["T(x)"] / tau, dim=1).detach()
    guide = factor * kl(teacher, F.log_softmax(z["S(x')"] / student_tau, dim=1), per_class)
    return guide + beta * smooth(z, held, reverse, per_class)


@pytest.mark.parametrize("tau", [1.0, 5.0])
@pytest.mark.parametrize("beta", [6.0, 0.0])
def test_eq17(agrees, tau, beta):
    agrees(DESIGNS["cktat"](tau=tau, beta=beta), lambda z, y: eq17(z, tau, beta))


OPTIONS = [
    ({"temper_student": True}, {"student_tau": 5.0}),
    ({"tau_squared": True}, {"factor": 25.0}),
    ({"reverse_smooth": True}, {"reverse": True}),
    ({"hold_target": True}, {"held": True}),
    ({"per_class": True}, {"per_class": True}),
    ({"reverse_smooth": True, "hold_target": True}, {"reverse": True, "held": True}),
    ({"temper_student": True, "tau_squared": True, "per_class": True},
     {"student_tau": 5.0, "factor": 25.0, "per_class": True}),
]  # fmt: skip


@pytest.mark.parametrize("beta", [6.0, 0.0])
@pytest.mark.parametrize(("hyper", "written"), OPTIONS, ids=lambda option: "-".join(option))
def test_each_open_point(agrees, hyper, written, beta):
    agrees(DESIGNS["cktat"](beta=beta, **hyper), lambda z, y: eq17(z, beta=beta, **written))


@pytest.mark.parametrize("inner", ["label", "self", "guide"])
def test_the_inner_maximisation_does_not_change_the_loss(agrees, inner):
    agrees(DESIGNS["cktat"](inner=inner), lambda z, y: eq17(z))


@pytest.mark.parametrize("beta", [6.0, 0.0])
def test_guide_hard_puts_cross_entropy_on_x_in_the_first_terms_place(agrees, beta):
    def formula(z, y):
        loss = F.cross_entropy(z["S(x)"], y)
        return loss + beta * smooth(z) if beta else loss

    agrees(DESIGNS["cktat"](guide="hard", beta=beta), formula)


@pytest.mark.parametrize("beta", [6.0, 0.0])
def test_guide_hard_at_x_prime_puts_cross_entropy_on_x_prime_in_the_first_terms_place(agrees, beta):
    agrees(
        DESIGNS["cktat"](guide="hard at x'", beta=beta), lambda z, y: F.cross_entropy(z["S(x')"], y) + beta * smooth(z)
    )


def test_guide_none_leaves_the_consistency_alone(agrees):
    agrees(DESIGNS["cktat"](guide="none"), lambda z, y: 6.0 * smooth(z))


def test_the_hard_guide_is_averaged_over_samples_even_where_the_kl_is_averaged_over_classes(agrees):
    agrees(
        DESIGNS["cktat"](guide="hard", per_class=True),
        lambda z, y: F.cross_entropy(z["S(x)"], y) + 6.0 * smooth(z, per_class=True),
    )


def test_without_guide_is_the_readable_version_of_table_3a(agrees):
    # "no KL(T^tau, S(x'))" cannot be literal, a constant would answer it: CE(S(x), y) takes the place
    agrees(DESIGNS["cktat"]().without("guide"), lambda z, y: F.cross_entropy(z["S(x)"], y) + 6.0 * smooth(z))


def test_without_smooth_is_beta_0(agrees):
    agrees(DESIGNS["cktat"]().without("smooth"), lambda z, y: eq17(z, beta=0.0))


def test_holding_the_target_leaves_s_on_x_without_any_gradient(random_outputs):
    live, still = DESIGNS["cktat"](), DESIGNS["cktat"](hold_target=True)
    for design, moves in ((live, True), (still, False)):
        outputs = random_outputs(design)
        cell = next(c for c in design.cells if str(c) == "S(x)")
        (gradient,) = torch.autograd.grad(design.loss(outputs), [outputs.logits[cell]], allow_unused=True)
        assert (gradient is not None and bool(gradient.abs().max() > 1e-3)) is moves


def test_the_calibrated_temperature_settles_to_the_same_loss(agrees):
    hyper = {"temper_student": True, "tau_squared": True}
    design = DESIGNS["cktat"](tau="auto", **hyper)
    assert design.open == ("tau",)
    agrees(design.settle(tau=3.0), lambda z, y: eq17(z, tau=3.0, student_tau=3.0, factor=9.0))
