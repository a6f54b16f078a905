"""The terms of Eq. 7 to 12 measured on a trained network: what a feature answers, and what an adversary takes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cktat.paper.theory.accounting import learning_gain

LEAST = 1e-6
"""The smallest answer that is divided by."""


@dataclass(frozen=True, eq=False)
class Terms:
    """Of every feature of every class, in any leading shape [..., k, 2].

    a: the label's logit on one patch that holds the feature at weight 1, the paper's O^y = Theta(1). taken: by how much an
    adversary in an L2 ball narrows the lead over the largest wrong logit, the paper's O^lmax = k_l D. Eq. 7's
    p = e^a / (e^a + e^(k_l D)) is then the attacked softmax of the label and l_max, whatever it is that the adversary uses.
    """

    a: Tensor
    taken: Tensor

    @property
    def share(self) -> Tensor:
        """k_l D / a, which does not depend on the scale of the logits; large where the feature answers next to nothing."""
        return self.taken / self.a.clamp_min(LEAST)


def probes(features: Tensor, patches: int) -> Tensor:
    """Images [..., k, 2, d, P, 1] that show one feature each at weight 1, without noise; features [..., k, 2, d]."""
    empty = features.new_zeros(*features.shape, patches, 1)
    empty[..., 0, 0] = features
    return empty


def lead(logits: Tensor, y: Tensor) -> Tensor:
    """The label's logit less the largest other: logits [N, K], labels [N] -> [N]."""
    others = logits.scatter(1, y.unsqueeze(1), -torch.inf)
    return logits.gather(1, y.unsqueeze(1)).squeeze(1) - others.amax(dim=1)


@torch.no_grad()
def terms(
    model: Callable[[Tensor], Tensor], attack: Callable[[Tensor, Tensor], Tensor], features: Tensor, patches: int
) -> Terms:
    """Terms of `model`, images [N, d, P, 1] to logits [N, k], on probes of features [..., k, 2, d].

    attack: images and labels to the moved images.
    """
    x, k = probes(features, patches), features.shape[-3]
    y = torch.arange(k).unsqueeze(1).expand(features.shape[:-1]).flatten()
    x = x.flatten(0, -4)
    with torch.enable_grad():
        moved = attack(x, y)
    clean = model(x)
    a = clean.gather(1, y.unsqueeze(1)).squeeze(1)
    taken = (a - lead(model(moved), y)).clamp_min(0)  # an attack that helps is not used
    return Terms(a.view(features.shape[:-1]), taken.view(features.shape[:-1]))


def rise(first: Tensor, taken_first: Tensor, share_second: Tensor, mu: float) -> Tensor:
    """Eq. 11 with measured terms: the rise of robust error by a class's second feature, [...].

    first, taken_first: a and k1 D of the feature that is learned. share_second: k2 D / a of the other; the equation gives both
    features the same a.
    """
    taken_second = first * share_second
    D = torch.maximum(taken_first, taken_second).clamp_min(1e-12)
    gain: Tensor = learning_gain(torch.full_like(first, mu), taken_first / D, taken_second / D, first.clamp_min(0), D)
    return -gain
