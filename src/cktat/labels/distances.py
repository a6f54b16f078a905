"""How far an output is from its label. Every distance returns one value per sample, [N]."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from cktat.labels.kinds import require_kinds
from cktat.labels.outputs import CLASSES, LOG_PROBS, LOGITS, Label, Outputs


@dataclass(frozen=True)
class Distance:
    """`function(logits [N, K], label)` -> [N]; `needs` says what the label must resolve to.

    Example:
        >>> import torch
        >>> kl(torch.zeros(1, 4), torch.tensor([[0.0, -math.inf, -math.inf, -math.inf]]))
        tensor([1.3863])
    """

    name: str
    needs: str
    function: Callable[..., Tensor]

    def __call__(self, logits: Tensor, label: Tensor) -> Tensor:
        return self.function(logits, label)

    def at(self, outputs: Outputs) -> Distance:
        """The distance as these outputs make it."""
        return self

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Weighted(Distance):
    """A distance in which every sample gives each class a weight: `function(logits, label, weights [N, K])`.

    weights: the label whose probabilities they are; live where it is.

    Example:
        >>> from cktat.labels import uniform
        >>> print(pairs(uniform))
        pairs(uniform)
    """

    weights: Label

    def __post_init__(self) -> None:
        require_kinds(self, weights=Label)

    def at(self, outputs: Outputs) -> Distance:
        weights = self.weights.log_probs(outputs).exp()
        return Distance(self.name, self.needs, lambda logits, label: self.function(logits, label, weights))

    def __str__(self) -> str:
        return f"{self.name}({self.weights})"


def _expected(log_p: Tensor, log_q: Tensor) -> Tensor:
    # sum_k p (log p - log q) with 0 log 0 = 0 in value and gradient. Written from two log-softmaxes: with a target given
    # as probabilities the gradient is NaN where one underflows to 0.
    empty = log_p == -math.inf
    log_p = log_p.masked_fill(empty, 0.0)
    return ((log_p.exp() * (log_p - log_q)).masked_fill(empty, 0.0)).sum(dim=1)


def _kl(logits: Tensor, log_p: Tensor) -> Tensor:
    return _expected(log_p, F.log_softmax(logits, dim=1))


def _kl_per_class(logits: Tensor, log_p: Tensor) -> Tensor:
    return _kl(logits, log_p) / logits.shape[1]


def _kl_floored(logits: Tensor, log_p: Tensor) -> Tensor:
    return _expected(log_p, (F.softmax(logits, dim=1) + 1e-12).log())


def _mse(logits: Tensor, label: Tensor) -> Tensor:
    return (logits - label).square().mean(dim=1)


def _pairs(logits: Tensor, label: Tensor, weights: Tensor) -> Tensor:
    # sum over j, k of w_j w_k ((z_j - z_k) - (l_j - l_k))^2 is twice W sum_j w_j (d_j - mean of d)^2 with d = z - l and W the
    # sum of the weights: no table of K x K, and no difference of large sums.
    difference, total = logits - label, weights.sum(dim=1, keepdim=True)
    mean = (weights * difference).sum(dim=1, keepdim=True) / total
    return (total * weights * (difference - mean).square()).sum(dim=1) / 2


def _boosted(logits: Tensor, classes: Tensor) -> Tensor:
    index = classes.unsqueeze(1)
    log_q = F.log_softmax(logits, dim=1)
    strongest = log_q.exp().scatter(1, index, -1.0).amax(dim=1)  # the most likely wrong class
    return -log_q.gather(1, index).squeeze(1) - (1.0001 - strongest + 1e-12).log()


kl = Distance("kl", LOG_PROBS, _kl)
"""KL(label || output), summed over classes: cross-entropy if the label is hard (batchmean once averaged)."""

kl_per_class = Distance("kl_per_class", LOG_PROBS, _kl_per_class)
"""KL(label || output) averaged over the classes too, as ARD and RSLAD release it."""

kl_floored = Distance("kl_floored", LOG_PROBS, _kl_floored)
"""KL with the output's probabilities raised by 1e-12 (MART, mart.py L51-53)."""

mse = Distance("mse", LOGITS, _mse)
"""Mean squared difference of logits, over the classes (LBGAT, lbgat.py L69-79)."""

boosted = Distance("boosted", CLASSES, _boosted)
"""MART's boosted cross-entropy: -log q_y - log(1.0001 - max over k != y of q_k + 1e-12) (mart.py L42-46)."""


def pairs(weights: Label) -> Weighted:
    """A quarter of the sum over pairs of classes j, k of w_j w_k times the squared difference between what the output's logits
    j and k are apart and what the label's are (IKL, train_dkl_cifar10.py L159-164). Shifts of all logits cost nothing.

    Example:
        >>> from cktat.labels import ClassMean, Learner, clean
        >>> print(pairs(ClassMean("M", of=Learner("S")(clean))(clean)))
        pairs(M(x))
    """
    return Weighted("pairs", LOGITS, _pairs, weights)
