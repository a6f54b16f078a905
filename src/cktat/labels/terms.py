"""One sentence of a loss: this output is pulled toward that label, this strongly."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from cktat.errors import CktatError
from cktat.labels.distances import Distance, kl
from cktat.labels.kinds import require_kinds
from cktat.labels.outputs import Label, Output, Outputs
from cktat.labels.scalars import Number, now, require_positive, require_weight


@dataclass(frozen=True)
class Confidence:
    """A weight per sample from an output's probability of the true class: base + sign * p_y ** power.

    Example:
        >>> from cktat.labels import Frozen, clean
        >>> Confidence(Frozen("T")(clean), 1.0, 0.0, 1.0).power
        1.0
    """

    output: Output
    power: float
    base: float
    sign: float

    def __post_init__(self) -> None:
        require_kinds(self, output=Output)
        require_positive(self.power, f"the power of a confidence in {self.output}")

    def __call__(self, at: Outputs) -> Tensor:  # [N]
        # through the log-softmax, because p ** 0.1 has an infinite slope where p underflows to 0
        log_p = F.log_softmax(self.output.logits(at), dim=1).gather(1, at.y.unsqueeze(1)).squeeze(1)
        return self.base + self.sign * (self.power * log_p).exp()


def sure(output: Output, power: float = 1.0) -> Confidence:
    """p_y ** power: how sure `output` is of the true class.

    Example:
        >>> from cktat.labels import Frozen, clean
        >>> sure(Frozen("T")(clean), power=0.5).power
        0.5
    """
    return Confidence(output, power, 0.0, 1.0)


def unsure(output: Output, power: float = 1.0, ceiling: float = 1.0) -> Confidence:
    """ceiling - p_y ** power: how unsure `output` is of the true class.

    Example:
        >>> from cktat.labels import Frozen, clean
        >>> unsure(Frozen("T")(clean), power=0.1).power
        0.1
    """
    return Confidence(output, power, ceiling, -1.0)


@dataclass(frozen=True)
class Term:
    """`weight` times the mean over the batch of `per_sample` times the distance of `output` from `label`.

    name: how ablations and logs call it; "" stands for "S(x'):y" and the like.

    Example:
        >>> from cktat.labels import Learner, adversarial, clean, y
        >>> S = Learner("S")
        >>> Term(S(adversarial(S, y)), S(clean), 6.0, name="smooth").weight
        6.0
    """

    output: Output
    label: Label
    weight: Number = 1.0
    per_sample: Confidence | None = None
    by: Distance = kl
    name: str = ""

    def __post_init__(self) -> None:
        kinds = {"output": Output, "label": Label, "by": Distance, "per_sample": (Confidence, type(None)), "name": str}
        require_kinds(self, **kinds)  # type: ignore[arg-type]
        if not self.output.network.trains:
            raise CktatError(f"the term {self} pulls {self.output.network}, which does not train")
        if self.by.needs not in self.label.offers:
            raise CktatError(f"the term {self} by {self.by} needs a label with {self.by.needs}, which it has not")
        require_weight(self.weight, f"the weight of {self}")

    @property
    def vanishes(self) -> bool:
        """Whether its weight is the number 0: it then costs nothing."""
        return isinstance(self.weight, float | int) and self.weight == 0

    def __call__(self, at: Outputs) -> Tensor:
        """The weighted loss, a scalar."""
        weight = now(self.weight, at.moment, require_weight, f"the weight of {self}")
        distance = self.by.at(at)(self.output.logits(at), self.label.resolve(at, self.by.needs))
        if self.per_sample is not None:
            distance = self.per_sample(at) * distance
        return weight * distance.mean()

    def __str__(self) -> str:
        return self.name or f"{self.output}:{self.label}"
