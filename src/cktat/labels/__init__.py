"""The label-design language: networks, views, labels, terms. A design is a sentence in it."""

from cktat.labels.design import Design
from cktat.labels.distances import Distance, Weighted, boosted, kl, kl_floored, kl_per_class, mse, pairs
from cktat.labels.labels import (
    HardLabel,
    Held,
    Mixture,
    Others,
    Top,
    TrueLabel,
    Trust,
    Uniform,
    held,
    others,
    top,
    trust,
    uniform,
    y,
)
from cktat.labels.networks import Average, ClassMean, Frozen, Learner, NetworkMix, mix
from cktat.labels.outputs import Cell, Label, Network, Output, Outputs, View
from cktat.labels.scalars import Calibrated, Moment, Scalar, Schedule, annealed, from_progress, mean_since, value
from cktat.labels.terms import Confidence, Term, sure, unsure
from cktat.labels.views import (
    Adversarial,
    Extrapolated,
    Gaussian,
    Inverse,
    adversarial,
    clean,
    extrapolated,
    gaussian,
    here,
    inverse,
)

__all__ = [
    "Adversarial", "Average", "Calibrated", "Cell", "ClassMean", "Confidence", "Design", "Distance", "Extrapolated",
    "Frozen", "Gaussian", "HardLabel", "Held", "Inverse", "Label", "Learner", "Mixture", "Moment", "Network",
    "NetworkMix", "Others", "Output", "Outputs", "Scalar", "Schedule", "Term", "Top", "TrueLabel", "Trust", "Uniform",
    "View", "Weighted", "adversarial", "annealed", "boosted", "clean", "extrapolated", "from_progress", "gaussian",
    "held", "here", "inverse", "kl", "kl_floored", "kl_per_class", "mean_since", "mix", "mse", "others", "pairs",
    "sure", "top", "trust", "uniform", "unsure", "value", "y",
]  # fmt: skip
