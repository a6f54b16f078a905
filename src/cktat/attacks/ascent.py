"""The one loop of gradient ascent that every first-order attack is made of, in training and in evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import SupportsFloat

import torch
from torch import Tensor

from cktat.attacks.ball import Ball
from cktat.attacks.network import slope
from cktat.errors import CktatError
from cktat.numeric import as_number

Objective = Callable[[Tensor], Tensor]
"""Images x' [N, ...] -> what is maximised, one value per image [N]."""

Packed = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Images x' [n, ...] and which of the batch they are [n] -> what is maximised and whether the image is done, both [n]."""

Direction = Callable[[Tensor], Tensor]
"""Gradient with respect to x' -> where to go, of the same shape; the ball makes a step of it. May remember earlier ones."""


def plain() -> Direction:
    """The gradient itself: steepest ascent, whatever the ball's norm."""
    return lambda gradient: gradient


def sign() -> Direction:
    """The sign of the gradient: steepest ascent in L_inf."""
    return torch.sign


def momentum(decay: SupportsFloat = 1.0) -> Direction:
    """Accumulated gradients, each divided by its mean absolute value (MI-FGSM, Dong et al., CVPR 2018)."""
    decay = as_number(decay)
    if not isinstance(decay, int | float) or not math.isfinite(decay):
        raise CktatError(f"the decay of accumulated gradients must be a finite number, not {decay!r}")
    velocity: Tensor | float = 0.0

    def direction(gradient: Tensor) -> Tensor:
        nonlocal velocity
        scale = gradient.abs().flatten(1).mean(dim=1).view(-1, *[1] * (gradient.dim() - 1))
        # an image without gradient adds nothing, where the release divides 0 by 0
        velocity = decay * velocity + gradient / scale.where(scale > 0, 1.0)
        return velocity

    return direction


def ascend(
    objective: Objective, x: Tensor, start: Tensor, *, ball: Ball, step: float, steps: int, direction: Direction
) -> Tensor:
    """The last of `steps` iterates x' <- project(x' + step * steepest(direction(gradient at x'))), after `start`."""
    moved = start.detach()
    for _ in range(steps):
        moved.requires_grad_(True)
        with torch.enable_grad():
            gradient = slope(objective(moved).sum(), moved)
        with torch.no_grad():
            moved = ball.project(moved + step * ball.steepest(direction(gradient)), x)
    return moved.detach()


def ascend_packed(
    objective: Packed, x: Tensor, start: Tensor, *, ball: Ball, step: float, steps: int
) -> tuple[Tensor, int]:
    """As `ascend` along the gradient, but an image stays where it is found to be done, and the others go on without it.

    Those that go on are packed into a smaller batch at every step, so that an image that is done costs no further pass. The
    last iterate is not looked at, as there is no step after it.

    Args:
        objective: what is maximised, and who is done. It may look at each image by itself only.
        x: clean images [N, ...].
        start: where the search begins [N, ...].
        ball: where it stays.
        step: length of a step, in units of the ball's radius.
        steps: how many are made at most.

    Returns:
        The images [N, ...], and how many passes forth and back they cost, counted image by image.
    """
    moved = start.detach().clone()
    rows, passes = torch.arange(len(x), device=x.device), 0
    for _ in range(steps):
        # an index makes a batch of another memory format, in which convolutions are slower
        near = _like(moved[rows], x).requires_grad_(True)
        passes += len(rows)
        with torch.enable_grad():
            value, done = objective(near, rows)
            gradient = slope(value.sum(), near)
        with torch.no_grad():
            on = ~done
            rows, near, gradient = rows[on], near[on], gradient[on]
            if not len(rows):
                break
            moved[rows] = ball.project(near + step * ball.steepest(gradient), x[rows])
    return moved, passes


def _like(images: Tensor, x: Tensor) -> Tensor:
    """`images` in the memory format of x, without a graph."""
    last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return images.detach().contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
