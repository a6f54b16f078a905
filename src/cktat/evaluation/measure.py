"""Accuracy under attack, in true fp32 whatever the training precision was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cktat.attacks import Attack, Ball, Box, Model, Norm, attacked, logits_of
from cktat.data import Split, ordered
from cktat.errors import CktatError
from cktat.runs import World
from cktat.seeds import generator

BatchWatch = Callable[[int, int], None]
"""(images done, images right so far)."""


@contextmanager
def true_fp32() -> Iterator[None]:
    """Matrix products and convolutions in fp32 proper: no TF32, no autocast."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def flags(
    module: nn.Module,
    split: Split,
    attack: Attack | None,
    *,
    eps: float,
    step: float | None = None,
    levels: int = 255,
    box: Box | None = (0.0, 1.0),
    norm: Norm = "Linf",
    batch_size: int = 250,
    seed: int = 0,
    device: torch.device | str = "cpu",
    watch: BatchWatch = lambda done, right: None,
    world: World = World(),
) -> Tensor:
    """Bool [N]: which images are classified rightly, without an attack and under it. attack None: clean accuracy.

    An image that is wrong without an attack counts as broken and is not attacked. Each batch draws its starts from (seed,
    its first image), so that a number depends on the batch size but not on how far an evaluation got before it stopped.
    Batch i is measured by process i mod size of `world`; all learn all flags. `watch` hears of this process's own images
    and, at the end, of all. Raises CktatError for answers that are no finite logits, and for labels past the classes.
    """
    if len(split) == 0:
        raise CktatError("there are no images to evaluate")
    module, highest = module.float().eval(), int(split.labels.max())

    def measure() -> dict[int, Tensor]:
        by_batch: dict[int, Tensor] = {}
        for number, batch in enumerate(ordered(split, batch_size, levels=levels, device=device)):
            if number % world.size != world.rank:
                continue
            right = predict(module, batch.x, highest) == batch.y
            if attack is not None and bool(right.any()):
                draws = generator(seed, "evaluate", int(batch.index[0]))
                x, y = batch.x[right], batch.y[right]
                moved = attack(module, x, y, eps=eps, step=step, box=box, norm=norm, seed=draws)
                right[right.clone()] = predict(module, Ball(eps, box, norm).require(moved, x)) == y
            by_batch[number] = right.cpu()
            watch(sum(map(len, by_batch.values())), int(sum(int(part.sum()) for part in by_batch.values())))
        return by_batch

    with true_fp32(), attacked(module):
        own = world.together(measure)
    parts = {number: part for theirs in world.gather(own) for number, part in theirs.items()}
    found = torch.cat([parts[number] for number in sorted(parts)])
    if len(own) < len(parts):
        watch(len(found), int(found.sum()))
    return found


def predict(model: Model, x: Tensor, highest: int = 0) -> Tensor:
    """Class of each image [N]; see `logits_of`."""
    return logits_of(model, x, highest).argmax(dim=1)
