"""What an adversary does: pure functions of a model and a batch, and the same attacks by name."""

from cktat.attacks.ascent import ascend, ascend_packed, momentum, plain, sign
from cktat.attacks.attack import Attack, check_batch, check_names, check_seed
from cktat.attacks.autoattack.campaign import CampaignEntry, Mode, Outcome, Standing
from cktat.attacks.autoattack.suite import SCREENING, SEARCHES, SUITES, VERSIONS, Version, apgd, autoattack, fab, square
from cktat.attacks.ball import Ball, Box, Norm, NormLike, norm_of
from cktat.attacks.catalogue import ATTACKS, cw, fgsm, mim, named, pgd
from cktat.attacks.network import Model, answer, attacked, called, logits_of, slope
from cktat.attacks.objectives import OfLogits, cross_entropy, margin
from cktat.attacks.reach import modules_of

__all__ = [
    "ATTACKS", "SCREENING", "SEARCHES", "SUITES", "VERSIONS", "Attack", "Ball", "Box", "CampaignEntry", "Mode", "Model",
    "Norm", "NormLike", "OfLogits", "Outcome", "Standing", "Version", "answer", "apgd", "ascend", "ascend_packed", "attacked",
    "autoattack", "called", "check_batch", "check_names", "check_seed", "cross_entropy", "cw", "fab", "fgsm",
    "logits_of", "margin", "mim", "modules_of", "momentum", "named", "norm_of", "pgd", "plain", "sign", "slope",
    "square",
]  # fmt: skip
