"""What an adversary does: pure functions of a model and a batch, and the same attacks by name."""

from cktat.attacks.ascent import ascend, attacked, momentum, plain, sign
from cktat.attacks.attack import Attack
from cktat.attacks.ball import Ball, Box, Norm
from cktat.attacks.campaign import Entry, Mode, Outcome, Standing
from cktat.attacks.catalogue import ATTACKS, cw, fgsm, mim, named, pgd
from cktat.attacks.ensemble import SCREENING, SEARCHES, SUITES, apgd, autoattack, fab, square

__all__ = [
    "ATTACKS", "SCREENING", "SEARCHES", "SUITES", "Attack", "Ball", "Box", "Entry", "Mode", "Norm", "Outcome", "Standing",
    "apgd", "ascend", "attacked", "autoattack", "cw", "fab", "fgsm", "mim", "momentum", "named", "pgd", "plain", "sign",
    "square",
]  # fmt: skip
