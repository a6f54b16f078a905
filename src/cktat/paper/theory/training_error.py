"""Clean and robust training error of any network (Definitions A.3 and A.4)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cktat.attacks import Model
from cktat.errors import CktatError


def softmax_error(logits: Tensor, y: Tensor) -> Tensor:
    """1 - e^(F_y) / sum_j e^(F_j) for every sample: logits [N, K], labels [N] -> [N]."""
    if logits.ndim != 2 or y.shape != logits.shape[:1]:
        raise CktatError(
            f"a softmax error takes logits [N, K] and labels [N], not {list(logits.shape)}, {list(y.shape)}"
        )
    return 1 - logits.softmax(dim=1).gather(1, y.unsqueeze(1)).squeeze(1)


@torch.no_grad()
def clean_training_error(model: Model, x: Tensor, y: Tensor) -> float:
    """Eq. 20: the mean over N samples of 1 - softmax probability of the label; `model` maps x [N, ...] to logits [N, K]."""
    return float(softmax_error(model(x), y).mean())


def robust_training_error(model: Model, adversary: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> float:
    """Eq. 21: the same on adversarial samples; `adversary` maps x and y to perturbed x of the same shape."""
    moved = adversary(x, y)
    if moved.shape != x.shape:
        raise CktatError(
            f"an adversary must keep the shape {list(x.shape)} of its samples, not return {list(moved.shape)}"
        )
    return clean_training_error(model, moved, y)
