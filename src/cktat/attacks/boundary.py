"""FAB: the nearest adversarial image, by steps to the linearised decision boundary (Croce and Hein, ICML 2020).

Source: fra31/auto-attack, autoattack/fab_base.py L83-329 and fab_pt.py L100-114, the targeted form without restarts,
which draws nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cktat.attacks.attack import Model
from cktat.attacks.ball import Norm
from cktat.attacks.hyperplane import to_plane
from cktat.attacks.search import Rows, aimed_at, wide

OVERSHOOT = 1.05
"""eta: how far past the boundary a step goes."""
BACK = 0.9
"""beta: an adversarial iterate is drawn back to x + beta (x' - x)."""
TOWARD = 0.1
"""alpha_max: at most this share of a step goes from the clean image instead of the iterate."""


@dataclass
class Approach(Rows):
    """target: the class aimed at. moved: the iterate. distance: of the nearest adversarial image so far, inf if none.
    k: moves made."""

    target: Tensor
    moved: Tensor
    distance: Tensor
    k: Tensor


@dataclass(frozen=True)
class Fab:
    """The search, against up to `targets` classes in turn. What it finds counts if it is within eps."""

    eps: float
    steps: int = 100
    norm: Norm = "Linf"
    targets: int = 9

    name = "fab-t"
    parting = False
    poolable = True

    def ranks(self, classes: int) -> tuple[int | None, ...]:
        return tuple(range(2, min(self.targets + 1, classes) + 1))

    def calls(self, classes: int) -> int:
        return 4 * self.steps * len(self.ranks(classes))

    def skip(self, x: Tensor, draws: torch.Generator) -> None:
        pass

    def begin(
        self, model: Model, x: Tensor, y: Tensor, image: Tensor, rank: int | None, draws: torch.Generator
    ) -> Approach:
        assert rank is not None
        n, false = len(x), torch.zeros(len(x), dtype=torch.bool, device=x.device)
        return Approach(
            image=image, x=x, y=y, found=x, broken=false, done=false,
            target=aimed_at(model, x, rank), moved=x, distance=torch.full((n,), torch.inf, device=x.device),
            k=torch.zeros(n, dtype=torch.int64, device=x.device),
        )  # fmt: skip

    def step(self, model: Model, rows: Approach) -> None:
        x, moved = rows.x, rows.moved
        at = moved.detach().requires_grad_(True)
        with torch.enable_grad():
            logits = model(at)
            z_y, z_t = (logits.gather(1, k.unsqueeze(1)).squeeze(1) for k in (rows.y, rows.target))
            gap = -(z_y - z_t)
            (normal,) = torch.autograd.grad(gap.sum(), at)
        with torch.no_grad():
            offset = -gap.detach() + (normal * moved).flatten(1).sum(dim=1)
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

    def _length(self, move: Tensor) -> Tensor:  # [n, 1, ...]
        flat = move.flatten(1)
        length = flat.abs().amax(dim=1) if self.norm == "Linf" else flat.square().sum(dim=1).sqrt()
        return wide(length, move)
