"""Accuracy on held-out images after an epoch: what the best weights are chosen by. Never on test images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from cktat.attacks import Ball, ascend, attacked, plain
from cktat.attacks.ascent import Objective
from cktat.data import Split, ordered
from cktat.models import folding
from cktat.runs.processes import World
from cktat.schema import Threat
from cktat.seeds import fetched, generator
from cktat.training.search import single_step, spread_of


@torch.no_grad()
def not_finite(module: nn.Module, images: Split, *, levels: int) -> float | None:
    """The first logit that is not a finite number, None if all are."""
    device = next(module.parameters()).device
    batch = next(iter(ordered(images, len(images), levels=levels, device=device)))
    with attacked(module):
        logits = module(batch.x.contiguous(memory_format=torch.channels_last))
    finite = torch.isfinite(logits)
    return None if bool(finite.all()) else float(logits[~finite].flatten()[0])


def at_chance(share: float, labels: Tensor) -> bool:
    """Whether a share of right images is no more than what always the largest class would get, give or take one standard
    deviation."""
    largest = float(labels.bincount().max()) / len(labels)
    return share <= largest + (largest * (1 - largest) / len(labels)) ** 0.5


def held_out_accuracy(
    module: nn.Module,
    split: Split,
    *,
    levels: int,
    batch_size: int,
    threat: Threat,
    ball: Ball,
    seed: int,
    world: World = World(),
) -> tuple[float, float]:
    """Share of images classified rightly, clean and after PGD on the cross-entropy, in the precision of training.

    Batch i is scored by process i mod size; all learn the sum.
    """

    def pgd(objective: Objective, x: Tensor, start: Tensor) -> Tensor:
        return ascend(objective, x, start, ball=ball, step=threat.step, steps=threat.steps, direction=plain())

    draws = generator(seed, "held-out")
    clean, robust = _right(module, split, levels, batch_size, lambda x: ball.uniform(x, draws), (None, pgd), world)
    return clean / len(split), robust / len(split)


def single_step_accuracy(
    module: nn.Module,
    split: Split,
    *,
    levels: int,
    batch_size: int,
    threat: Threat,
    ball: Ball,
    seed: int,
    world: World = World(),
) -> float:
    """Share of images classified rightly after the one step that training makes, on the cross-entropy."""
    draws = generator(seed, "held-out", "single step")

    def start(x: Tensor) -> Tensor:
        noise = ball.inside(tuple(x.shape), x.dtype, draws) * (spread_of(threat) or 1.0)
        return ball.clip(x + fetched(noise, x.device))

    def one(objective: Objective, x: Tensor, start: Tensor) -> Tensor:
        return single_step(objective, x, start, threat, ball)

    (right,) = _right(module, split, levels, batch_size, start, (one,), world)
    return right / len(split)


def _right(
    module: nn.Module,
    split: Split,
    levels: int,
    batch_size: int,
    begin: Callable[[Tensor], Tensor],
    attacks: Sequence[Callable[[Objective, Tensor, Tensor], Tensor] | None],
    world: World,
) -> list[int]:
    """How many images are classified rightly after each attack, None being no attack."""
    device = next(module.parameters()).device
    right = torch.zeros(len(attacks), dtype=torch.int64, device=device)  # so that the host waits once
    with attacked(module):
        for number, batch in enumerate(ordered(split, batch_size, levels=levels, device=device)):
            y = batch.y

            def objective(images: torch.Tensor, y: torch.Tensor = y) -> torch.Tensor:
                return nn.functional.cross_entropy(module(images).float(), y, reduction="none")

            x = batch.x.contiguous(memory_format=torch.channels_last)
            start = begin(x)  # also those of other processes, so that the next one's are the same
            if number % world.size != world.rank:
                continue
            with folding(module):
                moved = [x if attack is None else attack(objective, x, start) for attack in attacks]
            with torch.no_grad():
                right += torch.stack([(module(images).argmax(dim=1) == y).sum() for images in moved])
    return [sum(counts) for counts in zip(*world.gather(right.tolist()), strict=True)]
