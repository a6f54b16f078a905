"""FAB: the nearest adversarial image, by steps to the linearised decision boundary (Croce and Hein, ICML 2020).

Source: fra31/auto-attack, autoattack/fab_base.py L83-329 and fab_pt.py L77-114; equal to it bit for bit. The first start is
the image itself, so that without restarts nothing is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cktat.attacks.autoattack.hyperplane import to_plane
from cktat.attacks.autoattack.search import Rows, aimed_at, direction, variant, wide
from cktat.attacks.ball import Norm
from cktat.attacks.network import Model, check_finite, slope

OVERSHOOT = 1.05
"""eta: how far past the boundary a step goes."""
BACK = 0.9
"""beta: an adversarial iterate is drawn back to x + beta (x' - x)."""
TOWARD = 0.1
"""alpha_max: at most this share of a step goes from the clean image instead of the iterate."""


@dataclass
class Approach(Rows):
    """target: the class aimed at, if any is. moved: the iterate. distance: of the nearest adversarial image so far, inf if
    none. k: moves made."""

    target: Tensor
    moved: Tensor
    distance: Tensor
    k: Tensor


@dataclass(frozen=True)
class Fab:
    """The search, against up to `targets` classes in turn or, not targeted, to whichever boundary seems nearest at each
    step. What it finds counts if it is within eps. restarts: starts in all, of each class; those after the first are drawn.
    """

    eps: float
    steps: int = 100
    norm: Norm = "Linf"
    targets: int = 9
    targeted: bool = True
    restarts: int = 1

    parting = False
    poolable = True

    @property
    def name(self) -> str:
        return variant("fab-t" if self.targeted else "fab", self.restarts)

    def turns(self, classes: int) -> int:
        return self.restarts * (min(self.targets, classes - 1) if self.targeted else 1)

    def calls(self, classes: int) -> int:
        return (4 if self.targeted else 2 + 2 * classes) * self.steps * self.turns(classes)

    def skip(self, x: Tensor, turn: int, draws: torch.Generator) -> None:
        self._start(x, turn, draws)

    def _start(self, x: Tensor, turn: int, draws: torch.Generator) -> Tensor:
        if turn % self.restarts == 0:
            return x
        drawn = direction(x, self.norm, draws)
        return (x + self.eps * drawn / self._length(drawn) * 0.5).clamp(0.0, 1.0)

    def begin(self, model: Model, x: Tensor, y: Tensor, image: Tensor, turn: int, draws: torch.Generator) -> Approach:
        n, false = len(x), torch.zeros(len(x), dtype=torch.bool, device=x.device)
        return Approach(
            image=image, x=x, y=y, found=x, broken=false, done=false,
            target=aimed_at(model, x, 2 + turn // self.restarts) if self.targeted else y,
            moved=self._start(x, turn, draws), distance=torch.full((n,), torch.inf, device=x.device),
            k=torch.zeros(n, dtype=torch.int64, device=x.device),
        )  # fmt: skip

    def step(self, model: Model, rows: Approach, packed: bool = False) -> None:
        x, moved = rows.x, rows.moved
        gap, normal = self._aimed(model, rows) if self.targeted else self._nearest(model, rows)
        with torch.no_grad():
            offset = -gap + (normal * moved).flatten(1).sum(dim=1)
            own, clean = to_plane(
                torch.cat((moved, x)), torch.cat((normal, normal)), offset.repeat(2), self.norm
            ).chunk(2)
            far_own, far_clean = (self._length(move).clamp(min=1e-8) for move in (own, clean))
            share = (far_own / (far_own + far_clean)).clamp(max=TOWARD)
            moved = ((moved + OVERSHOOT * own) * (1 - share) + (x + OVERSHOOT * clean) * share).clamp(0.0, 1.0)

            wrong = model(moved).argmax(dim=1) != rows.y
            distance = self._length(moved - x).flatten()
            nearer = wrong & (distance < rows.distance)
            rows.found = torch.where(wide(nearer, x), moved, rows.found)
            rows.distance = torch.where(nearer, distance, rows.distance)
            rows.moved = torch.where(wide(wrong, x), x + (moved - x) * BACK, moved)
            rows.broken = rows.distance <= self.eps
            rows.k = rows.k + 1
            rows.done = rows.k == self.steps

    def _aimed(self, model: Model, rows: Approach) -> tuple[Tensor, Tensor]:
        """z_t - z_y at the iterates [n], and its gradient there, for the class t aimed at."""
        at = rows.moved.detach().requires_grad_(True)
        with torch.enable_grad():
            logits = model(at)
            z_y, z_t = (logits.gather(1, k.unsqueeze(1)).squeeze(1) for k in (rows.y, rows.target))
            gap = -(z_y - z_t)
            normal = slope(gap.sum(), at)
        return gap.detach(), check_finite(normal)

    def _nearest(self, model: Model, rows: Approach) -> tuple[Tensor, Tensor]:
        """The same for the class whose boundary, linearised, is nearest; with a pass back for every class."""
        at = rows.moved.detach().requires_grad_(True)
        with torch.enable_grad():
            logits = model(at)
        each = torch.eye(logits.shape[1], dtype=logits.dtype, device=at.device).unsqueeze(1).expand(-1, len(at), -1)
        slopes = torch.stack([slope(logits, at, along=one) for one in each], dim=1)
        every, logits = torch.arange(len(at), device=at.device), logits.detach()
        gaps = logits - logits[every, rows.y].unsqueeze(1)
        normals = check_finite(slopes) - slopes[every, rows.y].unsqueeze(1)
        flat = normals.flatten(2)  # a boundary is as far as its gap over the dual norm of its normal
        steepness = flat.abs().sum(dim=2) if self.norm == "Linf" else flat.square().sum(dim=2).sqrt()
        gaps[every, rows.y] = torch.inf
        nearest = (gaps.abs() / (1e-12 + steepness)).argmin(dim=1)
        return gaps[every, nearest], normals[every, nearest]

    def _length(self, move: Tensor) -> Tensor:  # [n, 1, ...]
        flat = move.flatten(1)
        length = flat.abs().amax(dim=1) if self.norm == "Linf" else flat.square().sum(dim=1).sqrt()
        return wide(length, move)
