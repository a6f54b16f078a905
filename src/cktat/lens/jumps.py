"""How near an image is to one with another label: what no student can give two answers to inside one ball."""

from __future__ import annotations

import torch
from torch import Tensor

from cktat.attacks import Ball, Model, NormLike, answer, attacked, fab, norm_of


def nearest_jump(model: Model, x: Tensor, reach: float, *, norm: NormLike = "Linf", steps: int = 20) -> Tensor:
    """How little an image must change for its label, the largest class of a network, to become another: [N], in the unit of
    the images, infinite where nothing was found within `reach`.

    FAB looks for it, so it is an upper bound. A label that jumps within eps asks for two answers in one ball.

    Example: the label is the larger of two pixels, which differ by 0.2
        >>> import torch
        >>> x = torch.tensor([[[[0.6, 0.4]]]])
        >>> round(nearest_jump(torch.nn.Flatten(), x, 0.5).item(), 2)
        0.1
    """
    with torch.no_grad(), attacked(model):
        label = answer(model, x).argmax(dim=1)
    found = fab(model, x, label, reach, steps=steps, norm=norm, targeted=False)
    with torch.no_grad(), attacked(model):
        changed = answer(model, found).argmax(dim=1) != label
    return torch.where(changed, Ball(reach, norm=norm_of(norm)).distance(found.double(), x.double()), torch.inf)
