"""A trained network's weights, split into what points along a feature and the dense mixture beside it (Eq. 4-6, 13-15)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from cktat.errors import CktatError


@dataclass(frozen=True, eq=False)
class Decomposition:
    """w = pure v + mixture, for weights of any leading shape [...].

    main: which of the F features each weight has most of [...]. pure: its component along it [...] (Eq. 4's Theta(1)).
    mixture: the rest [..., d]. others: the mixture's components along the other features, 0 at `main` [..., F] (Eq. 4's
    Theta(k / d)).
    """

    main: Tensor
    pure: Tensor
    mixture: Tensor
    others: Tensor

    @property
    def per_unit(self) -> Tensor:
        """The mixture where the pure part is 1 [..., d]: m of Eq. 4, comparable between networks of any scale."""
        return self.mixture / self.pure.unsqueeze(-1)

    @property
    def size(self) -> Tensor:
        """Length of the mixture where the pure part is 1 [...]."""
        return self.mixture.norm(dim=-1) / self.pure.abs()


def split(weights: Tensor, features: Tensor) -> Decomposition:
    """Splits weights [..., d] by orthonormal features [F, d]: each along the feature of its largest component (Eq. 4, 13)."""
    if features.ndim != 2 or weights.shape[-1] != features.shape[-1]:
        raise CktatError(
            f"weights [..., d] are split by features [F, d], not {list(weights.shape)} by {list(features.shape)}"
        )
    along = weights @ features.T  # [..., F]
    main = along.abs().argmax(dim=-1)
    pure = along.gather(-1, main.unsqueeze(-1))
    others = along.scatter(-1, main.unsqueeze(-1), 0.0)
    return Decomposition(main, pure.squeeze(-1), weights - pure * features[main], others)


def correlations(neurons: Tensor, features: Tensor) -> Tensor:
    """Phi_{i,l}: sum over the neurons of class i of the positive part of <w, v_{i,l}>. [k, m, d], [k, 2, d] -> [k, 2]."""
    return torch.einsum("kmd,kld->klm", neurons, features).clamp_min(0).sum(dim=-1)


def by_feature(neurons: Tensor, features: Tensor) -> Tensor:
    """omega^v of Eq. 13: the sum of those neurons of class i that have most of v_{i,l}, positively. [k, m, d] -> [k, L, d].

    features: L of each class [k, L, d], all orthonormal. 0 where no neuron does: the class has not begun to learn that one.
    """
    classes, each = features.shape[:2]
    found = split(neurons, features.flatten(0, 1))
    own = each * torch.arange(classes).view(-1, 1, 1) + torch.arange(each)  # [k, 1, L], places of v_{i,l} among all
    of = (found.main.unsqueeze(-1) == own) & (found.pure > 0).unsqueeze(-1)  # [k, m, L]
    return torch.einsum("kml,kmd->kld", of.to(neurons.dtype), neurons)


def split_by_feature(neurons: Tensor, features: Tensor) -> Decomposition:
    """omega^v = pure v + mixture for every feature of every class; fields are [k, L, ...]; pure is 0 if not learned."""
    weights, flat = by_feature(neurons, features), features.flatten(0, 1)
    along = weights @ flat.T  # [k, L, k L]
    main = torch.arange(len(flat)).view(features.shape[:2])
    pure = along.gather(-1, main.unsqueeze(-1))
    return Decomposition(main, pure.squeeze(-1), weights - pure * features, along.scatter(-1, main.unsqueeze(-1), 0.0))


def split_by_class(neurons: Tensor, features: Tensor) -> Decomposition:
    """`split_by_feature` of each class by itself, where the features of one are orthonormal [k, L, d] and those of another
    the same lines (sparse coding: v and -v). Fields are [k, L, ...]; `main` and `others` count a class's own features."""
    parts = [split_by_feature(own.unsqueeze(0), v.unsqueeze(0)) for own, v in zip(neurons, features, strict=True)]
    return Decomposition(*(torch.cat([getattr(part, f.name) for part in parts]) for f in fields(Decomposition)))


def without_mixture(neurons: Tensor, features: Tensor) -> Tensor:
    """The ideal network of Eq. 15: every neuron's pure part alone. [k, m, d], orthonormal [..., d] -> [k, m, d]."""
    flat = features.flatten(0, -2)
    found = split(neurons, flat)
    return found.pure.unsqueeze(-1) * flat[found.main]


def ratio_on_data(mixture: Tensor, x: Tensor, k: float) -> Tensor:
    """Eq. 5: |<m, x>| / ((k / d) |x|) for mixtures [M, d] and inputs [N, d] -> [M, N]. Eq. 5 says: at most O~(1)."""
    length = x.norm(dim=-1).clamp_min(1e-12)
    return (mixture @ x.T).abs() / (k / x.shape[-1] * length)


def ratio_on_perturbation(mixture: Tensor, delta: Tensor, k: float) -> Tensor:
    """Eq. 6: |<m, delta>| / ((k / sqrt(d)) |delta|) for pairs [..., d] -> [...]. Eq. 6 says: at least Omega(1) along m."""
    length = delta.norm(dim=-1).clamp_min(1e-12)
    return (mixture * delta).sum(dim=-1).abs() / (k / delta.shape[-1] ** 0.5 * length)


@dataclass(frozen=True)
class Purification:
    """k of Eq. 14, of each feature that both networks have learned [n]. by_size: how long the mixture is beside the clean
    network's, both per unit of pure part. along: how much of the clean network's own mixture is left (its projection)."""

    by_size: Tensor
    along: Tensor


def purification(clean: Decomposition, adversarial: Decomposition, floor: float = 0.05) -> Purification:
    """Eq. 14's k, which the paper says lies in (0, 1): splits by feature of a clean and an adversarially trained network.

    floor: a feature counts where both networks have more than this share of their largest pure part.
    """
    both = (clean.pure > floor * clean.pure.max()) & (adversarial.pure > floor * adversarial.pure.max())
    m, m_adv = clean.per_unit[both], adversarial.per_unit[both]
    return Purification(
        by_size=adversarial.size[both] / clean.size[both].clamp_min(1e-12),
        along=(m * m_adv).sum(dim=-1) / (m * m).sum(dim=-1).clamp_min(1e-12),
    )
