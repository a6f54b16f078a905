"""PGD, MIM and CW equal loops written anew from their authors' code, bit for bit from the same start.

All images, radii and steps are in 256ths and in float64, so that x + (x' - x) is x' exactly.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cktat.attacks import Attack, Ball, ascend, cw, mim, momentum, pgd, sign
from cktat.attacks.objectives import capped_margin, cross_entropy, margin

EPS, STEP = 8 / 256, 2 / 256


def madry(model: nn.Module, x: Tensor, y: Tensor, delta: Tensor, steps: int) -> Tensor:
    """attack_pgd of locuslab/robust_overfitting, which keeps the perturbation: first into the ball, then into the box."""
    delta = delta.clone()
    for _ in range(steps):
        delta.requires_grad_(True)
        loss = F.cross_entropy(model(x + delta), y)
        gradient = torch.autograd.grad(loss, delta)[0]
        with torch.no_grad():
            delta = torch.clamp(delta + STEP * gradient.sign(), min=-EPS, max=EPS)
            delta = torch.max(torch.min(delta, 1 - x), 0 - x)
    return x + delta.detach()


def mi_fgsm(model: nn.Module, x: Tensor, y: Tensor, steps: int, decay: float) -> Tensor:
    """attack_iter.py of dongyp13/Non-Targeted-Adversarial-Attacks, image by image, with labels given."""
    results = []
    for image, label in zip(x, y, strict=True):
        moved, accumulated = image.clone(), torch.zeros_like(image)
        for _ in range(steps):
            moved = moved.detach().requires_grad_(True)
            F.cross_entropy(model(moved.unsqueeze(0)), label.unsqueeze(0)).backward()
            noise = moved.grad
            size = noise.abs().mean()
            accumulated = decay * accumulated + (noise / size if size > 0 else 0)
            moved = torch.clamp(moved.detach() + STEP * torch.sign(accumulated), image - EPS, image + EPS).clamp(0, 1)
        results.append(moved)
    return torch.stack(results)


def carlini(model: nn.Module, x: Tensor, y: Tensor, steps: int, confidence: float) -> Tensor:
    """cwloss of ZFancy/IAD attack_generator.py, ascended by PGD from x."""
    moved = x.clone()
    for _ in range(steps):
        moved.requires_grad_(True)
        z = model(moved)
        onehot = torch.eye(z.shape[1], dtype=z.dtype)[y]
        real, other = (onehot * z).sum(1), ((1 - onehot) * z - onehot * 10000).max(1)[0]
        loss = -torch.clamp(real - other + confidence, min=0.0).sum()
        gradient = torch.autograd.grad(loss, moved)[0]
        moved = (moved + STEP * gradient.sign()).detach()
        moved = torch.min(torch.max(moved, x - EPS), x + EPS).clamp(0, 1)
    return moved


@pytest.mark.parametrize("steps", [1, 2, 7, 20])
def test_pgd_from_the_image(steps: int, curved, batch) -> None:
    model, (x, y) = curved(spread=3.0), batch
    found = pgd(model, x, y, eps=EPS, step=STEP, steps=steps, start="image")
    assert torch.equal(found, madry(model, x, y, torch.zeros_like(x), steps))
    assert not torch.equal(found, x)


@pytest.mark.parametrize("steps", [1, 7, 20])
def test_the_ascent_from_a_random_start(steps: int, curved, batch) -> None:
    model, (x, y) = curved(spread=3.0), batch
    draws = torch.Generator().manual_seed(5)
    start = (x + torch.randint(-(2**15), 2**15, x.shape, generator=draws) * 2.0**-20).clamp(0, 1)
    found = ascend(
        lambda images: cross_entropy(model(images), y),
        x,
        start,
        ball=Ball(EPS),
        step=STEP,
        steps=steps,
        direction=sign(),
    )
    assert torch.equal(found, madry(model, x, y, start - x, steps))


def test_pgd_from_its_own_random_start(curved, batch) -> None:
    model, (x, y) = curved(spread=3.0), batch
    first: list[Tensor] = []
    handle = model.register_forward_pre_hook(lambda _, inputs: first.append(inputs[0].detach().clone()))
    found = pgd(model, x, y, eps=EPS, step=STEP, steps=10, seed=3)
    handle.remove()
    torch.testing.assert_close(found, madry(model, x, y, first[0] - x, 10), rtol=0, atol=1e-15)


@pytest.mark.parametrize("decay", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("steps", [1, 5, 20])
def test_mim(steps: int, decay: float, curved, batch) -> None:
    model, (x, y) = curved(spread=3.0), batch
    assert torch.equal(
        mim(model, x, y, eps=EPS, step=STEP, steps=steps, decay=decay), mi_fgsm(model, x, y, steps, decay)
    )


def test_mim_remembers_and_pgd_does_not(curved, batch) -> None:
    model, (x, y) = curved(spread=3.0), batch
    plain = pgd(model, x, y, eps=EPS, step=STEP, steps=5, start="image")
    assert torch.equal(mim(model, x, y, eps=EPS, step=STEP, steps=5, decay=0.0), plain)
    assert not torch.equal(mim(model, x, y, eps=EPS, step=STEP, steps=5), plain)


def test_mim_begins_each_restart_and_each_call_without_memory(curved, batch) -> None:
    model, (x, y) = curved(spread=3.0), batch
    first, second = (mim(model, x, y, eps=EPS, step=STEP, steps=3) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(first, mim(model, x, y, eps=EPS, step=STEP, steps=3, restarts=3))


class Dead(nn.Module):
    """A network without gradient wherever an image is dark."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        bright = (x.flatten(1).mean(dim=1) > 0.2).to(x.dtype).view(-1, 1, 1, 1)
        return self.network(x * bright)


def test_an_image_without_gradient_stays_and_gives_no_nan(curved, batch) -> None:
    model, (x, y) = Dead(curved(spread=3.0)), batch
    x = x.clone()
    x[2] = 0.0625
    found = mim(model, x, y, eps=EPS, step=STEP, steps=5)
    assert torch.equal(found[2], x[2])
    assert torch.equal(found, mi_fgsm(model, x, y, 5, 1.0)) and not bool(found.isnan().any())
    assert not torch.equal(found[0], x[0])


def test_an_image_that_finds_its_gradient_later_is_not_lost() -> None:
    direction = momentum()
    none = torch.zeros(2, 3)
    none[1] = 1.0
    later = torch.tensor([[1.0, -2.0, 0.0], [-4.0, 0.0, 0.0]])
    assert direction(none).sign().tolist() == [[0, 0, 0], [1, 1, 1]]
    assert direction(later).sign().tolist() == [[1, -1, 0], [-1, 1, 1]]


@pytest.mark.parametrize("confidence", [0.0, 0.5, 50.0])
@pytest.mark.parametrize("steps", [1, 5, 30])
def test_cw(steps: int, confidence: float, curved, batch) -> None:
    model, (x, y) = curved(spread=2.0), batch
    found = cw(model, x, y, eps=EPS, step=STEP, steps=steps, confidence=confidence, start="image")
    assert torch.equal(found, carlini(model, x, y, steps, confidence))
    assert not torch.equal(found, x)


def test_cw_is_not_pgd_on_the_cross_entropy(curved, batch) -> None:
    model, (x, y) = curved(classes=8, spread=3.0), batch
    ours, other = (attack(model, x, y, eps=0.2, steps=2, start="image") for attack in (cw, pgd))
    assert not torch.equal(ours, other)


def test_a_constant_added_to_all_logits_changes_nothing(curved, batch) -> None:
    model, (x, y) = curved(spread=2.0), batch
    plain = cw(model, x, y, eps=EPS, confidence=1.0)
    for constant in (-1000.0, 3.0, 20000.0):  # IAD's 10000 subtracted at the label would break at the last
        assert torch.equal(cw(lambda images, c=constant: model(images) + c, x, y, eps=EPS, confidence=1.0), plain)


def test_cw_moves_nothing_past_the_confidence(curved, batch) -> None:
    model, (x, y) = curved(spread=2.0), batch
    with torch.no_grad():
        start = margin(model(x), y)
    between = float(start.sort().values[2:4].mean())
    found = cw(model, x, y, eps=EPS, step=STEP, steps=4, confidence=between, start="image")
    stays = (found == x).flatten(1).all(dim=1)
    assert torch.equal(stays, start > between) and 0 < int(stays.sum()) < len(x)


logits_and_labels = st.integers(2, 6).flatmap(
    lambda classes: st.tuples(
        st.lists(st.floats(-30, 30, allow_subnormal=False), min_size=classes, max_size=classes, unique=True),
        st.integers(0, classes - 1),
    )
)


@settings(max_examples=100)
@given(logits_and_labels)
def test_the_margin_is_above_0_exactly_where_the_image_is_misclassified(case: tuple[list[float], int]) -> None:
    logits, label = torch.tensor([case[0]], dtype=torch.float64), torch.tensor([case[1]])
    wrong = max(z for k, z in enumerate(case[0]) if k != case[1]) > case[0][case[1]]
    assert bool(margin(logits, label) > 0) == bool(logits.argmax(dim=1) != label) == wrong
    assert float(margin(logits, label)) == max(z for k, z in enumerate(case[0]) if k != case[1]) - case[0][case[1]]


@settings(max_examples=100)
@given(logits_and_labels, st.sampled_from([0.0, 0.5, 7.0, 50.0]))
def test_the_capped_margin_is_carlini_and_wagners_loss(case: tuple[list[float], int], confidence: float) -> None:
    label = torch.tensor([case[1]])
    ours = torch.tensor([case[0]], dtype=torch.float64, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    value = capped_margin(confidence)(ours, label).sum()
    others = torch.cat([theirs[:, : case[1]], theirs[:, case[1] + 1 :]], dim=1).max(dim=1).values
    inside = theirs[0, case[1]] - others + confidence
    loss = -torch.clamp(inside, min=0.0).sum()
    torch.testing.assert_close(value - confidence, loss, rtol=0, atol=1e-12)
    if abs(float(inside.detach())) > 1e-9:  # on the edge itself either gradient is right
        gradient = torch.autograd.grad(value, ours)[0]
        assert torch.equal(gradient.sign(), torch.autograd.grad(loss, theirs)[0].sign())
        assert bool((gradient == 0).all()) == (float(inside.detach()) < 0)


def test_the_margin_of_wide_logits_is_taken_over_the_other_classes() -> None:
    logits = torch.tensor([[20000.0, -20000.0], [-20000.0, 20000.0]])
    assert margin(logits, torch.tensor([0, 0])).tolist() == [-40000.0, 40000.0]


def l2_pgd(model: nn.Module, x: Tensor, y: Tensor, eps: float, step: float, steps: int) -> Tensor:
    """attack_pgd of locuslab/robust_overfitting with norm l_2, image by image, from x."""
    results = []
    for image, label in zip(x, y, strict=True):
        delta = torch.zeros_like(image)
        for _ in range(steps):
            delta.requires_grad_(True)
            loss = F.cross_entropy(model((image + delta).unsqueeze(0)), label.unsqueeze(0))
            gradient = torch.autograd.grad(loss, delta)[0]
            delta = delta.detach() + step * gradient / gradient.norm()
            delta = delta * min(1.0, eps / float(delta.norm()))
            delta = torch.max(torch.min(delta, 1 - image), 0 - image)
        results.append(image + delta)
    return torch.stack(results)


@pytest.mark.parametrize("steps", [1, 3, 12])
def test_pgd_in_l2(steps: int, curved, batch) -> None:
    model, (x, y) = curved(spread=3.0), batch
    found = Attack(steps=steps, start="image")(model, x, y, eps=0.5, step=0.1, norm="L2")
    torch.testing.assert_close(found, l2_pgd(model, x, y, 0.5, 0.1, steps), rtol=0, atol=1e-9)
