"""An attack as data: objective, direction, steps, start, restarts - and its run on a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from cktat.attacks.ascent import Direction, ascend, plain
from cktat.attacks.ball import Ball, Box, Norm
from cktat.attacks.network import HALVES, NOT_FINITE, Model, answer, attacked, require_alone
from cktat.attacks.objectives import OfLogits, cross_entropy
from cktat.errors import CktatError
from cktat.seeds import generator

StartAt = Literal["uniform", "image"]


@dataclass(frozen=True)
class Attack:
    """Gradient ascent in a ball; the last iterate counts.

    steps: gradients per restart. step: length of a step as a fraction of eps. start: "uniform" in the ball, or "image",
    at x itself. restarts: independent starts; an image keeps the first that is misclassified, otherwise the one with the
    highest objective.
    """

    objective: OfLogits = cross_entropy
    direction: Callable[[], Direction] = plain
    steps: int = 20
    step: float = 0.25
    start: StartAt = "uniform"
    restarts: int = 1

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("restarts", self.restarts)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise CktatError(f"an attack's {name} must be a whole number of 1 or more, not {value!r}")
        if self.start not in ("uniform", "image"):
            raise CktatError(f"an attack's start must be 'uniform' or 'image', not {self.start!r}")

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        *,
        eps: float,
        step: float | None = None,
        box: Box | None = (0.0, 1.0),
        norm: Norm = "Linf",
        seed: int | torch.Generator = 0,
    ) -> Tensor:
        """Adversarial images [N, C, H, W] for x (float, in the box) with labels y [N]; `step` overrides, in pixel units.

        The model is attacked in eval mode and left as it was. Images in half precision move in fp32: the model is asked, and
        the images are given back, in the type of x, and they never lie outside the ball or the box. Raises CktatError for
        images, labels, radii or answers of the model that make no sense.
        """
        ball = Ball(eps, box, norm)
        step = self.step * eps if step is None else step
        if not math.isfinite(step) or step < 0 or (step == 0 and eps > 0):
            raise CktatError(f"an attack's step must be a finite number above 0, not {step}")
        given, y = check_batch(x, y, box)
        x = given.float() if given.dtype in HALVES else given
        draws = seed if isinstance(seed, torch.Generator) else generator(seed, "attack")

        highest, finite = int(y.max()), torch.tensor(True, device=x.device)

        def objective(images: Tensor) -> Tensor:
            return self.objective(answer(model, images.to(given.dtype), highest), y)

        def watched(direction: Direction) -> Direction:
            # the sign of NaN is 0: images would stay where they are, and the network would look robust
            def watching(gradient: Tensor) -> Tensor:
                finite.logical_and_(gradient.isfinite().all())
                return direction(gradient)

            return watching

        with attacked(model):
            require_alone(model, given)
            best: Tensor | None = None
            for _restart in range(self.restarts):
                begin = ball.uniform(x, draws) if self.start == "uniform" else x
                direction = watched(self.direction())
                found = ascend(objective, x, begin, ball=ball, step=step, steps=self.steps, direction=direction)
                if not finite:
                    raise CktatError(NOT_FINITE)
                found = ball.require(ball.rounded(found, given), given)
                if self.restarts == 1:
                    return found
                with torch.no_grad():
                    logits = answer(model, found, highest)
                    value, broken = self.objective(logits, y), logits.argmax(dim=1) != y
                if best is None:
                    best, best_value, best_broken = found, value, broken
                    continue
                better = ~best_broken & (broken | (value > best_value))
                best = torch.where(better.view(-1, *[1] * (x.dim() - 1)), found, best)
                best_value, best_broken = torch.where(better, value, best_value), best_broken | broken
            assert best is not None
            return best


def check_batch(x: Tensor, y: Tensor, box: Box | None) -> tuple[Tensor, Tensor]:
    """Images and labels as attacks take them: x without its graph, y in int64 on the device of x.

    Raises CktatError unless x are float images in the box and y as many integer labels.
    """
    for what, given in (("images", x), ("labels", y)):
        if not isinstance(given, Tensor):
            raise CktatError(f"attacks take {what} as a torch.Tensor, not a {type(given).__name__}")
    if torch.is_inference_mode_enabled():
        raise CktatError("attacks need gradients, which torch.inference_mode() forbids; call them outside of it")
    if not x.is_floating_point():
        raise CktatError(f"attacks take float images, not {x.dtype}; divide whole-number pixels by 255 first")
    if x.dim() < 2:
        raise CktatError(f"attacks take a batch of images [N, ...], not {list(x.shape)}")
    if y.is_floating_point() or y.is_complex() or y.dim() != 1 or len(y) != len(x):
        raise CktatError(
            f"attacks take one integer label per image: got labels {list(y.shape)} of {y.dtype} for {len(x)} images"
        )
    if len(x) == 0:
        raise CktatError("attacks take at least one image, got none")
    # tensors of an inference mode that is over carry no gradient, their copies do
    x, y = (given.clone() if given.is_inference() else given for given in (x.detach(), y))
    y = y.to(x.device, torch.int64)
    if int(y.min()) < 0:
        raise CktatError(f"attacks take labels of 0 or more, not {int(y.min())}")
    if not bool(torch.isfinite(x).all()):
        raise CktatError("images contain NaN or infinite values")
    if box is not None and (float(x.min()) < box[0] or float(x.max()) > box[1]):
        low, high = float(x.min()), float(x.max())
        raise CktatError(f"images reach from {low:g} to {high:g}, outside the data's box {list(box)}")
    return x, y


def check_seed(seed: int) -> None:
    """Raises CktatError unless `seed` is a number that a generator takes as it is."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise CktatError(f"a seed must be a whole number of 0 or more, below 2**63, not {seed!r}")


def check_names(names: Sequence[str], what: str) -> None:
    """Raises CktatError for a single text, whose letters would be taken for names."""
    if isinstance(names, str):
        raise CktatError(f"{what} must be a list of names, such as [{names!r}], not the text {names!r}")
