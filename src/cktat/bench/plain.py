"""A training step in the style of the methods' released scripts, for the benchmark and as a test oracle only.

fp32, NCHW, `loss.backward()` in the attack (which computes the gradients of all weights, too), and for TRADES the clean
target computed anew at every attack step. One pass per network and view in the update, as in the training loop.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PlainStep = Callable[
    [nn.Module, nn.Module | None, torch.optim.Optimizer, Tensor, Tensor, Tensor, float, float, int], None
]
"""(student, teacher, optimiser, x, y, start of the attack, eps, step, steps): one optimiser step."""


def plain_pgd_at(
    model: nn.Module,
    teacher: nn.Module | None,
    optimiser: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    start: Tensor,
    eps: float,
    step: float,
    steps: int,
) -> None:
    """PGD-AT, as locuslab/robust_overfitting train_cifar.py L70-123 and L330-345, attacking in eval mode."""
    moved = _attack(model, x, start, eps, step, steps, lambda logits: F.cross_entropy(logits, y))
    model.train()
    loss = F.cross_entropy(model(moved), y)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def plain_trades(
    model: nn.Module,
    teacher: nn.Module | None,
    optimiser: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    start: Tensor,
    eps: float,
    step: float,
    steps: int,
) -> None:
    """TRADES with beta 6, as yaodongyu/TRADES trades.py L28-84."""

    def objective(logits: Tensor) -> Tensor:
        target = F.softmax(model(x), dim=1)
        return F.kl_div(F.log_softmax(logits, dim=1), target, reduction="sum")

    moved = _attack(model, x, start, eps, step, steps, objective)
    model.train()
    clean = model(x)
    adversarial = model(moved)
    smooth = F.kl_div(F.log_softmax(adversarial, dim=1), F.softmax(clean, dim=1), reduction="batchmean")
    loss = F.cross_entropy(clean, y) + 6.0 * smooth
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def plain_cktat(
    model: nn.Module,
    teacher: nn.Module | None,
    optimiser: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    start: Tensor,
    eps: float,
    step: float,
    steps: int,
) -> None:
    """CKTAT with tau 5 and beta 6 (Eq. 17), in the same style; no code of its authors is known."""
    assert teacher is not None
    moved = _attack(model, x, start, eps, step, steps, lambda logits: F.cross_entropy(logits, y))
    model.train()
    adversarial = model(moved)
    with torch.no_grad():
        label = F.softmax(teacher(x) / 5.0, dim=1)
    clean = model(x)
    output = F.log_softmax(adversarial, dim=1)
    loss = F.kl_div(output, label, reduction="batchmean")
    loss = loss + 6.0 * F.kl_div(output, F.softmax(clean, dim=1), reduction="batchmean")
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


PLAIN: dict[str, PlainStep] = {"pgd_at": plain_pgd_at, "trades": plain_trades, "cktat": plain_cktat}


def _attack(
    model: nn.Module,
    x: Tensor,
    start: Tensor,
    eps: float,
    step: float,
    steps: int,
    objective: Callable[[Tensor], Tensor],
) -> Tensor:
    model.eval()
    moved = start
    for _ in range(steps):
        moved = moved.detach().requires_grad_(True)
        objective(model(moved)).backward()
        assert moved.grad is not None
        moved = moved.detach() + step * moved.grad.sign()
        moved = torch.min(torch.max(moved, x - eps), x + eps).clamp(0.0, 1.0)
    return moved.detach()
