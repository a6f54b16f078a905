"""The ways to search the inner maximisation: what one step finds, how steps grow, and where an image's attack stops."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cktat import AdversarialLoss
from cktat.attacks import Ball, ascend_packed
from cktat.attacks.objectives import margin
from cktat.bench.pieces import random_images, training_of
from cktat.bench.trace import flops
from cktat.designs import make
from cktat.errors import CktatError
from cktat.labels import Moment
from cktat.runs import Stopped, Threat
from cktat.seeds import generator
from cktat.training.search import steps_at

EPS = 0.1
WAYS = {
    "rs-fgsm": {"inner": "rs-fgsm"},
    "n-fgsm": {"inner": "n-fgsm", "noise": 1.5, "alpha": 0.04},
    "growing": {"steps": 4, "steps_from": 1},
    "stopped": {"steps": 4, "stop_margin": 0.1},
    "both": {"steps": 4, "steps_from": 2, "stop_margin": 0.0},
}


def linear(seed: int = 0, classes: int = 2) -> nn.Module:
    layer = nn.Linear(12, classes).double()
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(classes, 12, generator=draws))
        layer.bias.zero_()
    return nn.Sequential(nn.Flatten(), layer)


def images(count: int = 6, seed: int = 3, classes: int = 2) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    x = torch.rand(count, 3, 2, 2, generator=draws, dtype=torch.float64)
    return x, torch.randint(0, classes, (count,), generator=draws)


def found(design: str, model: nn.Module, x: Tensor, y: Tensor, **options: Any) -> tuple[Tensor, AdversarialLoss]:
    """The x' of a design's first step, and the loss that made it."""
    loss = AdversarialLoss(make(design), model, eps=EPS, seed=5, **options)
    views, _ = loss.attack(*loss._checked(x, y))
    return next(images for view, images in views.items() if view.sign == "x'"), loss


def noise(x: Tensor, radius: float) -> Tensor:
    """The start of the first step: uniform, drawn by the name of its purpose."""
    return (2 * torch.rand(x.shape, generator=generator(5, "attack", 0), dtype=x.dtype) - 1) * radius


# --- one step


@pytest.mark.parametrize("design", ["pgd_at", "trades"])
@pytest.mark.parametrize("alpha", [None, 0.03])
def test_rs_fgsm_is_a_projected_step_from_inside_the_ball(design: str, alpha: float | None) -> None:
    """On two classes the gradient's sign is known: toward the other class, or (TRADES) on from where the noise went."""
    model, (x, y) = linear(), images()
    moved, loss = found(design, model, x, y, inner="rs-fgsm", alpha=alpha)
    weight = model[1].weight.detach()
    begun = (x + noise(x, EPS)).clamp(0, 1)
    toward = torch.sign(weight[1 - y] - weight[y]).view_as(x)
    if design == "trades":
        z = (begun - x).flatten(1) @ (weight[1] - weight[0])
        toward = (torch.sign(weight[1] - weight[0]) * z.sign().unsqueeze(1)).view_as(x)
    length = 1.25 * EPS if alpha is None else alpha
    wanted = torch.minimum(torch.maximum(begun + length * toward, x - EPS), x + EPS).clamp(0, 1)
    torch.testing.assert_close(moved, wanted, rtol=0, atol=1e-12)
    assert loss.passes == len(x)


@pytest.mark.parametrize("strength", [1.0, 2.0, 3.0])
def test_n_fgsm_steps_from_strong_noise_and_is_not_projected(strength: float) -> None:
    """de Jorge et al., Eq. 6: x + eta + eps * sign(gradient at x + eta), eta uniform in strength * eps, in the box alone."""
    model, (x, y) = linear(), images()
    moved, loss = found("pgd_at", model, x, y, inner="n-fgsm", noise=strength)
    weight = model[1].weight.detach()
    begun = (x + noise(x, strength * EPS)).clamp(0, 1)
    wanted = (begun + EPS * torch.sign(weight[1 - y] - weight[y]).view_as(x)).clamp(0, 1)
    torch.testing.assert_close(moved, wanted, rtol=0, atol=1e-12)
    assert float((moved - x).abs().max()) > EPS and loss.passes == len(x)


def test_n_fgsm_reaches_the_whole_box_and_no_further() -> None:
    model, (x, y) = linear(), images()
    loss = AdversarialLoss(make("pgd_at"), model, eps=0.8, inner="n-fgsm", noise=2.0, seed=5)
    moved = loss.attack(*loss._checked(x, y))[0]
    (there,) = (images for view, images in moved.items() if view.sign == "x'")
    assert float(there.min()) == 0 and float(there.max()) == 1


@pytest.mark.parametrize(("inner", "far"), [("rs-fgsm", 1.0), ("n-fgsm", 3.0)])
def test_one_step_in_l2(inner: str, far: float) -> None:
    model, (x, y) = linear(), images()
    loss = AdversarialLoss(make("pgd_at"), model, eps=EPS, norm="L2", box=None, inner=inner, seed=5)
    (moved,) = (images for view, images in loss.attack(*loss._checked(x, y))[0].items() if view.sign == "x'")
    weight = model[1].weight.detach()
    toward = F.normalize((weight[1 - y] - weight[y]), dim=1).view_as(x)
    begun = x + Ball(EPS, None, "L2").inside(tuple(x.shape), x.dtype, generator(5, "attack", 0)) * (far - 1 or 1)
    change = begun + (1.25 if inner == "rs-fgsm" else 1.0) * EPS * toward - x
    length = change.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    if inner == "rs-fgsm":
        change = change * (EPS / length).clamp(max=1)
    torch.testing.assert_close(moved, x + change, rtol=0, atol=1e-12)


def test_the_noise_of_a_view_is_that_of_its_own_ball() -> None:
    """An inverse view of half the radius makes half the step."""
    model, (x, y) = linear(classes=10), images(classes=10)
    loss = AdversarialLoss(make("uiat"), model, eps=EPS, inner="rs-fgsm", seed=5)
    views, _ = loss.attack(*loss._checked(x, y))
    far = {view.sign: float((images - x).abs().max()) for view, images in views.items()}
    reach = {view.sign: getattr(view, "reach", 1.0) for view in views}
    assert len(far) > 2 and all(far[sign] <= EPS * reach[sign] + 1e-12 for sign in far if sign != "x")
    assert loss.passes == 2 * len(x)


# --- a growing number of steps


@given(first=st.integers(1, 12), more=st.integers(0, 12), epochs=st.integers(1, 60))
def test_steps_grow_by_one_after_equal_shares_of_the_epochs(first: int, more: int, epochs: int) -> None:
    threat = Threat(eps=0.1, step=0.025, steps=first + more, steps_from=first)
    each = [steps_at(threat, Moment(epoch=epoch, epochs=epochs)) for epoch in range(epochs)]
    assert each[0] == first and each == sorted(each) and each[-1] <= first + more
    counts = [each.count(steps) for steps in range(first, first + more + 1)]
    assert max(counts) - min(counts) <= 1, "equal shares"
    if epochs > more:
        assert each[-1] == first + more


def test_a_growing_attack_is_the_attack_of_so_many_steps() -> None:
    model, (x, y) = linear(classes=4), images(classes=4)
    for progress, steps in ((0.0, 2), (0.4, 3), (0.9, 4), (1.0, 4)):
        wanted, _ = found("pgd_at", model, x, y, steps=steps)
        loss = AdversarialLoss(make("pgd_at"), model, eps=EPS, seed=5, steps=4, steps_from=2, epochs=3)
        loss.progress = progress
        views, _ = loss.attack(*loss._checked(x, y))
        assert any(torch.equal(images, wanted) for images in views.values()) and loss.passes == steps * len(x)


def test_a_loop_of_a_user_must_say_how_far_it_is(one_line: Callable[..., Any]) -> None:
    loss = AdversarialLoss(make("pgd_at"), linear(), eps=EPS, steps=4, steps_from=2)
    with pytest.raises(CktatError, match=r"loss\.progress"):
        loss(*images())
    with pytest.raises(CktatError, match=r"epochs=\.\.\."):
        loss.progress = 0.5


# --- stopping by margin


def test_on_a_line_an_image_stops_after_the_steps_that_its_margin_needs() -> None:
    """Each step raises the margin by step * |w|_1, so where an image stops is known, and so is what all cost."""
    model, (x, y) = linear(), images(9)
    weight, least, step, steps = model[1].weight.detach(), 0.7, 0.05, 6
    toward = torch.sign(weight[1 - y] - weight[y])
    gain = step * (weight[1 - y] - weight[y]).abs().sum(dim=1)
    begun = x + 0.001
    needed = ((least - margin(model(begun), y).detach()) / gain).ceil().clamp(0, steps)
    assert len(set(needed.tolist())) > 2

    def objective(images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        logits = model(images)
        return F.cross_entropy(logits, y[rows], reduction="none"), margin(logits.detach(), y[rows]) >= least

    moved, passes = ascend_packed(objective, x, begun, ball=Ball(9.0, None), step=step, steps=steps)
    torch.testing.assert_close(moved, begun + (step * needed.unsqueeze(1) * toward).view_as(x), rtol=0, atol=1e-12)
    assert passes == int((needed + 1).clamp(max=steps).sum()), "one pass more is needed to see that it is done"


def alone(
    design: str, networks: dict[str, nn.Module], x: Tensor, y: Tensor, least: float, steps: int
) -> tuple[list[Tensor], int]:
    """Every image by itself, in the very loop of PGD of one more step at a time, until it is wrong by the margin."""
    ended, passes = [], 0
    for number in range(len(x)):
        for made in range(steps + 1):
            here = whole(design, networks, x, y, made)[number : number + 1]
            if made == steps:
                break
            passes += 1
            with torch.no_grad():
                eyed = copy.deepcopy(networks["S"]).eval()(here)
            if float(margin(eyed, y[number : number + 1])) >= least:
                break
        ended.append(here[0])
    return ended, passes


def whole(design: str, networks: dict[str, nn.Module], x: Tensor, y: Tensor, steps: int) -> Tensor:
    """Where PGD of the whole batch is after so many steps."""
    loss = loss_of(design, networks, steps=max(steps, 1))
    if steps == 0:
        (begun,) = (start for view, start in loss._starts.at(0, x).items() if view.sign == "x'")
        return begun
    views, _ = loss.attack(*loss._checked(x, y))
    return next(images for view, images in views.items() if view.sign == "x'")


def loss_of(design: str, networks: dict[str, nn.Module], **options: Any) -> AdversarialLoss:
    made = make(design)
    made = made.settle(**dict.fromkeys(made.open, 0.5))
    loss = AdversarialLoss(
        made,
        learners={one.letter: copy.deepcopy(networks["S"]) for one in made.learners},
        teachers={one.letter: networks["T"] for one in made.frozen},
        start=False, eps=EPS, seed=5, epochs=2, **options,
    )  # fmt: skip
    loss.progress = 0.5
    return loss


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    design=st.sampled_from(["pgd_at", "trades", "rslad", "adaad", "lbgat", "cktat"]),
    seed=st.integers(0, 50),
    least=st.sampled_from([0.0, 0.2, 1.0, 50.0]),
    steps=st.integers(1, 4),
)
def test_a_packed_search_is_that_of_every_image_alone(design, seed, least, steps, small_net) -> None:
    networks = {"S": small_net(seed).train(), "T": small_net(seed + 1).eval()}
    draws = torch.Generator().manual_seed(seed)
    x = torch.rand(5, 2, 2, 2, generator=draws, dtype=torch.float64)
    y = torch.randint(0, 3, (5,), generator=draws)
    wanted, passes = alone(design, networks, x, y, least, steps)
    loss = loss_of(design, networks, steps=steps, stop_margin=least)
    views, _ = loss.attack(*loss._checked(x, y))
    moved = next(images for view, images in views.items() if view.sign == "x'")
    torch.testing.assert_close(moved, torch.stack(wanted), rtol=0, atol=1e-12)
    assert loss.passes == passes


def friendly(model: nn.Module, x: Tensor, y: Tensor, begun: Tensor, step: float, steps: int) -> tuple[Tensor, int]:
    """Early-stopped PGD as zjfheart/Friendly-Adversarial-Training earlystop.py has it for tau = 0, without its reordering."""
    moved, active, count = begun.clone(), torch.arange(len(x)), 0
    for _ in range(steps):
        near = moved[active].requires_grad_()
        output = model(near)
        (gradient,) = torch.autograd.grad(F.cross_entropy(output, y[active]), near)
        on = output.argmax(dim=1) == y[active]
        active, near, gradient = active[on], near.detach()[on], gradient[on]
        if not len(active):
            break
        there = near + step * gradient.sign()
        there = torch.min(torch.max(there, x[active] - EPS), x[active] + EPS)
        moved[active] = torch.clamp(there, 0, 1)
        count += len(active)
    return moved, count


@pytest.mark.parametrize("seed", range(4))
def test_a_margin_of_nothing_is_friendly_adversarial_training_at_tau_0(seed: int, small_net) -> None:
    model, draws = small_net(seed).eval(), torch.Generator().manual_seed(seed)
    x = torch.rand(8, 2, 2, 2, generator=draws, dtype=torch.float64)
    y = torch.randint(0, 3, (8,), generator=draws)
    moved, loss = found("pgd_at", model, x, y, steps=5, step=0.02, stop_margin=0.0)
    wanted, steps = friendly(model, x, y, (x + noise(x, EPS)).clamp(0, 1), 0.02, 5)
    torch.testing.assert_close(moved, wanted, rtol=0, atol=1e-12)
    assert loss.passes >= steps, "theirs counts the steps, ours the passes that saw an image to be wrong, too"


def test_a_view_that_is_pulled_toward_its_label_never_stops() -> None:
    model, (x, y) = linear(classes=10), images(classes=10)
    loss = AdversarialLoss(make("uiat"), model, eps=EPS, steps=3, stop_margin=0.0, seed=5)
    twin = AdversarialLoss(make("uiat"), model, eps=EPS, steps=3, seed=5)
    (there, _), (wanted, _) = (one.attack(*one._checked(x, y)) for one in (loss, twin))
    inverse = [view for view in there if view.sign == "x+"]
    assert inverse and all(torch.equal(there[view], wanted[view]) for view in inverse)
    assert 3 * len(x) < loss.passes < twin.passes == 6 * len(x)


def test_a_search_in_train_mode_is_refused(one_line: Callable[..., Any]) -> None:
    with one_line(r"'PGD-AT' attacks in train mode.*leave stop_margin out"):
        AdversarialLoss(make("pgd_at", attack_mode="train"), linear(), eps=EPS, stop_margin=0.0)


def test_packing_keeps_the_memory_format() -> None:
    """Convolutions on images whose channels come first are slower than on those whose channels come last."""
    x = torch.rand(4, 3, 5, 5).contiguous(memory_format=torch.channels_last)
    seen = []

    def objective(images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(images.is_contiguous(memory_format=torch.channels_last))
        return images.flatten(1).sum(dim=1), rows == len(seen)

    ascend_packed(objective, x, x, ball=Ball(0.1), step=0.02, steps=3)
    assert seen == [True] * 3


# --- what it costs


@pytest.mark.parametrize("design", ["pgd_at", "trades", "adaad"])
@pytest.mark.parametrize("way", WAYS)
def test_the_passes_are_those_that_are_counted(design: str, way: str) -> None:
    """FLOPs of the attack, less those of its label, are what its passes say: packed work is work saved."""
    options = {"epochs": 4} | WAYS[way]

    def attack(options: dict[str, Any]) -> tuple[float, int]:
        training = training_of(design, random_images(8), "small", 8, "cpu", "fp32", **options)
        for group in training.team.modules.values():
            group.eval()
        training.steps = 2  # of 4 epochs of one step
        batch = next(training.batches.epoch(0))
        spent = flops(lambda: training.attack(batch))
        return spent, training.loss.passes

    (one, passes_of_one), (two, passes_of_two) = attack({"steps": 1}), attack({"steps": 2})
    assert (passes_of_one, passes_of_two) == (8, 16)
    each = (two - one) / 8
    spent, passes = attack(options)
    assert spent - (one - 8 * each) == pytest.approx(passes * each, rel=1e-3)
    assert passes == {"rs-fgsm": 8, "n-fgsm": 8, "growing": 24}.get(way, passes)
    assert passes < 32


def test_what_never_stops_is_the_plain_search_bit_for_bit(runs: Any, tmp_path: Any) -> None:
    def weights(name: str, **options: Any) -> dict[str, Tensor]:
        return runs.train("trades", tmp_path / name, **options).load("last")[0]

    plain_run = weights("plain")
    for name, options in {"margin": {"stop_margin": 1e9}, "growing": {"steps_from": 2}}.items():
        other = weights(name, **options)
        assert all(torch.equal(other[key], value) for key, value in plain_run.items()), name
    assert any(not torch.equal(weights("one", inner="rs-fgsm")[key], value) for key, value in plain_run.items())


# --- resumed


@pytest.mark.parametrize("until", [1, 3, 4, 6])
@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_is_stopped_and_resumed_is_the_undisturbed_one(
    way: str, until: int, runs: Any, tmp_path: Any
) -> None:
    options = {
        key: value for key, value in WAYS[way].items() if key not in ("alpha", "steps")
    }  # tiny runs have 2 steps
    options |= {"steps_from": 1} if "steps_from" in options else {}
    twin = runs.outcome(runs.train("trades", tmp_path / "twin", **options))
    with pytest.raises(Stopped):
        runs.train("trades", tmp_path / "stopped", steps=runs.Steps(until=until), **options)
    assert runs.outcome(runs.train("trades", tmp_path / "stopped", resume=True, **options)) == twin
    counted = [line["attack_passes"] for line in twin["history"]]
    assert counted == {"rs-fgsm": [1, 1], "n-fgsm": [1, 1], "growing": [1, 2]}.get(way, counted)
    assert all(0 < passes <= 2 for passes in counted)
