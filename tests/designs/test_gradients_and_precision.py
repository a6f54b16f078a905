"""The traps of the releases: targets that underflow, half precision, and which parts of a loss carry gradient."""

import math

import pytest
import torch
import torch.nn.functional as F

from cktat.designs import DESIGNS
from cktat.labels import Design, Frozen, Learner, Outputs, Term, adversarial, clean, top, y


def gradients(design: Design, outputs: Outputs) -> dict:
    """Gradient of every cell by "S(x')", zeros where none arrives."""
    found = torch.autograd.grad(design.loss(outputs), list(outputs.logits.values()), allow_unused=True)
    return {
        str(cell): torch.zeros_like(logits) if gradient is None else gradient
        for (cell, logits), gradient in zip(outputs.logits.items(), found, strict=True)
    }


def named(outputs: Outputs) -> dict:
    return {str(cell): logits for cell, logits in outputs.logits.items()}


# --- underflow


def one_hot_outputs(design: Design, gap: float, dtype: torch.dtype, progress: float = 1.0) -> Outputs:
    """Every cell is sure by `gap`, each of another class in most samples: all softmax targets underflow to 0."""
    labels = torch.tensor([0, 1, 2, 3, 0])
    logits = {}
    for shift, cell in enumerate(design.cells):
        classes = (labels + shift * torch.tensor([0, 1, 2, 3, 1])) % 4
        logits[cell] = (gap * F.one_hot(classes, 4)).to(dtype).requires_grad_()
    return Outputs(logits, labels, 4, progress)


@pytest.mark.parametrize("gap", [200.0, 2000.0])
def test_targets_that_underflow_to_0_give_finite_losses_and_gradients(design, gap):
    outputs = one_hot_outputs(design, gap, torch.float32)
    assert (F.softmax(next(iter(outputs.logits.values())), dim=1) == 0).any(), "the case must underflow"
    assert design.loss(outputs).isfinite()
    for cell, gradient in gradients(design, outputs).items():
        assert gradient.isfinite().all(), cell


def test_writing_the_kl_with_probabilities_as_target_would_give_nan_there():
    """Why the KL is written from two log-softmaxes: otherwise the test above could not fail."""
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    F.kl_div(torch.log_softmax(torch.zeros(1, 2), dim=1), logits.softmax(dim=1), reduction="sum").backward()
    assert logits.grad.isnan().any()


# --- precision


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_raised_to_fp32(design, random_outputs, dtype):
    """The loss is that of fp32 on the same rounded logits, bit by bit; the gradient is of the logits' type."""
    half = random_outputs(design, dtype=dtype, progress=1.0)
    full = Outputs(
        {cell: logits.detach().float().requires_grad_() for cell, logits in half.logits.items()},
        half.y, half.classes, half.progress,
    )  # fmt: skip
    loss = design.loss(half)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, design.loss(full))
    exact = gradients(design, full)
    for cell, gradient in gradients(design, half).items():
        assert gradient.dtype == dtype
        assert torch.equal(gradient, exact[cell].to(dtype)), cell


def test_float64_stays_float64(design, random_outputs):
    outputs = random_outputs(design, dtype=torch.float64)
    assert design.loss(outputs).dtype == torch.float64
    single = Outputs({cell: z.detach().float() for cell, z in outputs.logits.items()}, outputs.y, outputs.classes)
    difference = (design.loss(outputs) - design.loss(single).double()).abs()
    assert 0 < difference < 1e-3, "float64 was computed in float32"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_marts_constants_survive_a_probability_of_1(dtype):
    """1.0001 and 1.0000001 round to 1 in half precision; with p'_k = 1 the log would be -inf."""
    design = DESIGNS["mart"](beta=5.0)
    sure = torch.tensor([[0.0, 200.0, 0.0]])  # wrong: the class is 0
    leaves = {cell: sure.to(dtype).requires_grad_() for cell in design.cells}
    loss = design.loss(Outputs(leaves, torch.tensor([0]), 3))
    # S(x) = S(x'): no KL. 200 of cross-entropy, and -log(1.0001 - 1) = 9.2103 as fp32 rounds 1.0001
    assert loss.item() == pytest.approx(200.0 - math.log(1.0001 - 1.0), abs=2e-3)
    for gradient in torch.autograd.grad(loss, list(leaves.values())):
        assert gradient.isfinite().all()


def test_marts_ceiling_keeps_a_weight_on_a_sure_and_right_sample():
    """1.0000001 - 1 is above 0 in float64: a sample that S(x) is sure of still counts a little."""
    design = DESIGNS["mart"](beta=1e7)
    z = torch.tensor([[80.0, 0.0]], dtype=torch.float64)
    clean_cell, adversarial_cell = design.cells
    outputs = Outputs({clean_cell: z, adversarial_cell: torch.zeros_like(z)}, torch.tensor([0]), 2)
    smooth = design.losses(outputs)["smooth"]
    assert smooth.item() == pytest.approx(1e7 * 1e-7 * math.log(2), rel=1e-6)


# --- what is live


def consistency(target, output):
    return F.kl_div(F.log_softmax(output, dim=1), F.softmax(target, dim=1), reduction="batchmean")


def test_the_target_of_trades_is_live(random_outputs):
    design = DESIGNS["trades"](beta=6.0)
    outputs = random_outputs(design)
    z = named(outputs)
    cross_entropy = F.cross_entropy(z["S(x)"], outputs.y)
    (detached,) = torch.autograd.grad(
        cross_entropy + 6.0 * consistency(z["S(x)"].detach(), z["S(x')"]), [z["S(x)"]], retain_graph=True
    )
    (live,) = torch.autograd.grad(cross_entropy + 6.0 * consistency(z["S(x)"], z["S(x')"]), [z["S(x)"]])
    ours = gradients(design, outputs)["S(x)"]
    torch.testing.assert_close(ours, live)
    assert (ours - detached).abs().max() > 1e-2


def test_the_weight_of_mart_is_live(random_outputs):
    design = DESIGNS["mart"]()
    outputs = random_outputs(design)
    z = named(outputs)
    ours = gradients(design, outputs)["S(x)"]

    def smooth(clean_of_weight):
        doubt = 1.0000001 - F.softmax(clean_of_weight, dim=1).gather(1, outputs.y[:, None]).squeeze(1)
        floored = (F.softmax(z["S(x')"], dim=1) + 1e-12).log()
        kl = F.kl_div(floored, F.softmax(z["S(x)"], dim=1), reduction="none").sum(dim=1)
        return 5.0 * (doubt * kl).mean()

    (live,) = torch.autograd.grad(smooth(z["S(x)"]), [z["S(x)"]])
    (held,) = torch.autograd.grad(smooth(z["S(x)"].detach()), [z["S(x)"]])
    torch.testing.assert_close(ours, live)
    assert (ours - held).abs().max() > 1e-2


def test_the_self_term_of_iad_is_live_on_x(random_outputs):
    design = DESIGNS["iad"](alpha=1.0)  # at alpha 1 nothing but the self term reaches S(x)
    before, after = random_outputs(design, progress=0.0), random_outputs(design, progress=1.0)
    assert gradients(design, before)["S(x)"].abs().max() == 0
    assert gradients(design, after)["S(x)"].abs().max() > 1e-3


def test_a_teacher_that_trains_gets_the_gradient_of_lbgats_mse(random_outputs):
    design = DESIGNS["lbgat"]()
    outputs = random_outputs(design)
    z = named(outputs)
    ours = gradients(design, outputs)["T(x)"]
    (from_hard,) = torch.autograd.grad(F.cross_entropy(z["T(x)"], outputs.y), [z["T(x)"]])
    from_mse = 2.0 * (z["T(x)"] - z["S(x')"]).detach() / z["T(x)"].numel()
    torch.testing.assert_close(ours, from_hard + from_mse)
    assert from_mse.abs().max() > 1e-2


def test_top_carries_no_gradient(random_outputs):
    S = Learner("S")
    design = Design("self-training", (Term(S(adversarial(S, y)), top(S(clean))), Term(S(clean), y)))
    outputs = random_outputs(design)
    z = named(outputs)
    (hard,) = torch.autograd.grad(F.cross_entropy(z["S(x)"], outputs.y), [z["S(x)"]])
    ours = gradients(design, outputs)
    torch.testing.assert_close(ours["S(x)"], hard)
    assert ours["S(x')"].abs().max() > 1e-3


def test_no_design_sends_gradient_into_a_frozen_network(design, random_outputs):
    outputs = random_outputs(design, progress=1.0)
    found = torch.autograd.grad(design.loss(outputs), list(outputs.logits.values()), allow_unused=True)
    for cell, gradient in zip(outputs.logits, found, strict=True):
        assert not (isinstance(cell.network, Frozen) and gradient is not None), cell


def test_every_learner_gets_gradient_in_every_design(design, random_outputs):
    found = gradients(design, random_outputs(design, progress=1.0))
    for learner in design.learners:
        own = [g for cell, g in found.items() if cell.startswith(f"{learner}(")]
        assert any(gradient.abs().max() > 1e-4 for gradient in own), learner
