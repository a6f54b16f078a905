"""What the evaluation's attacks maximise: functions of logits [N, K] and labels [N], one value per image [N]."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import SupportsFloat

import torch.nn.functional as F
from torch import Tensor

from cktat.errors import CktatError
from cktat.numeric import as_number

OfLogits = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """-log softmax(logits)_y."""
    return F.cross_entropy(logits, y, reduction="none")


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """max over k != y of z_k - z_y: above 0 exactly where the image is misclassified."""
    index = y.unsqueeze(1)
    others = logits.scatter(1, index, -math.inf).amax(dim=1)
    return others - logits.gather(1, index).squeeze(1)


def capped_margin(confidence: SupportsFloat) -> OfLogits:
    """The margin up to `confidence`, past which nothing is gained (the L_inf form of Carlini and Wagner's loss)."""
    most = as_number(confidence)
    if not isinstance(most, int | float) or not most > -math.inf:
        raise CktatError(f"the confidence up to which a margin counts must be a number, not {most!r}")
    return lambda logits, y: margin(logits, y).clamp(max=most)
