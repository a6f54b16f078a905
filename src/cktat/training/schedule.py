"""Learning-rate schedules: the factor of lr as a function of how far training is."""

from __future__ import annotations

import math
from itertools import pairwise

from cktat.schema import Recipe


def lr_factor(recipe: Recipe, epoch: float) -> float:
    """The factor of `recipe.lr` at `epoch`, a fraction of an epoch counted from 0.

    one-cycle: a cosine from 1/25 up to 1 at `rise` of the training, then a cosine down to 1e-4 / 25 (the shape of PyTorch's
    OneCycleLR, as in imrahulr/hat; its cycle of the momentum is left out). piecewise: the factor of the last point
    reached. linear: a line from point to point, from factor 1 at the start.
    """
    progress = epoch / recipe.epochs
    if recipe.schedule == "one-cycle":
        first, last = 1 / 25, 1e-4 / 25
        if progress < recipe.rise:
            return _cosine(first, 1.0, progress / recipe.rise)
        return _cosine(1.0, last, (progress - recipe.rise) / (1 - recipe.rise) if recipe.rise < 1 else 1.0)
    if epoch < recipe.warmup_epochs:
        return recipe.warmup_factor
    if recipe.schedule == "piecewise":
        return next((factor for at, factor in reversed(recipe.points) if progress >= at), 1.0)
    if recipe.schedule == "linear":
        points = ((0.0, 1.0), *recipe.points)
        for (begin, first), (end, last) in pairwise(points):
            if progress < end:
                return first + (last - first) * (progress - begin) / (end - begin)
        return points[-1][1]
    return _cosine(1.0, 0.0, progress) if recipe.schedule == "cosine" else 1.0


def _cosine(begin: float, end: float, progress: float) -> float:
    return end + (begin - end) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2
