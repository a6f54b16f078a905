"""Where a step's attacks begin: changes of the images, a function of (seed, step) that is the same on every device."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import torch
from torch import Tensor

from cktat.attacks import Ball
from cktat.labels import Adversarial, Design, Gaussian, Inverse, View
from cktat.seeds import WHOLE, Part, drawn, fetched, generator

Changes = dict[View, Tensor]


def within(ball: Ball, view: Adversarial) -> Ball:
    """The ball in which a view is searched."""
    return replace(ball, eps=view.reach * ball.eps) if isinstance(view, Inverse) and view.reach != 1 else ball


def draw(
    design: Design,
    ball: Ball,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    draws: torch.Generator,
    part: Part = WHOLE,
    spread: float | None = None,
) -> Changes:
    """How far from the images each adversarial view's search begins, [N, C, H, W] on the draws' device.

    shape: of the part of the batch that is this process's; the draws are those of the whole batch. spread: all begin at
    uniform noise of so many radii of their ball, whatever their own start; None is their own start.
    """
    return {
        view: view.start.sigma * drawn(torch.randn, shape, dtype, draws, part)
        if isinstance(view.start, Gaussian) and spread is None
        else within(ball, view).inside(shape, dtype, draws, part) * (1.0 if spread is None else spread)
        for view in design.views
        if isinstance(view, Adversarial)
    }


def begin(ball: Ball, x: Tensor, changes: Mapping[View, Tensor], spread: float | None = None) -> dict[View, Tensor]:
    """Where each search begins. A Gaussian start is neither projected nor clipped, as the KL attacks of TRADES begin."""
    return {
        view: x + change
        if isinstance(view, Adversarial) and isinstance(view.start, Gaussian) and spread is None
        else ball.clip(x + change)
        for view, change in changes.items()
    }


class Starts:
    """The starts of one step after the other. Drawn on the CPU; `ahead`, which pays for a GPU, draws those of the next
    step in a thread while this one runs, so that the host neither draws nor waits inside a step. spread: see `draw`.
    """

    def __init__(
        self,
        design: Design,
        ball: Ball,
        seed: int,
        part: Part = WHOLE,
        *,
        ahead: bool = False,
        spread: float | None = None,
    ) -> None:
        self.design, self.ball, self.seed, self.part, self.spread = design, ball, seed, part, spread
        self._thread = ThreadPoolExecutor(1) if ahead and design.adversarial else None
        self._next: tuple[object, Future[Changes]] | None = None

    def at(self, step: int, x: Tensor) -> dict[View, Tensor]:
        """Where the searches of `step` begin around x [N, C, H, W], by view."""
        return begin(self.ball, x, self._changes(step, x), self.spread)

    def _changes(self, step: int, x: Tensor) -> Changes:
        def work(step: int) -> Changes:
            draws = generator(self.seed, "attack", step)
            found = draw(self.design, self.ball, tuple(x.shape), x.dtype, draws, self.part, self.spread)
            return {view: fetched(change, x.device) for view, change in found.items()}

        if self._thread is None:
            return work(step)
        asked = (step, x.shape, x.dtype, x.device)
        changes = self._next[1].result() if self._next and self._next[0] == asked else work(step)
        self._next = (step + 1, *asked[1:]), self._thread.submit(work, step + 1)
        return changes
