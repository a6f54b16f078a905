"""How hard a label is to learn: what a student has left of it, beside a constant answer and an untrained student."""

from __future__ import annotations

from dataclasses import dataclass

import scipy
import torch
from torch import Tensor


@dataclass(frozen=True)
class Difficulty:
    """What is left of a label, in nats per image: KL(label || output), that is the cross-entropy less the label's entropy.

    Attributes:
        left: by the student.
        constant: by the best constant answer, which is the mean label. It is the information that the label has on the image.
        untrained: by a student that was not trained; None where none was asked.
        entropy: of the label: the floor that no student can go below, taken off already.
    """

    left: float
    constant: float
    untrained: float | None
    entropy: float

    @property
    def relative(self) -> float:
        """left / constant: 0 if the student has learned the label, 1 if it is no better than a constant answer. A label that is
        the same for all images has nothing to learn, and 0."""
        return self.left / self.constant if self.constant > 1e-12 else 0.0


def left_over(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(label || output) of each image, in nats [N]; labels and outputs as log-probabilities [N, K]."""
    p = log_p.double().exp()
    return torch.where(p > 0, p * (log_p.double() - log_q.double()), 0.0).sum(dim=1)


def difficulty(label: Tensor, output: Tensor, untrained: tuple[Tensor, Tensor] | None = None) -> Difficulty:
    """What a student has left of labels.

    Args:
        label: [N, K], log-probabilities.
        output: what the student says where the label is meant to hold [N, K], log-probabilities.
        untrained: label and output of an untrained student, at the points that the adversary finds against it.

    Example: half of the images of each of two classes, and a student that answers the same for all
        >>> import torch
        >>> label = torch.eye(2).log()
        >>> found = difficulty(label, torch.full((2, 2), 0.5).log())
        >>> round(found.left, 4), round(found.relative, 4), found.entropy
        (0.6931, 1.0, 0.0)
    """
    label = label.double()
    p = label.exp()
    mean = p.mean(dim=0, keepdim=True).clamp_min(1e-300).log().expand_as(label)
    return Difficulty(
        left=float(left_over(label, output).mean()),
        constant=float(left_over(label, mean).mean()),
        untrained=None if untrained is None else float(left_over(*untrained).mean()),
        entropy=float(torch.special.entr(p).sum(dim=1).mean()),
    )


def chance_above(values: Tensor, marked: Tensor) -> float | None:
    """How often a marked image has the higher value of two, one marked and one not: 1 always, 0.5 by chance, 0 never. It is the
    area under the ROC curve; ties count half. None where all are marked, or none is.

    Args:
        values: [N].
        marked: flags [N].

    Example:
        >>> import torch
        >>> chance_above(torch.tensor([3.0, 1.0, 2.0]), torch.tensor([True, False, False]))
        1.0
    """
    high, low = values[marked].double().cpu().numpy(), values[~marked].double().cpu().numpy()
    if not len(high) or not len(low):
        return None
    return float(scipy.stats.mannwhitneyu(high, low).statistic) / (len(high) * len(low))
