"""How right a label is: how far it lies from what people say of the image, or from y where nobody was asked."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cktat.errors import CktatError

BINS = 15
"""Bins of equal width of the calibration error, as Guo et al. (ICML 2017) take them."""


@dataclass(frozen=True, eq=False)
class Guidance:
    """How right the labels of N images are. All but `calibration` are one value an image [N], float64 but for `said`.

    Attributes:
        kl: KL(truth || label) in nats; infinite where the label excludes what is true. With y for the truth it is the log
            score -log label_y.
        brier: sum over the classes of (label - truth) squared, from 0 to 2: a proper score that is always finite.
        agrees: 1 where the label's largest class is the truth's, else 0.
        confidence: the label's largest probability.
        right: the truth's probability of that class.
        said: that class.
    """

    kl: Tensor
    brier: Tensor
    agrees: Tensor
    confidence: Tensor
    right: Tensor
    said: Tensor

    @property
    def calibration(self) -> float:
        """Expected calibration error in [0, 1]: over bins of confidence, the mean distance between it and `right`."""
        which = (self.confidence * BINS).ceil().long().clamp(1, BINS) - 1
        gaps = torch.zeros(BINS, dtype=torch.float64).index_add_(0, which, self.confidence - self.right)
        return float(gaps.abs().sum()) / len(which)

    def means(self) -> dict[str, float]:
        """The averages over the images, by name."""
        names = ("kl", "brier", "agrees", "confidence")
        return {name: float(getattr(self, name).mean()) for name in names} | {"calibration": self.calibration}

    def of(self, rows: Tensor) -> Guidance:
        """The same of some images, given by their numbers or by flags [N]."""
        return Guidance(
            self.kl[rows], self.brier[rows], self.agrees[rows], self.confidence[rows], self.right[rows], self.said[rows]
        )


def guidance(log_p: Tensor, truth: Tensor) -> Guidance:
    """How right labels are.

    Args:
        log_p: the labels as log-probabilities [N, K], -inf where a class has none.
        truth: probabilities [N, K], such as the shares of people who named each class; or classes [N].

    Raises:
        CktatError: the two are of different shapes, or the truth is no distribution.

    Example:
        >>> import torch
        >>> found = guidance(torch.tensor([[0.5, 0.5], [0.8, 0.2]]).log(), torch.tensor([0, 0]))
        >>> [round(value, 4) for value in found.kl.tolist()], round(found.brier.tolist()[0], 4)
        ([0.6931, 0.2231], 0.5)
    """
    log_p = log_p.detach().double().cpu()
    truth = truth.detach().cpu()
    p = F.one_hot(truth.long(), log_p.shape[1]).double() if truth.ndim == 1 else truth.double()
    if p.shape != log_p.shape:
        raise CktatError(f"labels {list(log_p.shape)} and truth {list(p.shape)} are not of the same images and classes")
    if bool((p < 0).any()) or not torch.allclose(p.sum(dim=1), torch.ones(len(p), dtype=torch.float64), atol=1e-6):
        raise CktatError("the truth must be probabilities that sum to 1 for every image")
    label, largest = log_p.exp(), log_p.argmax(dim=1)
    # 0 * log(0 / q) is 0, also where q is 0
    terms = torch.where(p > 0, p * (p.clamp_min(1e-300).log() - log_p), 0.0)
    return Guidance(
        kl=terms.sum(dim=1).clamp_min(0.0),
        brier=(label - p).square().sum(dim=1),
        agrees=(largest == p.argmax(dim=1)).double(),
        confidence=label.amax(dim=1),
        right=p.gather(1, largest.unsqueeze(1)).squeeze(1),
        said=largest,
    )


def finite(value: float) -> str:
    """A score as tables write it."""
    return f"{value:.3f}" if math.isfinite(value) else "∞"
