"""The dense mixture of trained networks: Eq. 4 to 6 and 13 to 15 as numbers, and Definition 4.1's claim."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cktat.attacks import named
from cktat.models import Normalised
from cktat.paper.experiments.measure import Probes, neurons
from cktat.paper.theory import (
    Decomposition,
    along_mixture,
    claim,
    purification,
    ratio_on_data,
    ratio_on_perturbation,
    split_by_feature,
    without_mixture,
)

LEARNED = 0.05
"""A feature is learned where its pure part is more than this share of the network's largest."""


RATIOS = (
    "mixture / pure", "Eq. 4", "Eq. 5", "Eq. 6, along m", "Eq. 6, attack", "attack on mixture", "attack on feature",
)  # fmt: skip
FACTORS = ("k by length", "k along m", "k below 1")
MIXTURES = (*RATIOS, *FACTORS)
"""What `described` says, in its order: Eq. 4 to 6, then the purification factor k of Eq. 14."""


@dataclass(frozen=True)
class Found:
    """Perturbations that an attack found [n, d], with the mixture m, per unit of pure part, and the direction v of what each
    input showed."""

    delta: Tensor
    m: Tensor
    v: Tensor


def described(
    found: Decomposition, clean: Decomposition, inputs: Tensor, attack: Found, k: float
) -> dict[str, float | None]:
    """MIXTURES of a network that was split by feature, and of the clean one of the same seed; None where there is nothing.

    inputs: clean [n, d]. k: of Theta(k / d), classes or non-zero entries of z.
    """
    d = inputs.shape[-1]
    learned = found.pure > LEARNED * found.pure.max().clamp_min(1e-12)
    m, others = found.per_unit[learned], found.others[learned]
    left = purification(clean, found, LEARNED)
    values = (
        found.size[learned],
        others.abs().sum(-1) / (others.shape[-1] - 1) / found.pure[learned] / (k / d),
        ratio_on_data(m, inputs, k),
        ratio_on_perturbation(m, m, k),
        ratio_on_perturbation(attack.m, attack.delta, k),
        -_cosine(attack.delta, attack.m),
        -_cosine(attack.delta, attack.v),
        left.by_size,
        left.along,
        (left.by_size < 1).double(),
    )
    return {name: float(v.mean()) if v.numel() else None for name, v in zip(MIXTURES, values, strict=True)}


def mixtures(net: Normalised, clean: Normalised, probes: Probes, eps: float) -> dict[str, float | None]:
    """MIXTURES of a network trained on multi-view data; inputs are the patches that hold a sample's first feature."""
    features, samples = probes.features, probes.of["multi"]
    found, of_clean = split_by_feature(neurons(net), features), split_by_feature(neurons(clean), features)
    rows = torch.arange(len(samples))
    place = samples.patches[rows, samples.y, 0, 0]
    moved = named("pgd20")(net, samples.images, samples.y, eps=eps, box=None, norm="L2")
    delta = (moved - samples.images).squeeze(-1).transpose(1, 2)[rows, place]
    kept = found.pure[samples.y, 0] > LEARNED * found.pure.max().clamp_min(1e-12)
    attack = Found(delta[kept], found.per_unit[samples.y, 0][kept], features[samples.y, 0][kept])
    return described(found, of_clean, samples.x[rows, place], attack, len(features))


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(a, b, dim=-1)


def ideal_of(net: Normalised, features: Tensor) -> Normalised:
    """The network of Eq. 15: the same without any mixture. features: orthonormal [..., d]."""
    ideal = copy.deepcopy(net)
    weight = ideal.body.patches.weight  # type: ignore[union-attr]
    assert isinstance(weight, Tensor)
    with torch.no_grad():
        weight.copy_(without_mixture(neurons(net), features).flatten(0, 1).view_as(weight))
    return ideal


def definition_4_1(clean: Normalised, probes: Probes, eps: float) -> dict[str, Any]:
    """The claim on test samples of both kinds, with sigma along the clean network's mixture, and with the perturbations that
    PGD finds against the ideal network, which the mixture has no part in."""
    ideal = ideal_of(clean, probes.features)
    split = split_by_feature(neurons(clean), probes.features)
    measured: dict[str, Any] = {}
    for kind in ("single", "multi"):
        samples = probes.of[kind]
        sigma = along_mixture(samples, split, eps).transpose(1, 2).unsqueeze(-1)
        worst = named("pgd20")(ideal, samples.images, samples.y, eps=eps, box=None, norm="L2")
        for name, moved in (("mixture", samples.images + sigma), ("worst", worst)):
            measured[f"{kind} {name}"] = vars(claim(clean, ideal, samples.images, moved))
    return measured
