"""A network that takes images in [0, 1]: an attack's ball and box then mean the same for every network."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cktat.errors import CktatError


class Normalised(nn.Module):
    """Logits of `body((x - mean) / std)`: images [N, C, H, W] in [0, 1] -> [N, K].

    `mean` and `std` (one number per channel, fractions of the pixel range) are buffers [1, C, 1, 1], part of the state
    dict, so that a checkpoint carries the normalisation it was trained with. Raises CktatError if they differ in
    length or a `std` is not positive.

    Example:
        >>> network = Normalised(nn.Flatten(), mean=[0.5], std=[0.5])
        >>> network(torch.ones(1, 1, 1, 2))
        tensor([[1., 1.]])
    """

    mean: Tensor
    std: Tensor
    leaves_input = True
    """The body is given a tensor of its own, so that one that works in place changes nobody's images."""

    def __init__(self, body: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if not mean or len(mean) != len(std):
            raise CktatError(f"mean and std need one number per channel each, not {len(mean)} and {len(std)}")
        if not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0:
            raise CktatError(f"mean and std must be finite and std positive, not mean={mean}, std={std}")
        self.body = body
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.get_default_dtype()).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.get_default_dtype()).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        # Without this check a grey image would broadcast over three channels in silence.
        if x.ndim != 4 or x.shape[1] != self.mean.shape[1]:
            raise CktatError(f"this model takes images [N, {self.mean.shape[1]}, H, W], not {list(x.shape)}")
        return self.body((x - self.mean) / self.std)

    @property
    def head(self) -> nn.Linear:
        """The layer that makes the logits, see `head_of`."""
        return head_of(self.body)


def head_of(module: nn.Module) -> nn.Linear:
    """The last registered nn.Linear: the layer that makes the logits, which are rescaled by rescaling it.

    Raises CktatError if the network has no linear layer.
    """
    layers = [part for part in module.modules() if isinstance(part, nn.Linear)]
    if not layers:
        raise CktatError(f"model {type(module).__name__} has no nn.Linear that could be its head")
    return layers[-1]
