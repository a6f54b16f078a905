"""Learning-rate schedules: the factor of lr as a function of how far training is."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise

from cktat.errors import CktatError
from cktat.schema import Recipe
from cktat.usercode import function_of, is_own


def factor_of(recipe: Recipe) -> Callable[[float], float]:
    """Epoch, a fraction counted from 0 -> factor of `recipe.lr`. Raises CktatError where a function of a user's answers with
    anything but a finite number of 0 or more."""
    if not is_own(recipe.schedule):
        return partial(lr_factor, recipe)
    function = function_of(recipe.schedule, "schedule")

    def own(epoch: float) -> float:
        factor = function(epoch / recipe.epochs)
        try:
            number = float(factor)
        except (TypeError, ValueError):
            number = math.nan
        if not (math.isfinite(number) and number >= 0):
            raise CktatError(
                f"schedule {recipe.schedule!r} must answer with the factor of lr, 0 or more; at {epoch / recipe.epochs:.3f} of "
                f"the training it answered {factor!r}"
            )
        return number

    return own


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
