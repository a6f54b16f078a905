"""Definition 4.1 and the claim after it: is a clean network's output on clean data an ideal one's on adversarial data?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cktat.attacks import Model
from cktat.paper.theory.decompose import Decomposition
from cktat.paper.theory.samples import Samples


def along_mixture(samples: Samples, found: Decomposition, eps: float) -> Tensor:
    """sigma of Definition 4.1 [N, P, d]: on the first patch of each shown feature of a sample's class, against that
    feature's mixture, so that the clean network hears less of the class; together of length eps.

    found: `split_by_feature` of the clean network. A feature without mixture gets no share.
    """
    rows, down = torch.arange(len(samples)), -_unit(found.mixture)
    shown = torch.ones(len(samples), 2, dtype=torch.bool)
    shown[rows[samples.single], 1 - samples.dominant[samples.single]] = False
    sigma = torch.zeros_like(samples.x)
    for l in (0, 1):
        place = samples.patches[rows, samples.y, l, 0]
        sigma[rows, place] = shown[:, l, None] * down[samples.y, l]
    return eps * _unit(sigma.flatten(1)).view_as(sigma)


def against_mixtures(shown: Tensor, y: Tensor, found: Decomposition, eps: float) -> Tensor:
    """sigma of Definition 4.1 for inputs that are one patch [N, d]: against the sum of the mixtures of those features of
    its class that an input shows (bool [N, L]); of length eps, or 0 where it shows none.

    found: `split_by_class` of the clean network. y: labels [N].
    """
    return -eps * _unit(torch.einsum("nl,nld->nd", shown.to(found.mixture.dtype), found.mixture[y]))


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-12)


@dataclass(frozen=True)
class ClaimDistances:
    """Mean distance (total variation, 0 to 1) between the distributions that two networks give.

    first: clean network on x, ideal on x: the paper's O(clean on clean) ~ O(ideal on clean). second: ideal network on x and
    on x + sigma: the paper's O(ideal on clean) = O(ideal on adversarial). both: clean on x, ideal on x + sigma, which is
    what makes clean predictions labels of adversarial samples. itself: clean on x and on x + sigma, to compare with.
    """

    first: float
    second: float
    both: float
    itself: float


@torch.no_grad()
def claim(clean: Model, ideal: Model, x: Tensor, moved: Tensor) -> ClaimDistances:
    """The claim measured on x and moved = x + sigma, in whatever form the models take them; they return logits [N, K]."""

    def apart(p: Tensor, q: Tensor) -> float:
        return float((p.softmax(dim=1) - q.softmax(dim=1)).abs().sum(dim=1).mean()) / 2

    c, c_moved, i, i_moved = clean(x), clean(moved), ideal(x), ideal(moved)
    return ClaimDistances(first=apart(c, i), second=apart(i, i_moved), both=apart(c, i_moved), itself=apart(c, c_moved))
