"""Section 3.1.2 measured: networks trained on sparse-coding data, and how far training purifies their dense mixtures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cktat.attacks import named
from cktat.models import Normalised
from cktat.paper.experiments.measure import ATTACKS, neurons, survives
from cktat.paper.experiments.mixtures import LEARNED, Found, described, ideal_of
from cktat.paper.theory import Decomposition, SparseCoding, against_mixtures, claim, split_by_class

PROBES = 1000


@dataclass(frozen=True)
class SparseProbes:
    """Fresh samples: x [n, d], labels y [n], shown [n, d] (the features of its class that each shows)."""

    data: SparseCoding
    x: Tensor
    y: Tensor
    shown: Tensor

    @classmethod
    def draw(cls, data: SparseCoding) -> SparseProbes:
        x, y, z = data.sample(PROBES, 11)
        return cls(data, x, y, data.shown(y, z))

    @property
    def images(self) -> Tensor:
        return self.x[..., None, None]

    def split(self, net: Normalised) -> Decomposition:
        """omega^v of every class's features: fields [2, d, ...]."""
        return split_by_class(neurons(net), self.data.features)


def learned(found: Decomposition) -> Tensor:
    """Which features of each class are learned: bool [2, d]."""
    return found.pure > LEARNED * found.pure.max().clamp_min(1e-12)


@torch.no_grad()
def at_epoch(net: Normalised, probes: SparseProbes) -> dict[str, Any]:
    """Mean length of the mixture per unit of pure part, share of features learned, and clean accuracy."""
    found = probes.split(net)
    known = learned(found)
    right = net(probes.images).argmax(dim=1) == probes.y
    return {
        "size": float(found.size[known].mean()) if bool(known.any()) else None,
        "learned": float(known.float().mean()),
        "clean": float(right.float().mean()),
    }


def at_end(net: Normalised, probes: SparseProbes, eps: float) -> dict[str, float]:
    """Shares of fresh samples that are right, clean and under each of the attacks, by the network and by the same without
    mixtures (Eq. 15), and of features that are learned."""
    found = {"features learned": float(learned(probes.split(net)).float().mean())}
    for prefix, judge in (("", net), ("ideal ", ideal_of(net, probes.data.M.T))):
        with torch.no_grad():
            clean = judge(probes.images).argmax(dim=1) == probes.y
        attacked = clean.clone()
        for name in ATTACKS:
            attacked &= survives(judge, named(name), probes.images, probes.y, eps)
        found |= {f"{prefix}clean": float(clean.float().mean()), f"{prefix}attacked": float(attacked.float().mean())}
    return found


def mixtures(net: Normalised, clean: Normalised, probes: SparseProbes, eps: float) -> dict[str, float | None]:
    """MIXTURES of a network; what an attack is compared with is the sum over the features that a sample shows for its
    class: of their mixtures, without what these have along the shown features themselves, and of the features."""
    found, of_clean = probes.split(net), probes.split(clean)
    delta = (named("pgd20")(net, probes.images, probes.y, eps=eps, box=None, norm="L2") - probes.images).flatten(1)
    known = (probes.shown & learned(found)[probes.y]).float()  # [n, d]
    some = known.any(dim=1)
    v = torch.einsum("nl,nld->nd", known, probes.data.features[probes.y])
    per_unit = torch.where(learned(found).unsqueeze(-1), found.per_unit, 0.0)
    m = torch.einsum("nl,nld->nd", known, per_unit[probes.y]) / known.sum(dim=1, keepdim=True).clamp_min(1)
    basis = probes.data.M  # columns are the lines of the features of both classes
    m = ((m @ basis) * (1 - known)) @ basis.T
    return described(found, of_clean, probes.x, Found(delta[some], m[some], v[some]), probes.data.k)


def one_weight(net: Normalised, clean: Normalised, probes: SparseProbes) -> list[list[float]]:
    """omega^v of Eq. 13 and 14 along every feature, per unit of pure part, v first: of the clean network and of this one,
    for that feature of class 1 of which the clean network has most. [2, d]."""
    found, of_clean = probes.split(net), probes.split(clean)
    j = int(of_clean.pure[1].argmax())
    rows = []
    for split in (of_clean, found):
        others = split.others[1, j] / split.pure[1, j].clamp_min(1e-12)
        rows.append([1.0, *others[torch.arange(len(others)) != j].tolist()])
    return rows


def definition_4_1(clean: Normalised, probes: SparseProbes, eps: float) -> dict[str, Any]:
    """The claim on fresh samples, with sigma against the clean network's mixtures, and the worst that PGD finds against the
    network without mixtures."""
    ideal = ideal_of(clean, probes.data.M.T)
    sigma = against_mixtures(probes.shown, probes.y, probes.split(clean), eps)[..., None, None]
    worst = named("pgd20")(ideal, probes.images, probes.y, eps=eps, box=None, norm="L2")
    pairs = (("mixture", probes.images + sigma), ("worst", worst))
    return {name: vars(claim(clean, ideal, probes.images, moved)) for name, moved in pairs}
