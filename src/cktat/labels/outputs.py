"""What a sentence is made of: networks, views, labels, and what a network says of a view.

They are defined by each other: an output is a network on a view, a label may be an output, the view x' has a label inside.
The logits of one step, by network and view, are all that a design's loss is a function of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from cktat.errors import CktatError
from cktat.labels.kinds import require_kinds
from cktat.labels.scalars import Moment, Number, now, require_positive

LOG_PROBS, LOGITS, CLASSES = "log-probabilities", "logits", "classes"


@dataclass(frozen=True)
class Network:
    """A network, named by the letter that the method's paper gives it. Calling it gives its `Output` on a view."""

    letter: str

    def __call__(self, view: View, tau: Number = 1.0) -> Output:
        return Output(self, view, tau)

    @property
    def trains(self) -> bool:
        return False

    def __str__(self) -> str:
        return self.letter


@dataclass(frozen=True)
class View:
    """An image derived from the sample; `sign` is how tables and cells write it."""

    sign: str

    def __str__(self) -> str:
        return self.sign


class Label:
    """Base of all labels. `offers` says what it resolves to."""

    offers: frozenset[str] = frozenset({LOG_PROBS})

    def log_probs(self, at: Outputs) -> Tensor:  # [N, K]
        raise CktatError(f"the label {self} has no {LOG_PROBS}")

    def logits(self, at: Outputs) -> Tensor:  # [N, K]
        raise CktatError(f"the label {self} has no {LOGITS}")

    def classes(self, at: Outputs) -> Tensor:  # [N]
        raise CktatError(f"the label {self} has no {CLASSES}")

    def resolve(self, at: Outputs, what: str) -> Tensor:
        return {LOG_PROBS: self.log_probs, LOGITS: self.logits, CLASSES: self.classes}[what](at)


@dataclass(frozen=True)
class Output(Label):
    """The softmax of a network's logits on a view, divided by the temperature `tau`. Live unless its network is not
    trained: a target that is the learner's own output carries gradient, as in the authors' releases.
    """

    network: Network
    view: View
    tau: Number = 1.0
    offers = frozenset({LOG_PROBS, LOGITS})

    def __post_init__(self) -> None:
        require_kinds(self, network=Network, view=View)
        require_positive(self.tau, f"the temperature of {self.network.letter}({self.view.sign})")

    @property
    def cell(self) -> Cell:
        return Cell(self.network, self.view)

    def logits(self, at: Outputs) -> Tensor:
        tau = now(self.tau, at.moment, require_positive, f"the temperature of {self}")
        return at[self.cell] if tau == 1.0 else at[self.cell] / tau

    def log_probs(self, at: Outputs) -> Tensor:
        return F.log_softmax(self.logits(at), dim=1)

    def __str__(self) -> str:
        tempered = "" if self.tau == 1.0 else "^tau"
        return f"{self.network.letter}{tempered}({self.view.sign})"


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

    Example:
        >>> import torch
        >>> from cktat.designs import standard
        >>> design = standard()
        >>> logits = {cell: torch.zeros(2, 4) for cell in design.cells}
        >>> design.loss(Outputs(logits, y=torch.tensor([0, 1]), classes=4))
        tensor(1.3863)
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

    def check(self) -> None:
        """Raises CktatError unless the logits [N, K] are floats and the labels [N] whole. Looks at types and shapes only."""
        if not isinstance(self.y, Tensor) or self.y.dim() != 1 or self.y.dtype not in (torch.int64, torch.int32):
            raise CktatError(f"a loss takes labels [N] as a tensor of int64, not {_shown(self.y)}")
        if not isinstance(self.logits, Mapping):
            raise CktatError(f"a loss takes logits by cell, {{cell: [N, K]}}, not {_shown(self.logits)}")
        for cell, logits in self.logits.items():
            if not isinstance(logits, Tensor) or not logits.is_floating_point():
                raise CktatError(f"a loss takes logits as a tensor of floats; those of {cell} are {_shown(logits)}")
            if logits.shape != (len(self.y), self.classes):
                wanted = [len(self.y), self.classes]
                raise CktatError(f"the logits of {cell} are {list(logits.shape)}; {wanted} is [labels, classes]")

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


def _shown(given: object) -> str:
    return f"{list(given.shape)} of {given.dtype}" if isinstance(given, Tensor) else f"a {type(given).__name__}"
