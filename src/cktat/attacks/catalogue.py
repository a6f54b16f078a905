"""Attacks by name, and the same as functions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from cktat.attacks.ascent import momentum
from cktat.attacks.attack import Attack, StartAt
from cktat.attacks.ball import Box, Norm
from cktat.attacks.network import Model
from cktat.attacks.objectives import capped_margin
from cktat.errors import unknown

FGSM = Attack(steps=1, step=1.0, start="image")
PGD = Attack()
MIM = Attack(direction=momentum, start="image")
CW = Attack(objective=capped_margin(50.0), steps=30)

ATTACKS: dict[str, Attack] = {
    "fgsm": FGSM,
    "pgd10": replace(PGD, steps=10),
    "pgd20": PGD,
    "pgd100": replace(PGD, steps=100),
    "mim": MIM,
    "mim10": replace(MIM, steps=10, start="uniform"),
    "cw": CW,
}
"""A step is eps / 4 (2/255 at 8/255) unless said otherwise; `mim10` is the variant of the Generalist and SEAT releases.
`named` knows PGD of any number of steps besides."""


def named(name: str, others: Iterable[str] = ()) -> Attack:
    """The attack called `name`: one of ATTACKS, or `pgd` with a number of steps, such as pgd7. Raises CktatError with the
    nearest names, also of `others` that the caller knows, if there is none."""
    if name in ATTACKS:
        return ATTACKS[name]
    if steps := re.fullmatch(r"pgd([1-9][0-9]{0,5})", name):
        return replace(PGD, steps=int(steps[1]))
    raise unknown("attack", name, [*ATTACKS, *others], "pgd takes any number of steps, such as pgd7")


def fgsm(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    box: Box | None = (0.0, 1.0),
    norm: Norm = "Linf",
    seed: int | torch.Generator = 0,
) -> Tensor:
    """One step of length eps along the sign of the cross-entropy's gradient at x (Goodfellow et al., ICLR 2015).

    Returns adversarial images of x's shape [N, C, H, W].
    """
    return FGSM(model, x, y, eps=eps, box=box, norm=norm, seed=seed)


def pgd(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    step: float | None = None,
    steps: int = 20,
    start: StartAt = "uniform",
    restarts: int = 1,
    box: Box | None = (0.0, 1.0),
    norm: Norm = "Linf",
    seed: int | torch.Generator = 0,
) -> Tensor:
    """Projected gradient ascent on the cross-entropy (Madry et al., ICLR 2018). step None is eps / 4.

    Returns adversarial images of x's shape [N, C, H, W].
    """
    attack = replace(PGD, steps=steps, start=start, restarts=restarts)
    return attack(model, x, y, eps=eps, step=step, box=box, norm=norm, seed=seed)


def mim(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    step: float | None = None,
    steps: int = 20,
    decay: float = 1.0,
    start: StartAt = "image",
    restarts: int = 1,
    box: Box | None = (0.0, 1.0),
    norm: Norm = "Linf",
    seed: int | torch.Generator = 0,
) -> Tensor:
    """MI-FGSM: ascent along accumulated, normalised gradients (Dong et al., CVPR 2018). step None is eps / 4.

    Returns adversarial images of x's shape [N, C, H, W].
    """
    attack = replace(MIM, direction=lambda: momentum(decay), steps=steps, start=start, restarts=restarts)
    return attack(model, x, y, eps=eps, step=step, box=box, norm=norm, seed=seed)


def cw(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    step: float | None = None,
    steps: int = 30,
    confidence: float = 50.0,
    start: StartAt = "uniform",
    restarts: int = 1,
    box: Box | None = (0.0, 1.0),
    norm: Norm = "Linf",
    seed: int | torch.Generator = 0,
) -> Tensor:
    """Projected gradient ascent on the margin up to `confidence` (the L_inf form of Carlini and Wagner, S&P 2017).

    A constant added to all logits changes nothing. Returns adversarial images of x's shape [N, C, H, W].
    """
    attack = replace(CW, objective=capped_margin(confidence), steps=steps, start=start, restarts=restarts)
    return attack(model, x, y, eps=eps, step=step, box=box, norm=norm, seed=seed)
