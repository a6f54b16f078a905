"""Small networks trained in memory, several seeds at a time: the project's loss in a loop without a folder, for large grids."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cktat.designs import make
from cktat.errors import CktatError
from cktat.grid.comparison import DesignEntry
from cktat.paper.theory.patchnet import PatchNets
from cktat.schema import Recipe
from cktat.seeds import derive, generator
from cktat.training import AdversarialLoss
from cktat.training.schedule import lr_factor


@dataclass(frozen=True)
class InMemory:
    """How patchnets are trained: SGD with Nesterov's momentum and one cycle of the rate, as by `cktat train`, and an adversary
    of `steps` steps in an L2 ball around all patches together."""

    epochs: int = 20
    eps: float = 0.6
    batch_size: int = 50
    lr: float = 0.1
    steps: int = 5

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or not self.eps > 0:
            raise CktatError(f"a training must have epochs >= 1, batch_size >= 1 and eps > 0, not {self}")


def train(
    design: str,
    nets: PatchNets,
    x: Tensor,
    y: Tensor,
    how: InMemory,
    seeds: Sequence[int],
    *,
    teachers: Mapping[str, nn.Module] | None = None,
    settle: Mapping[str, float] | None = None,
    look: Callable[[int], None] = lambda epoch: None,
) -> PatchNets:
    """Trains nets, one for each seed, and returns them in eval mode.

    design: such as "cktat tau=1 beta=1". x [S, N, d, P, 1], y [S, N]: the samples of each. teachers: frozen networks by letter,
    side by side, too. settle: values that the design leaves open. look: called with the number of every epoch that has ended,
    from 1. What a seed's network becomes depends on its own samples and order; starts of attacks are drawn for all together.
    """
    entry = DesignEntry.read(design)
    made = make(entry.design, **entry.set)
    recipe = Recipe(epochs=how.epochs, batch_size=how.batch_size, lr=how.lr)
    loss = AdversarialLoss(
        made.settle(**settle) if settle else made, nets, teachers=teachers, start=False, eps=how.eps,
        step=2 * how.eps / how.steps, steps=how.steps, norm="L2", box=None, epochs=how.epochs, seed=derive(seeds[0], "attack"),
    )  # fmt: skip
    loss.classes = nets.weights.shape[1]  # else it would ask a single image, and they take S at least
    optimiser = torch.optim.SGD(
        nets.parameters(), how.lr, recipe.momentum, weight_decay=recipe.weight_decay, nesterov=recipe.nesterov
    )
    nets.train()
    each, one = x.shape[1], torch.arange(len(seeds)).unsqueeze(1)
    batches = -(-each // how.batch_size)
    for epoch in range(how.epochs):
        order = torch.stack([torch.randperm(each, generator=generator(seed, "order", epoch)) for seed in seeds])
        for number, rows in enumerate(order.split(how.batch_size, dim=1)):
            done = epoch + number / batches
            loss.progress = done / how.epochs
            optimiser.param_groups[0]["lr"] = how.lr * lr_factor(recipe, done)
            optimiser.zero_grad()
            (len(seeds) * loss(x[one, rows].flatten(0, 1), y[one, rows].flatten())).backward()
            optimiser.step()
            loss.follow()
        look(epoch + 1)
    return nets.eval().requires_grad_(False)
