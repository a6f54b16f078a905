"""The label-design language: networks, views, labels, terms. A design is a sentence in it."""

from cktat.labels.design import Design
from cktat.labels.distances import Distance, boosted, kl, kl_floored, kl_per_class, mse
from cktat.labels.labels import HardLabel, Held, Mixture, Top, TrueLabel, Uniform, held, top, uniform, y
from cktat.labels.networks import Average, Frozen, Learner, NetworkMix, mix
from cktat.labels.outputs import Cell, Label, Network, Output, Outputs, View
from cktat.labels.scalars import Calibrated, Moment, Scalar, Schedule, from_progress, value
from cktat.labels.terms import Confidence, Term, sure, unsure
from cktat.labels.views import (
    Adversarial,
    Again,
    AttackMode,
    Extrapolated,
    Gaussian,
    adversarial,
    again,
    clean,
    extrapolated,
    gaussian,
    here,
)

__all__ = [
    "Adversarial", "Again", "AttackMode", "Average", "Calibrated", "Cell", "Confidence", "Design", "Distance",
    "Extrapolated", "Frozen", "Gaussian", "HardLabel", "Held", "Label", "Learner", "Mixture", "Moment", "Network",
    "NetworkMix", "Output", "Outputs", "Scalar", "Schedule", "Term", "Top", "TrueLabel", "Uniform", "View",
    "adversarial", "again", "boosted", "clean", "extrapolated", "from_progress", "gaussian", "held", "here", "kl",
    "kl_floored", "kl_per_class", "mix", "mse", "sure", "top", "unsure", "uniform", "value", "y",
]  # fmt: skip
