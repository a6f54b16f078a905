"""Attacks by name, and the same as functions."""

from __future__ import annotations

from dataclasses import replace
from typing import SupportsFloat, SupportsIndex

import torch
from torch import Tensor

from cktat.attacks.ascent import momentum
from cktat.attacks.attack import Attack, StartAt
from cktat.attacks.ball import Box, NormLike
from cktat.attacks.network import Model
from cktat.attacks.objectives import capped_margin
from cktat.errors import unknown
from cktat.numeric import as_number

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
"""A step is eps / 4 (2/255 at 8/255) unless said otherwise; `mim10` is the variant of the Generalist and SEAT releases."""


def named(name: str) -> Attack:
    """The attack called `name`. Raises CktatError with the nearest names if there is none."""
    if name not in ATTACKS:
        raise unknown("attack", name, ATTACKS)
    return ATTACKS[name]


def fgsm(
    model: Model,
    x: Tensor,
    y: Tensor,
    eps: SupportsFloat,
    *,
    box: Box | None = (0.0, 1.0),
    norm: NormLike = "Linf",
    seed: SupportsIndex | torch.Generator = 0,
) -> Tensor:
    """One step of length eps along the sign of the cross-entropy's gradient at x.

    Source: Goodfellow, Shlens and Szegedy, Explaining and harnessing adversarial examples, ICLR 2015.

    Args:
        model: Images [N, C, H, W] -> logits [N, K], or an object with them as `.logits`; any network or function.
        x: Images [N, C, H, W] of a float type, in the box.
        y: Labels [N] of any integer type.
        eps: Radius as a fraction of the pixel range, such as 8 / 255.
        box: The lowest and the highest value of a pixel; None where there is no bound.
        norm: "Linf" or "L2"; also math.inf or 2.
        seed: Of nothing here: the start is the image itself. It is taken so that all attacks can be called alike.

    Returns:
        Adversarial images of the shape and type of x, in the ball and the box.

    Raises:
        CktatError: for images, labels, a radius or a model that make no sense.

    >>> model = torch.nn.Flatten()  # the logits are the pixels
    >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
    >>> fgsm(model, x, y, 0.25).flatten().tolist()
    [0.25, 0.75]
    """
    return FGSM(model, x, y, eps, box=box, norm=norm, seed=seed)


def pgd(
    model: Model,
    x: Tensor,
    y: Tensor,
    eps: SupportsFloat,
    *,
    step: SupportsFloat | None = None,
    alpha: SupportsFloat | None = None,
    steps: SupportsIndex = 20,
    start: StartAt = "uniform",
    restarts: SupportsIndex = 1,
    box: Box | None = (0.0, 1.0),
    norm: NormLike = "Linf",
    seed: SupportsIndex | torch.Generator = 0,
) -> Tensor:
    """Projected gradient ascent on the cross-entropy.

    Source: Madry et al., Towards deep learning models resistant to adversarial attacks, ICLR 2018.

    Args:
        model: Images [N, C, H, W] -> logits [N, K], or an object with them as `.logits`; any network or function.
        x: Images [N, C, H, W] of a float type, in the box.
        y: Labels [N] of any integer type.
        eps: Radius as a fraction of the pixel range, such as 8 / 255.
        step: Length of a step, in the unit of eps. None is eps / 4.
        alpha: Another name of `step`.
        steps: Gradients per start, 1 or more.
        start: "uniform" in the ball, or "image", at x itself.
        restarts: Starts, 1 or more. An image keeps the first result that is misclassified.
        box: The lowest and the highest value of a pixel; None where there is no bound.
        norm: "Linf" or "L2"; also math.inf or 2.
        seed: Of the random starts; or a generator to draw them with.

    Returns:
        Adversarial images of the shape and type of x, in the ball and the box.

    Raises:
        CktatError: for images, labels, a radius or a model that make no sense.

    >>> model = torch.nn.Flatten()  # the logits are the pixels
    >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
    >>> pgd(model, x, y, 0.25, steps=10).flatten().tolist()
    [0.25, 0.75]
    """
    attack = replace(PGD, steps=as_number(steps), start=start, restarts=as_number(restarts))
    return attack(model, x, y, eps, step=step, alpha=alpha, box=box, norm=norm, seed=seed)


def mim(
    model: Model,
    x: Tensor,
    y: Tensor,
    eps: SupportsFloat,
    *,
    step: SupportsFloat | None = None,
    alpha: SupportsFloat | None = None,
    steps: SupportsIndex = 20,
    decay: SupportsFloat = 1.0,
    start: StartAt = "image",
    restarts: SupportsIndex = 1,
    box: Box | None = (0.0, 1.0),
    norm: NormLike = "Linf",
    seed: SupportsIndex | torch.Generator = 0,
) -> Tensor:
    """MI-FGSM: ascent along accumulated gradients, each divided by its mean absolute value.

    Source: Dong et al., Boosting adversarial attacks with momentum, CVPR 2018.

    Args:
        model: Images [N, C, H, W] -> logits [N, K], or an object with them as `.logits`; any network or function.
        x: Images [N, C, H, W] of a float type, in the box.
        y: Labels [N] of any integer type.
        eps: Radius as a fraction of the pixel range, such as 8 / 255.
        step: Length of a step, in the unit of eps. None is eps / 4.
        alpha: Another name of `step`.
        steps: Gradients per start, 1 or more.
        decay: What share of the earlier gradients is kept at each step.
        start: "uniform" in the ball, or "image", at x itself.
        restarts: Starts, 1 or more. An image keeps the first result that is misclassified.
        box: The lowest and the highest value of a pixel; None where there is no bound.
        norm: "Linf" or "L2"; also math.inf or 2.
        seed: Of the random starts; or a generator to draw them with.

    Returns:
        Adversarial images of the shape and type of x, in the ball and the box.

    Raises:
        CktatError: for images, labels, a radius or a model that make no sense.

    >>> model = torch.nn.Flatten()  # the logits are the pixels
    >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
    >>> mim(model, x, y, 0.25, steps=10).flatten().tolist()
    [0.25, 0.75]
    """
    attack = replace(
        MIM, direction=lambda: momentum(decay), steps=as_number(steps), start=start, restarts=as_number(restarts)
    )
    return attack(model, x, y, eps, step=step, alpha=alpha, box=box, norm=norm, seed=seed)


def cw(
    model: Model,
    x: Tensor,
    y: Tensor,
    eps: SupportsFloat,
    *,
    step: SupportsFloat | None = None,
    alpha: SupportsFloat | None = None,
    steps: SupportsIndex = 30,
    confidence: SupportsFloat = 50.0,
    start: StartAt = "uniform",
    restarts: SupportsIndex = 1,
    box: Box | None = (0.0, 1.0),
    norm: NormLike = "Linf",
    seed: SupportsIndex | torch.Generator = 0,
) -> Tensor:
    """Projected gradient ascent on the margin: the largest other logit minus that of the label.

    Source: the L_inf form of Carlini and Wagner, Towards evaluating the robustness of neural networks, S&P 2017.

    Args:
        model: Images [N, C, H, W] -> logits [N, K], or an object with them as `.logits`; any network or function.
        x: Images [N, C, H, W] of a float type, in the box.
        y: Labels [N] of any integer type.
        eps: Radius as a fraction of the pixel range, such as 8 / 255.
        step: Length of a step, in the unit of eps. None is eps / 4.
        alpha: Another name of `step`.
        steps: Gradients per start, 1 or more.
        confidence: The margin past which nothing is gained, in logits. A constant added to all logits changes nothing.
        start: "uniform" in the ball, or "image", at x itself.
        restarts: Starts, 1 or more. An image keeps the first result that is misclassified.
        box: The lowest and the highest value of a pixel; None where there is no bound.
        norm: "Linf" or "L2"; also math.inf or 2.
        seed: Of the random starts; or a generator to draw them with.

    Returns:
        Adversarial images of the shape and type of x, in the ball and the box.

    Raises:
        CktatError: for images, labels, a radius or a model that make no sense.

    >>> model = torch.nn.Flatten()  # the logits are the pixels
    >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
    >>> cw(model, x, y, 0.25, steps=10).flatten().tolist()
    [0.25, 0.75]
    """
    attack = replace(
        CW, objective=capped_margin(confidence), steps=as_number(steps), start=start, restarts=as_number(restarts)
    )
    return attack(model, x, y, eps, step=step, alpha=alpha, box=box, norm=norm, seed=seed)
