"""What an adversary does: pure functions of a model and a batch, and the same attacks by name."""

from cktat.attacks.ascent import ascend, attacked, momentum, plain, sign
from cktat.attacks.attack import Attack, Model, check_batch, check_logits, check_names, check_seed, logits_of
from cktat.attacks.ball import Ball, Box, Norm
from cktat.attacks.campaign import Entry, Mode, Outcome, Standing
from cktat.attacks.catalogue import ATTACKS, cw, fgsm, mim, named, pgd
from cktat.attacks.ensemble import SCREENING, SEARCHES, SUITES, apgd, autoattack, fab, square
from cktat.attacks.objectives import OfLogits, cross_entropy, margin

__all__ = [
    "ATTACKS", "SCREENING", "SEARCHES", "SUITES", "Attack", "Ball", "Box", "Entry", "Mode", "Model", "Norm", "OfLogits",
    "Outcome", "Standing", "apgd", "ascend", "attacked", "autoattack", "check_batch", "check_logits", "check_names",
    "check_seed", "cross_entropy", "cw", "fab", "fgsm", "logits_of", "margin", "mim", "momentum", "named", "pgd", "plain",
    "sign", "square",
]  # fmt: skip
