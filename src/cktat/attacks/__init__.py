"""What an adversary does: pure functions of a model and a batch, and the same attacks by name."""

from cktat.attacks.ascent import ascend, attacked, momentum, plain, sign
from cktat.attacks.attack import Attack, Model, check_batch, check_logits
from cktat.attacks.ball import Ball, Box, Norm
from cktat.attacks.catalogue import ATTACKS, cw, fgsm, mim, named, pgd
from cktat.attacks.objectives import OfLogits, cross_entropy, margin

__all__ = [
    "ATTACKS",
    "Attack",
    "Ball",
    "Box",
    "Model",
    "Norm",
    "OfLogits",
    "ascend",
    "attacked",
    "check_batch",
    "check_logits",
    "cross_entropy",
    "cw",
    "fgsm",
    "margin",
    "mim",
    "momentum",
    "named",
    "pgd",
    "plain",
    "sign",
]
