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
    """A label that is one class per sample; its log-probabilities are 0 there and -inf elsewhere.

    Example:
        >>> from cktat.labels import Outputs
        >>> y.log_probs(Outputs({}, y=torch.tensor([1]), classes=3)).exp()
        tensor([[0., 1., 0.]])
    """

    offers = frozenset({LOG_PROBS, CLASSES})

    def log_probs(self, at: Outputs) -> Tensor:
        classes = self.classes(at)
        empty = torch.full((len(classes), at.classes), -math.inf, dtype=at.dtype, device=classes.device)
        return empty.scatter_(1, classes.unsqueeze(1), 0.0)


@dataclass(frozen=True)
class TrueLabel(HardLabel):
    """The class of the sample, as the data set gives it.

    Example:
        >>> print(y)
        y
    """

    def classes(self, at: Outputs) -> Tensor:
        return at.y

    def __str__(self) -> str:
        return "y"


@dataclass(frozen=True)
class Uniform(Label):
    """The uniform distribution: over the classes as a label, over the ball as the start of an inner maximisation.

    Example:
        >>> from cktat.labels import Outputs
        >>> uniform.log_probs(Outputs({}, y=torch.tensor([0]), classes=4)).exp()
        tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """

    def log_probs(self, at: Outputs) -> Tensor:
        return torch.full((len(at.y), at.classes), -math.log(at.classes), dtype=at.dtype, device=at.y.device)

    def __str__(self) -> str:
        return "uniform"


@dataclass(frozen=True)
class Others(Label):
    """The uniform distribution over the classes other than y.

    Example:
        >>> from cktat.labels import Outputs
        >>> others.log_probs(Outputs({}, y=torch.tensor([0]), classes=5)).exp()
        tensor([[0.0000, 0.2500, 0.2500, 0.2500, 0.2500]])
    """

    def log_probs(self, at: Outputs) -> Tensor:
        return (
            uniform.log_probs(at).add(math.log(at.classes / (at.classes - 1))).scatter(1, at.y.unsqueeze(1), -math.inf)
        )

    def __str__(self) -> str:
        return "others"


@dataclass(frozen=True)
class Top(HardLabel):
    """The class that an output finds most likely, or most likely except the label `other_than`. Carries no gradient.

    Example:
        >>> from cktat.labels import Frozen, clean
        >>> print(Top(Frozen("T")(clean), other_than=y))
        top(T(x), other than y)
    """

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
class Trust:
    """A share per sample: `ceiling` less what the output's largest probability is above that of the true class, in [0, 1].

    An output that finds the true class most likely has the whole ceiling, one that is sure of another class nothing.

    Example:
        >>> from cktat.labels import Frozen, clean
        >>> Trust(Frozen("T")(clean), 0.9).ceiling
        0.9
    """

    output: Output
    ceiling: Number

    def __post_init__(self) -> None:
        require_kinds(self, output=Output)
        require_share(self.ceiling, f"the ceiling of the trust in {self.output}")

    def __call__(self, at: Outputs) -> Tensor:  # [N]
        ceiling = now(self.ceiling, at.moment, require_share, f"the ceiling of the trust in {self.output}")
        p = self.output.log_probs(at).exp()
        return (ceiling - (p.amax(dim=1) - p.gather(1, at.y.unsqueeze(1)).squeeze(1))).clamp(0.0, 1.0)


@dataclass(frozen=True)
class Mixture(Label):
    """share * soft + (1 - share) * hard, as distributions; the share is one number or one per sample.

    Example:
        >>> print(Mixture(uniform, y, 0.1))
        interpolation between uniform and y
    """

    soft: Label
    hard: Label
    share: Number | Trust

    def __post_init__(self) -> None:
        if not isinstance(self.share, Trust):
            require_share(self.share, f"the share of {self.soft} in a mixture")

    def log_probs(self, at: Outputs) -> Tensor:
        if isinstance(self.share, Trust):
            shares = self.share(at).unsqueeze(1)  # [N, 1]
            soft, hard = self.soft.log_probs(at), self.hard.log_probs(at)
            whole, none = shares == 1, shares == 0  # log(0) has no slope, so the ends are taken as they are
            inside = shares.masked_fill(whole | none, 0.5)
            mixed = _mixed(soft + inside.log(), hard + (-inside).log1p())
            return torch.where(whole, soft, torch.where(none, hard, mixed))
        share = now(self.share, at.moment, require_share, f"the share of {self.soft} in a mixture")
        if share in (0.0, 1.0):
            return (self.soft if share else self.hard).log_probs(at)
        return _mixed(self.soft.log_probs(at) + math.log(share), self.hard.log_probs(at) + math.log1p(-share))

    def __str__(self) -> str:
        return f"interpolation between {self.soft} and {self.hard}"


@dataclass(frozen=True)
class Held(Label):
    """A label through which no gradient flows, for the ablations of what the releases leave live.

    Example:
        >>> from cktat.labels import Learner, clean
        >>> print(Held(Learner("S")(clean)))
        held S(x)
    """

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


def _mixed(a: Tensor, b: Tensor) -> Tensor:
    # logaddexp(-inf, -inf) has a NaN gradient: such entries are computed from 0 and put back to -inf.
    none = (a == -math.inf) & (b == -math.inf)
    return torch.logaddexp(a.masked_fill(none, 0.0), b.masked_fill(none, 0.0)).masked_fill(none, -math.inf)


y = TrueLabel()
uniform = Uniform()
others = Others()


def top(output: Output, other_than: HardLabel | None = None) -> Top:
    """The most likely class of `output`, as a hard label without gradient.

    Example:
        >>> from cktat.labels import Frozen, clean
        >>> print(top(Frozen("H")(clean)))
        top(H(x))
    """
    return Top(output, other_than)


def held(label: Label) -> Held:
    """`label` as a constant: no gradient flows into the network that gave it.

    Example:
        >>> from cktat.labels import Learner, clean
        >>> print(held(Learner("S")(clean)))
        held S(x)
    """
    return Held(label)


def trust(output: Output, ceiling: Number = 1.0) -> Trust:
    """The share of a mixture that a sample's label gets of `output`: the more, the less it contradicts y.

    Example:
        >>> from cktat.labels import Frozen, clean, mix
        >>> T = Frozen("T")
        >>> print(mix(T(clean), y, trust(T(clean), 0.9)))
        interpolation between T(x) and y
    """
    return Trust(output, ceiling)
