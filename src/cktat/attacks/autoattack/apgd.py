"""Auto-PGD: ascent whose step halves where it stops paying (Croce and Hein, ICML 2020).

Source: fra31/auto-attack, autoattack/autopgd_base.py L201-443 and L545-616; equal to it bit for bit. Restarts: L500-522;
several passes at each iterate: L266-284 and L364-385, where the gradient is their mean, but loss and logits are the last's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from cktat.attacks.autoattack.search import Rows, aimed_at, direction, variant, wide
from cktat.attacks.ball import Ball, Norm
from cktat.attacks.network import Model, check_finite, slope
from cktat.errors import unknown

Loss = Literal["ce", "dlr", "dlr-targeted"]
ApgdObjective = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Logits [n, K], labels [n], classes aimed at [n] -> what is maximised [n]."""


def _cross_entropy(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(logits, y, reduction="none")


def difference_of_logits_ratio(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """-(z_y - max of others) / (z_(1) - z_(3)): unmoved by a shift or a positive factor of the logits.

    Two classes have no z_(3): there the difference is taken as it is, not divided.
    """
    ordered, order = logits.sort(dim=1)
    z_y = logits.gather(1, y.unsqueeze(1)).squeeze(1)
    other = torch.where(order[:, -1] == y, ordered[:, -2], ordered[:, -1])
    if logits.shape[1] < 3:
        return -(z_y - other)
    return -(z_y - other) / (ordered[:, -1] - ordered[:, -3] + 1e-12)


def targeted_ratio(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """-(z_y - z_target) / (z_(1) - (z_(3) + z_(4)) / 2); with three classes over z_(1) - z_(3), with two not divided."""
    ordered, _ = logits.sort(dim=1)
    z_y = logits.gather(1, y.unsqueeze(1)).squeeze(1)
    z_target = logits.gather(1, target.unsqueeze(1)).squeeze(1)
    if logits.shape[1] < 3:
        return -(z_y - z_target)
    low = ordered[:, -3] if logits.shape[1] == 3 else 0.5 * (ordered[:, -3] + ordered[:, -4])
    return -(z_y - z_target) / (ordered[:, -1] - low + 1e-12)


LOSSES: dict[str, ApgdObjective] = {
    "ce": _cross_entropy,
    "dlr": difference_of_logits_ratio,
    "dlr-targeted": targeted_ratio,
}


@functools.cache
def checks(steps: int) -> Tensor:
    """At each number of moves 0 to `steps`, the length of the window that ends there, 0 where none does."""
    window, least, shorter = (max(int(share * steps), 1) for share in (0.22, 0.06, 0.03))
    table, at = torch.zeros(steps + 1, dtype=torch.int64), 0
    while (at := at + window) <= steps:
        table[at] = window
        window = max(window - shorter, least)
    return table


@dataclass
class Climb(Rows):
    """moved, before: this iterate and the last. best: the one with the highest loss, its gradient and loss. at_check: the
    best loss at the last check; reduced: whether that check halved the step. previous: the last loss; rises: how often it
    rose since the check. size: step [n, 1, ...]. k: moves made."""

    target: Tensor
    moved: Tensor
    before: Tensor
    best: Tensor
    best_gradient: Tensor
    best_loss: Tensor
    at_check: Tensor
    reduced: Tensor
    previous: Tensor
    rises: Tensor
    size: Tensor
    k: Tensor


@dataclass(frozen=True)
class Apgd:
    """The search. loss: "ce", "dlr" or "dlr-targeted" (against up to `targets` classes in turn). restarts: starts in all,
    of each class. eot: passes at each iterate; the gradient is their mean, the last one's loss says whether the iterate is
    better, and the last one's logits whether it is wrong. So for a randomised network the search believes a single draw.
    """

    eps: float
    steps: int = 100
    loss: Loss = "ce"
    norm: Norm = "Linf"
    targets: int = 9
    restarts: int = 1
    eot: int = 1

    parting = False
    poolable = True

    def __post_init__(self) -> None:
        if self.loss not in get_args(Loss):
            raise unknown("loss of APGD", self.loss, get_args(Loss))

    @property
    def name(self) -> str:
        return variant("apgd-t" if self._targeted else f"apgd-{self.loss}", self.restarts, self.eot)

    @property
    def _targeted(self) -> bool:
        return self.loss == "dlr-targeted"

    def turns(self, classes: int) -> int:
        return self.restarts * (min(self.targets, classes - 1) if self._targeted else 1)

    def calls(self, classes: int) -> int:
        return 3 * self.eot * (self.steps + 1) * self.turns(classes)

    def skip(self, x: Tensor, turn: int, draws: torch.Generator) -> None:
        direction(x, self.norm, draws)

    def begin(self, model: Model, x: Tensor, y: Tensor, image: Tensor, turn: int, draws: torch.Generator) -> Climb:
        start = (x + self.eps * _unit(direction(x, self.norm, draws), self.norm)).clamp(0.0, 1.0)
        n, false = len(x), torch.zeros(len(x), dtype=torch.bool, device=x.device)
        zero = torch.zeros(n, device=x.device)
        return Climb(
            image=image, x=x, y=y, found=start, broken=false, done=false,
            target=aimed_at(model, x, 2 + turn // self.restarts) if self._targeted else y,
            moved=start, before=start, best=start, best_gradient=torch.zeros_like(x), best_loss=zero, at_check=zero,
            reduced=~false, previous=zero, rises=zero, size=wide(torch.full((n,), 2.0 * self.eps, device=x.device), x),
            k=torch.zeros(n, dtype=torch.int64, device=x.device),
        )  # fmt: skip

    def step(self, model: Model, rows: Climb, packed: bool = False) -> None:
        at = rows.moved.detach().requires_grad_(True)
        gradient = torch.zeros_like(at)
        for _ in range(self.eot):
            with torch.enable_grad():
                logits = model(at)
                loss = LOSSES[self.loss](logits, rows.y, rows.target)
                gradient += slope(loss.sum(), at)
        gradient = check_finite(gradient / self.eot)
        with torch.no_grad():
            loss, moved = loss.detach(), rows.moved
            wrong = logits.argmax(dim=1) != rows.y
            rows.broken = rows.broken | wrong
            rows.found = torch.where(wide(wrong, moved), moved, rows.found)

            first = rows.k == 0
            better = first | (loss > rows.best_loss)
            rows.best = torch.where(wide(better, moved), moved, rows.best)
            rows.best_gradient = torch.where(wide(better, moved), gradient, rows.best_gradient)
            rows.best_loss = torch.where(better, loss, rows.best_loss)
            rows.at_check = torch.where(first, loss, rows.at_check)
            # The first of the losses that are compared is the one after the first move, and it is compared with 0.
            rows.rises = rows.rises + (~first & (loss > rows.previous))
            rows.previous = torch.where(first, 0.0, loss)

            window = checks(self.steps).to(moved.device)[rows.k]
            checked = window > 0
            if bool(checked.any()):
                stuck = (rows.rises <= 0.75 * window) | (~rows.reduced & (rows.at_check >= rows.best_loss))
                halve = checked & stuck
                rows.size = torch.where(wide(halve, moved), rows.size / 2.0, rows.size)
                moved = torch.where(wide(halve, moved), rows.best, moved)
                gradient = torch.where(wide(halve, moved), rows.best_gradient, gradient)
                rows.reduced = torch.where(checked, stuck, rows.reduced)
                rows.at_check = torch.where(checked, rows.best_loss, rows.at_check)
                rows.rises = torch.where(checked, 0.0, rows.rises)
            rows.done = rows.k == self.steps

            share = wide(torch.where(first, 1.0, 0.75), moved)
            forth = self._project(moved + rows.size * self._along(gradient), rows.x)
            # `before` stays the last iterate, also where the search went back to the best one
            forth = moved + (forth - moved) * share + (moved - rows.before) * (1 - share)
            rows.before, rows.moved = moved, self._project(forth, rows.x)
            rows.k = rows.k + 1

    def _along(self, gradient: Tensor) -> Tensor:
        return gradient.sign() if self.norm == "Linf" else _unit(gradient, self.norm)

    def _project(self, moved: Tensor, x: Tensor) -> Tensor:
        if self.norm == "Linf":
            return Ball(self.eps).project(moved, x)
        # as the authors write it: another order of operations would round otherwise
        length = (moved - x).square().flatten(1).sum(dim=1).sqrt()
        return (x + _unit(moved - x, self.norm) * wide(length.clamp(max=self.eps), x)).clamp(0.0, 1.0)


def _unit(x: Tensor, norm: Norm) -> Tensor:
    flat = x.flatten(1)
    length = flat.abs().amax(dim=1) if norm == "Linf" else flat.square().sum(dim=1).sqrt()
    return x / (wide(length, x) + 1e-12)
