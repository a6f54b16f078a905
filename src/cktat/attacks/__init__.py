"""What an adversary does: pure functions of a model and a batch, and the same attacks by name."""

from cktat.attacks.ascent import ascend, attacked, momentum, plain, sign
from cktat.attacks.attack import Attack
from cktat.attacks.ball import Ball, Box, Norm
from cktat.attacks.catalogue import ATTACKS, cw, fgsm, mim, named, pgd

__all__ = [
    "ATTACKS",
    "Attack",
    "Ball",
    "Box",
    "Norm",
    "ascend",
    "attacked",
    "cw",
    "fgsm",
    "mim",
    "momentum",
    "named",
    "pgd",
    "plain",
    "sign",
]
