"""The logits of one step, by network and view: all that a design's loss is a function of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from cktat.errors import CktatError
from cktat.labels.networks import Network
from cktat.labels.scalars import Moment
from cktat.labels.views import View


class Cell(NamedTuple):
    """One forward pass of a step: this network on this view."""

    network: Network
    view: View

    def __str__(self) -> str:
        return f"{self.network}({self.view})"


@dataclass
class Outputs:
    """Logits [N, K] of every cell, labels y [N] (int64) and the moment of training.

    Half-precision logits are raised to fp32 once, so that every loss is computed in fp32 or better; logits of networks
    that do not train are constants, unless `moving`: inside an attack they follow the moving image.
    """

    logits: Mapping[Cell, Tensor]
    y: Tensor
    classes: int
    progress: float = 0.0
    epoch: int = 0
    epochs: int = 1
    step: int = 0
    moving: bool = False
    _raised: dict[Cell, Tensor] = field(default_factory=dict, repr=False)

    @property
    def moment(self) -> Moment:
        return Moment(self.progress, self.epoch, self.epochs, self.step)

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the losses."""
        dtype = next(iter(self.logits.values())).dtype if self.logits else torch.float32
        return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype

    def __getitem__(self, cell: Cell) -> Tensor:
        if cell not in self._raised:
            if cell not in self.logits:
                raise CktatError(f"the loss needs the logits of {cell}, which were not computed")
            logits = self.logits[cell]
            logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
            self._raised[cell] = logits if self.moving or cell.network.trains else logits.detach()
        return self._raised[cell]
