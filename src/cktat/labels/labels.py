"""What an output is pulled toward: the hard label, a distribution, another output, or a mixture of them.

A label resolves to log-probabilities [N, K] (-inf where the probability is 0), to logits [N, K], or to classes [N];
the distance of a term says which of them it needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cktat.labels.kinds import require_kinds
from cktat.labels.outputs import CLASSES, LOG_PROBS, Label, Output, Outputs
from cktat.labels.scalars import Number, now, require_share


class HardLabel(Label):
    """A label that is one class per sample; its log-probabilities are 0 there and -inf elsewhere."""

    offers = frozenset({LOG_PROBS, CLASSES})

    def log_probs(self, at: Outputs) -> Tensor:
        classes = self.classes(at)
        empty = torch.full((len(classes), at.classes), -math.inf, dtype=at.dtype, device=classes.device)
        return empty.scatter_(1, classes.unsqueeze(1), 0.0)


@dataclass(frozen=True)
class TrueLabel(HardLabel):
    """The class of the sample, as the data set gives it."""

    def classes(self, at: Outputs) -> Tensor:
        return at.y

    def __str__(self) -> str:
        return "y"


@dataclass(frozen=True)
class Uniform(Label):
    """The uniform distribution: over the classes as a label, over the ball as the start of an inner maximisation."""

    def log_probs(self, at: Outputs) -> Tensor:
        return torch.full((len(at.y), at.classes), -math.log(at.classes), dtype=at.dtype, device=at.y.device)

    def __str__(self) -> str:
        return "uniform"


@dataclass(frozen=True)
class Top(HardLabel):
    """The class that an output finds most likely, or most likely except the label `other_than`. Carries no gradient."""

    output: Output
    other_than: HardLabel | None = None

    def __post_init__(self) -> None:
        require_kinds(self, output=Output, other_than=(HardLabel, type(None)))

    def classes(self, at: Outputs) -> Tensor:
        logits = self.output.logits(at).detach()
        if self.other_than is not None:
            logits = logits.scatter(1, self.other_than.classes(at).unsqueeze(1), -math.inf)
        return logits.argmax(dim=1)

    def __str__(self) -> str:
        other = f", other than {self.other_than}" if self.other_than is not None else ""
        return f"top({self.output}{other})"


@dataclass(frozen=True)
class Mixture(Label):
    """share * soft + (1 - share) * hard, as distributions."""

    soft: Label
    hard: Label
    share: Number

    def __post_init__(self) -> None:
        require_share(self.share, f"the share of {self.soft} in a mixture")

    def log_probs(self, at: Outputs) -> Tensor:
        share = now(self.share, at.moment, require_share, f"the share of {self.soft} in a mixture")
        if share in (0.0, 1.0):
            return (self.soft if share else self.hard).log_probs(at)
        soft, hard = self.soft.log_probs(at) + math.log(share), self.hard.log_probs(at) + math.log1p(-share)
        # logaddexp(-inf, -inf) has a NaN gradient: such entries are computed from 0 and put back to -inf.
        none = (soft == -math.inf) & (hard == -math.inf)
        mixed = torch.logaddexp(soft.masked_fill(none, 0.0), hard.masked_fill(none, 0.0))
        return mixed.masked_fill(none, -math.inf)

    def __str__(self) -> str:
        return f"interpolation between {self.soft} and {self.hard}"


@dataclass(frozen=True)
class Held(Label):
    """A label through which no gradient flows, for the ablations of what the releases leave live."""

    label: Label

    def __post_init__(self) -> None:
        require_kinds(self, label=Label)

    @property
    def offers(self) -> frozenset[str]:  # type: ignore[override]
        return self.label.offers

    def log_probs(self, at: Outputs) -> Tensor:
        return self.label.log_probs(at).detach()

    def logits(self, at: Outputs) -> Tensor:
        return self.label.logits(at).detach()

    def classes(self, at: Outputs) -> Tensor:
        return self.label.classes(at)

    def __str__(self) -> str:
        return f"held {self.label}"


y = TrueLabel()
uniform = Uniform()


def top(output: Output, other_than: HardLabel | None = None) -> Top:
    """The most likely class of `output`, as a hard label without gradient."""
    return Top(output, other_than)


def held(label: Label) -> Held:
    """`label` as a constant: no gradient flows into the network that gave it."""
    return Held(label)
