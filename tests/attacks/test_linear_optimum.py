"""On a linear network the best perturbation is known, eps * sign(w_j - w_y) clipped to the box: the attacks find it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cktat.attacks import ATTACKS, cw, fgsm, mim, pgd
from cktat.attacks.objectives import margin

RADII = [0.0, 1 / 255, 8 / 255, 0.3, 1.0]
BOXES = [(0.0, 1.0), None]


def linear(classes: int, seed: int = 0) -> nn.Module:
    """Logits W x + b; of more than two classes only 0 and 1 are within reach, so that one of them is always the rival."""
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(12, classes).double()
    with torch.no_grad():
        layer.weight.copy_(torch.randn(classes, 12, generator=generator) / 4)
        layer.bias.copy_(torch.tensor([0.3, -0.2] + [-60.0] * (classes - 2)))
    return nn.Sequential(nn.Flatten(), layer)


def images() -> tuple[Tensor, Tensor]:
    """Images [5, 3, 2, 2] with pixels on both edges of the box, labels 0 and 1."""
    x = torch.rand(5, 3, 2, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    x[0, 0], x[1, 1] = 0.0, 1.0
    return x, torch.tensor([0, 1, 0, 1, 1])


def optimum(model: nn.Module, x: Tensor, y: Tensor, eps: float, box: tuple[float, float] | None) -> Tensor:
    """The point of the ball and box where the rival 1 - y is furthest above y."""
    weight = model[1].weight.detach()
    moved = x + eps * torch.sign(weight[1 - y] - weight[y]).view_as(x)
    return moved if box is None else moved.clamp(*box)


@pytest.mark.parametrize("box", BOXES, ids=str)
@pytest.mark.parametrize("eps", RADII)
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_of_the_catalogue_reaches_it(name: str, classes: int, eps: float, box) -> None:
    model, (x, y) = linear(classes), images()
    best = optimum(model, x, y, eps, box)
    found = ATTACKS[name](model, x, y, eps=eps, box=box, seed=4)
    torch.testing.assert_close(found, best, rtol=0, atol=1e-12)
    weight, bias = model[1].weight.detach(), model[1].bias.detach()
    z = best.flatten(1) @ weight.T + bias
    rival = (z.gather(1, (1 - y).unsqueeze(1)) - z.gather(1, y.unsqueeze(1))).squeeze(1)
    with torch.no_grad():
        torch.testing.assert_close(margin(model(found), y), rival, rtol=0, atol=1e-5)
        loss = F.cross_entropy(model(found), y, reduction="none")
        torch.testing.assert_close(loss, F.softplus(rival), rtol=0, atol=1e-5)
        if eps > 0:
            assert bool((loss > F.cross_entropy(model(x), y, reduction="none")).all())
        else:
            assert torch.equal(found, x)


@pytest.mark.parametrize("restarts", [1, 3])
@pytest.mark.parametrize("start", ["uniform", "image"])
@pytest.mark.parametrize("attack", [pgd, mim, cw], ids=lambda attack: attack.__name__)
def test_so_do_the_functions_from_either_start_with_restarts(attack, start: str, restarts: int) -> None:
    model, (x, y) = linear(3), images()
    found = attack(model, x, y, eps=0.1, start=start, restarts=restarts, seed=1)
    torch.testing.assert_close(found, optimum(model, x, y, 0.1, (0.0, 1.0)), rtol=0, atol=1e-12)


def test_in_fp32_too() -> None:
    model, (x, y) = linear(2).float(), images()
    best = optimum(model, x.float(), y, 8 / 255, (0.0, 1.0))
    for name in ATTACKS:
        found = ATTACKS[name](model, x.float(), y, eps=8 / 255)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, best, rtol=0, atol=1e-6)


def test_fgsm_keeps_the_radius_as_written() -> None:
    model, (x, y) = linear(2), images()
    x = 0.25 + x / 2  # nothing is clipped
    moved = (fgsm(model, x, y, eps=8 / 255) - x).abs()
    torch.testing.assert_close(moved, torch.full_like(x, 8 / 255), rtol=0, atol=1e-12)
    assert float((moved - 0.031).abs().min()) > 3e-4


def test_the_length_of_a_step_is_what_is_asked_for() -> None:
    model, (x, y) = linear(2), images()
    x = 0.25 + x / 2
    for attack in (pgd, mim, cw):
        default = attack(model, x, y, eps=0.08, steps=1, start="image")
        torch.testing.assert_close((default - x).abs(), torch.full_like(x, 0.02), rtol=0, atol=1e-12)
        given = attack(model, x, y, eps=0.08, steps=3, step=0.003, start="image")
        torch.testing.assert_close((given - x).abs(), torch.full_like(x, 0.009), rtol=0, atol=1e-12)
    of_the_entry = replace(ATTACKS["pgd20"], steps=1, start="image", step=0.5)
    torch.testing.assert_close((of_the_entry(model, x, y, eps=0.08) - x).abs(), torch.full_like(x, 0.04))


@pytest.mark.parametrize("eps", [0.0, 0.1, 0.5, 3.0])
@pytest.mark.parametrize("name", ATTACKS)
def test_in_l2_the_optimum_lies_along_the_difference_of_the_weights(name: str, eps: float) -> None:
    model, (x, y) = linear(2), images()
    weight, bias = model[1].weight.detach(), model[1].bias.detach()
    away = weight[1 - y] - weight[y]
    with torch.no_grad():
        best = (away * x.flatten(1)).sum(dim=1) + bias[1 - y] - bias[y] + eps * away.norm(dim=1)
        found = ATTACKS[name](model, x, y, eps=eps, box=None, norm="L2", seed=4)
        slack = 0.05 if ATTACKS[name].steps == 10 else 0.002  # on the sphere, what is aside of the optimum fades
        torch.testing.assert_close(margin(model(found), y), best, rtol=0, atol=1e-5 + slack * eps)
        assert float((found - x).flatten(1).norm(dim=1).max()) <= eps + 1e-12
    if eps > 0 and name in ("fgsm", "mim"):  # straight there from the image
        wanted = x + eps * (away / away.norm(dim=1, keepdim=True)).view_as(x)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9)
