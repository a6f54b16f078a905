"""What the checks look at: a network, some images, and attacks on them that are carried out once for all checks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from cktat.attacks import Ball, Model, OfLogits, answer, ascend, cross_entropy, logits_of, margin, plain, slope
from cktat.data import Dataset
from cktat.evaluation.doubts.blind import noise_breaks, random_search
from cktat.seeds import generator

STEPS = 100
"""Of the cross-entropy's ascent. Its 20th iterate is PGD-20's last: same starts, same steps."""
SHORT = 20
MARGIN_STEPS = 40
RESTARTS = 4
"""Starts of SHORT steps after the first."""
TARGETS = 3
"""Likeliest wrong classes that are aimed at, SHORT steps each."""
FEWEST = 10
"""With fewer images to attack, a count is an anecdote."""

Course = tuple[Tensor, Tensor]
"""Margins [steps + 1, N] at every iterate of an ascent, its start first, and the last images [N, C, H, W]."""


@dataclass(frozen=True)
class Probe:
    """A network in eval mode with the images x [N, C, H, W] and labels y [N] that it is examined on.

    Attacks are on the images it classifies rightly, `aim`; their flags are of those, in that order. results: flags of
    whole evaluations by attack, True where an image stayed right, all of the same images. other: a network to transfer
    from. batch_size: images at a time. counted: more images and labels, on which accuracy is counted; None: x and y. data:
    whose test images they are, if that is known; unseen: whether its held-out images are no training images of the network.
    """

    model: Model
    x: Tensor
    y: Tensor
    ball: Ball
    results: Mapping[str, Tensor]
    other: Model | None
    seed: int
    batch_size: int
    counted: tuple[Tensor, Tensor] | None = None
    data: Dataset | None = None
    unseen: bool = True

    @property
    def images(self) -> int:
        return len(self.x)

    @cached_property
    def logits(self) -> Tensor:
        """Of all images, at the beginning [N, K]."""
        return self.answers(self.x)

    @cached_property
    def aim(self) -> tuple[Tensor, Tensor]:
        """Images and labels that are classified rightly."""
        right = self.logits.argmax(dim=1) == self.y
        return self.x[right], self.y[right]

    @property
    def unattackable(self) -> str | None:
        """Why attacks would show nothing, if so."""
        if self.ball.eps == 0:
            return "eps is 0: nothing is attacked."
        if len(self.aim[1]) < FEWEST:
            return f"Only {len(self.aim[1])} of {self.images} images are classified rightly; {FEWEST} are needed. Give more."
        return None

    @cached_property
    def said(self) -> tuple[Tensor, Tensor]:
        """Classes [M] that the network says of the counted images, and their labels [M]."""
        x, y = self.counted or (self.x, self.y)
        return self.answers(x).argmax(dim=1), y

    @cached_property
    def highest(self) -> int:
        """The highest label there is."""
        return int((self.counted or (self.x, self.y))[1].max())

    def answers(self, x: Tensor) -> Tensor:
        """Logits without gradients [N, K]."""
        return torch.cat([logits_of(self.model, part, self.highest) for part in x.split(self.batch_size)])

    def margins(self, x: Tensor, y: Tensor) -> Tensor:
        """Above 0 where x is misclassified [N]."""
        return margin(self.answers(x), y)

    def gradients(self, objective: OfLogits) -> Tensor:
        """Of the objective at the images of `aim`, one each [N, C, H, W]."""
        found = []
        for x, y in self.parts(*self.aim):
            x = x.clone().requires_grad_(True)
            with torch.enable_grad():
                found.append(slope(objective(answer(self.model, x, int(y.max())), y).sum(), x))
        return torch.cat(found)

    def parts(self, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
        return zip(*(tensor.split(self.batch_size) for tensor in tensors), strict=True)

    def course(
        self,
        x: Tensor,
        y: Tensor,
        objective: OfLogits,
        steps: int,
        *,
        draws: torch.Generator | None = None,
        ball: Ball | None = None,
        model: Model | None = None,
    ) -> Course:
        """PGD's ascent with steps of eps / 4, from a uniform start, or from the images if there are no draws."""
        ball, model = ball or self.ball, model or self.model
        margins, ends = [], []
        for some, labels in self.parts(x, y):
            seen: list[Tensor] = []

            def watched(images: Tensor, labels: Tensor = labels, seen: list[Tensor] = seen) -> Tensor:
                logits = answer(model, images, int(labels.max()))
                seen.append(margin(logits.detach(), labels))
                return objective(logits, labels)

            start = some if draws is None else ball.uniform(some, draws)
            end = ascend(watched, some, start, ball=ball, step=ball.eps / 4, steps=steps, direction=plain())
            margins.append(torch.stack([*seen, margin(logits_of(model, end), labels)]))
            ends.append(end)
        return torch.cat(margins, dim=1), torch.cat(ends)

    def draws(self, what: str) -> torch.Generator:
        return generator(self.seed, "doubts", what)

    @cached_property
    def by_cross_entropy(self) -> Tensor:
        """Margins [STEPS + 1, N] along PGD."""
        return self.course(*self.aim, cross_entropy, STEPS, draws=self.draws("cross-entropy"))[0]

    @cached_property
    def by_margin(self) -> Tensor:
        """Margins [MARGIN_STEPS + 1, N] along an ascent of the margin itself."""
        return self.course(*self.aim, margin, MARGIN_STEPS, draws=self.draws("margin"))[0]

    @cached_property
    def by_restarts(self) -> Tensor:
        """Bool [N]: broken by a later start of PGD-20, where the first did not."""
        x, y = self.aim
        broken = self.by_cross_entropy[SHORT] > 0
        left, draws = (~broken).nonzero().flatten(), self.draws("restarts")
        found = torch.zeros_like(broken)
        for _restart in range(RESTARTS):
            if len(left):
                now = self.course(x[left], y[left], cross_entropy, SHORT, draws=draws)[0][-1] > 0
                found[left[now]] = True
                left = left[~now]
        return found

    @cached_property
    def by_usual(self) -> Tensor:
        """Bool [N]: broken where PGD of STEPS steps ends, or where the ascent of the margin does."""
        return (self.by_cross_entropy[-1] > 0) | (self.by_margin[-1] > 0)

    @cached_property
    def by_targets(self) -> Tensor:
        """Bool [N]: broken, where usual attacks break nothing, on the way to one of the likeliest wrong classes.

        Each climbs the margin of its class over the true one, so that a class which is far at first is not given up for one
        that is near and never reached (Gowal et al., 2019).
        """
        (x, y), found, draws = self.aim, torch.zeros_like(self.by_usual), self.draws("targets")
        wrong = self.answers(x).scatter(1, y.unsqueeze(1), -math.inf).argsort(dim=1, descending=True)
        for place in range(min(TARGETS, wrong.shape[1] - 1)):
            todo = (~self.by_usual & ~found).nonzero().flatten()
            for rows in todo.split(self.batch_size) if len(todo) else ():
                margins, _ = self.course(x[rows], y[rows], toward(wrong[rows, place]), SHORT, draws=draws)
                found[rows] = (margins > 0).any(dim=0)
        return found

    @cached_property
    def broken(self) -> Tensor:
        """Bool [N]: broken at any iterate of any of these white-box attacks - more than an evaluation would count."""
        anywhere = (torch.cat([self.by_cross_entropy, self.by_margin]) > 0).any(dim=0)
        return self.by_restarts | self.by_targets | anywhere

    @property
    def left(self) -> tuple[Tensor, Tensor]:
        """Images and labels that no white-box attack broke."""
        x, y = self.aim
        return x[~self.broken], y[~self.broken]

    @cached_property
    def by_black_box(self) -> Tensor:
        """Bool [N]: broken by random search, where no white-box attack broke them."""
        found, draws = torch.zeros_like(self.broken), self.draws("black box")
        if not bool(self.broken.all()):
            ends = [random_search(self.margins, self.ball, x, y, draws) for x, y in self.parts(*self.left)]
            found[~self.broken] = self.margins(torch.cat(ends), self.left[1]) > 0
        return found

    @cached_property
    def by_noise(self) -> Tensor:
        """Bool [N]: broken by noise, whatever else breaks them."""
        return noise_breaks(self.margins, self.ball, *self.aim, self.draws("noise"))


def toward(aimed: Tensor) -> OfLogits:
    """The margin of the classes `aimed` at [N] over the true ones."""

    def over(logits: Tensor, y: Tensor) -> Tensor:
        return (logits.gather(1, aimed.unsqueeze(1)) - logits.gather(1, y.unsqueeze(1))).squeeze(1)

    return over


def share(part: float, whole: int) -> float:
    return part / whole if whole else 0.0


def percent(value: float) -> str:
    return f"{100 * value:.3g} %"
