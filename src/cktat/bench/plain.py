"""A training step in the style of the methods' released scripts, for the benchmark and as a test oracle only.

fp32, NCHW, `loss.backward()` in the attack (which computes the gradients of all weights, too), and for TRADES the clean
target computed anew at every attack step. One pass per network and view in the update, as in the training loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class PlainStep:
    """One optimiser step of a method.

    objective: (student, x, y, logits of the moving images) to what the attack raises. loss: (student, teacher, x, moved
    images, y) to what the step lowers.
    """

    objective: Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]
    loss: Callable[[nn.Module, nn.Module | None, Tensor, Tensor, Tensor], Tensor]

    def __call__(
        self,
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
        """start: images [N, C, H, W] at which the attack begins; eps and step: fractions of the pixel range."""
        model.eval()
        moved = start
        for _ in range(steps):
            moved = moved.detach().requires_grad_(True)
            self.objective(model, x, y, model(moved)).backward()
            assert moved.grad is not None
            moved = moved.detach() + step * moved.grad.sign()
            moved = torch.min(torch.max(moved, x - eps), x + eps).clamp(0.0, 1.0)
        model.train()
        loss = self.loss(model, teacher, x, moved.detach(), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def _cross_entropy(model: nn.Module, x: Tensor, y: Tensor, logits: Tensor) -> Tensor:
    return F.cross_entropy(logits, y)


def _away_from_clean(model: nn.Module, x: Tensor, y: Tensor, logits: Tensor) -> Tensor:
    return F.kl_div(F.log_softmax(logits, dim=1), F.softmax(model(x), dim=1), reduction="sum")


def _pgd_at(model: nn.Module, teacher: nn.Module | None, x: Tensor, moved: Tensor, y: Tensor) -> Tensor:
    """As locuslab/robust_overfitting train_cifar.py L70-123 and L330-345, attacking in eval mode."""
    return F.cross_entropy(model(moved), y)


def _trades(model: nn.Module, teacher: nn.Module | None, x: Tensor, moved: Tensor, y: Tensor) -> Tensor:
    """With beta 6, as yaodongyu/TRADES trades.py L28-84."""
    clean = model(x)
    adversarial = model(moved)
    smooth = F.kl_div(F.log_softmax(adversarial, dim=1), F.softmax(clean, dim=1), reduction="batchmean")
    return F.cross_entropy(clean, y) + 6.0 * smooth


def _cktat(model: nn.Module, teacher: nn.Module | None, x: Tensor, moved: Tensor, y: Tensor) -> Tensor:
    """With tau 5 and beta 6 (Eq. 17), in the same style; no code of its authors is known."""
    assert teacher is not None
    adversarial = model(moved)
    with torch.no_grad():
        label = F.softmax(teacher(x) / 5.0, dim=1)
    clean = model(x)
    output = F.log_softmax(adversarial, dim=1)
    guide = F.kl_div(output, label, reduction="batchmean")
    return guide + 6.0 * F.kl_div(output, F.softmax(clean, dim=1), reduction="batchmean")


PLAIN = {
    "pgd_at": PlainStep(_cross_entropy, _pgd_at),
    "trades": PlainStep(_away_from_clean, _trades),
    "cktat": PlainStep(_cross_entropy, _cktat),
}
