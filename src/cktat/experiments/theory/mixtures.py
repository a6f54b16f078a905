"""The dense mixture of trained networks: Eq. 4 to 6 and 13 to 15 as numbers, and Definition 4.1's claim."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from cktat.attacks import named
from cktat.experiments.theory.measure import Probes, neurons
from cktat.models import Normalised
from cktat.theory import (
    Samples,
    Split,
    along_mixture,
    claim,
    purification,
    ratio_on_data,
    ratio_on_perturbation,
    split_by_feature,
    without_mixture,
)


def mixtures(net: Normalised, clean: Normalised, probes: Probes, eps: float) -> dict[str, float | None]:
    """Means over the features that the network has learned; None where there is none.

    size: length of the mixture per unit of pure part. eq4: mean component along another feature, per unit, in units of
    k / d. eq5: |<m, x_p>| over (k / d)|x_p| on clean patches that hold a feature. eq6 along m: its largest, |m| over
    k / sqrt(d); eq6 found: for the perturbations that PGD finds on the patch that holds the feature. toward mixture, toward
    feature: cosine between those and -m, and -v. k size, k along: Eq. 14's k against the clean network of the same seed.
    """
    features = probes.features
    k, d = len(features), features.shape[-1]
    found, of_clean = split_by_feature(neurons(net), features), split_by_feature(neurons(clean), features)
    learned = found.pure > 0.05 * found.pure.max().clamp_min(1e-12)
    m = found.per_unit[learned]
    samples = probes.of["multi"]
    pieces = samples.x[torch.arange(len(samples)), samples.patches[torch.arange(len(samples)), samples.y, 0, 0]]
    delta, deltas_mixture, deltas_feature = _found(net, samples, found, features, eps)
    k_14 = purification(of_clean, found)
    means = {
        "size": found.size[learned],
        "eq4": found.others[learned].abs().sum(-1) / (2 * k - 1) / found.pure[learned] / (k / d),
        "eq5": ratio_on_data(m, pieces, k),
        "eq6 along m": ratio_on_perturbation(m, m, k),
        "eq6 found": ratio_on_perturbation(deltas_mixture, delta, k),
        "toward mixture": -_cosine(delta, deltas_mixture),
        "toward feature": -_cosine(delta, deltas_feature),
        "k size": k_14.by_size,
        "k along": k_14.along,
    }
    return {name: float(value.mean()) if value.numel() else None for name, value in means.items()}


def _found(
    net: Normalised, samples: Samples, found: Split, features: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """PGD's perturbation of the patch of each sample's first feature, with that feature's mixture per unit and the feature
    itself: three times [n, d]. Only of features that are learned."""
    moved = named("pgd20")(net, samples.images, samples.y, eps=eps, box=None, norm="L2")
    rows = torch.arange(len(samples))
    place = samples.patches[rows, samples.y, 0, 0]
    delta = (moved - samples.images).squeeze(-1).transpose(1, 2)[rows, place]
    kept = found.pure[samples.y, 0] > 0.05 * found.pure.max().clamp_min(1e-12)
    return delta[kept], found.per_unit[samples.y, 0][kept], features[samples.y, 0][kept]


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(a, b, dim=-1)


def ideal_of(net: Normalised, features: Tensor) -> Normalised:
    """The network of Eq. 15: the same without any mixture."""
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
