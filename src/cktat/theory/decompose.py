"""A trained network's weights, split into what points along a feature and the dense mixture beside it (Eq. 4-6, 13-15)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cktat.errors import CktatError


@dataclass(frozen=True, eq=False)
class Split:
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


def split(weights: Tensor, features: Tensor) -> Split:
    """Splits weights [..., d] by orthonormal features [F, d]: each along the feature of its largest component (Eq. 4, 13)."""
    if features.ndim != 2 or weights.shape[-1] != features.shape[-1]:
        raise CktatError(
            f"weights [..., d] are split by features [F, d], not {list(weights.shape)} by {list(features.shape)}"
        )
    along = weights @ features.T  # [..., F]
    main = along.abs().argmax(dim=-1)
    pure = along.gather(-1, main.unsqueeze(-1))
    others = along.scatter(-1, main.unsqueeze(-1), 0.0)
    return Split(main, pure.squeeze(-1), weights - pure * features[main], others)


def correlations(neurons: Tensor, features: Tensor) -> Tensor:
    """Phi_{i,l}: sum over the neurons of class i of the positive part of <w, v_{i,l}>. [k, m, d], [k, 2, d] -> [k, 2]."""
    return torch.einsum("kmd,kld->klm", neurons, features).clamp_min(0).sum(dim=-1)


def by_feature(neurons: Tensor, features: Tensor) -> Tensor:
    """omega^v of Eq. 13: the sum of those neurons of class i that have most of v_{i,l}, positively. [k, m, d] -> [k, 2, d].

    0 where no neuron does: the class has not begun to learn that feature.
    """
    found = split(neurons, features.flatten(0, 1))
    own = 2 * torch.arange(len(features)).view(-1, 1, 1) + torch.arange(2)  # [k, 1, 2], places of v_{i,l} among all
    of = (found.main.unsqueeze(-1) == own) & (found.pure > 0).unsqueeze(-1)  # [k, m, 2]
    return torch.einsum("kml,kmd->kld", of.to(neurons.dtype), neurons)


def split_by_feature(neurons: Tensor, features: Tensor) -> Split:
    """omega^v = pure v + mixture for every feature of every class; fields are [k, 2, ...]; pure is 0 if not learned."""
    weights, flat = by_feature(neurons, features), features.flatten(0, 1)
    along = weights @ flat.T  # [k, 2, 2k]
    main = torch.arange(len(flat)).view(len(features), 2)
    pure = along.gather(-1, main.unsqueeze(-1))
    return Split(main, pure.squeeze(-1), weights - pure * features, along.scatter(-1, main.unsqueeze(-1), 0.0))


def without_mixture(neurons: Tensor, features: Tensor) -> Tensor:
    """The ideal network of Eq. 15: every neuron's pure part alone. [k, m, d], [k, 2, d] -> [k, m, d]."""
    flat = features.flatten(0, 1)
    found = split(neurons, flat)
    return found.pure.unsqueeze(-1) * flat[found.main]


def ratio_on_data(mixture: Tensor, x: Tensor, classes: int) -> Tensor:
    """Eq. 5: |<m, x>| / ((k / d) |x|) for mixtures [M, d] and inputs [N, d] -> [M, N]. Eq. 5 says: at most O~(1)."""
    length = x.norm(dim=-1).clamp_min(1e-12)
    return (mixture @ x.T).abs() / (classes / x.shape[-1] * length)


def ratio_on_perturbation(mixture: Tensor, delta: Tensor, classes: int) -> Tensor:
    """Eq. 6: |<m, delta>| / ((k / sqrt(d)) |delta|) for pairs [..., d] -> [...]. Eq. 6 says: at least Omega(1) along m."""
    length = delta.norm(dim=-1).clamp_min(1e-12)
    return (mixture * delta).sum(dim=-1).abs() / (classes / delta.shape[-1] ** 0.5 * length)


@dataclass(frozen=True)
class Purification:
    """k of Eq. 14, of each feature that both networks have learned [n]. by_size: how long the mixture is beside the clean
    network's, both per unit of pure part. along: how much of the clean network's own mixture is left (its projection)."""

    by_size: Tensor
    along: Tensor


def purification(clean: Split, adversarial: Split, floor: float = 0.05) -> Purification:
    """Eq. 14's k, which the paper says lies in (0, 1): splits by feature of a clean and an adversarially trained network.

    floor: a feature counts where both networks have more than this share of their largest pure part.
    """
    both = (clean.pure > floor * clean.pure.max()) & (adversarial.pure > floor * adversarial.pure.max())
    m, m_adv = clean.per_unit[both], adversarial.per_unit[both]
    return Purification(
        by_size=adversarial.size[both] / clean.size[both].clamp_min(1e-12),
        along=(m * m_adv).sum(dim=-1) / (m * m).sum(dim=-1).clamp_min(1e-12),
    )
