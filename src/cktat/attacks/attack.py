"""An attack as data: objective, direction, steps, start, restarts - and its run on a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal, SupportsFloat, SupportsIndex

import torch
from torch import Tensor

from cktat.attacks.ascent import Direction, ascend, plain
from cktat.attacks.ball import Ball, Box, NormLike, norm_of
from cktat.attacks.network import HALVES, NOT_FINITE, Model, answer, attacked, require_alone
from cktat.attacks.objectives import OfLogits, cross_entropy
from cktat.errors import CktatError
from cktat.numeric import as_number
from cktat.seeds import generator

StartAt = Literal["uniform", "image"]

ROUNDING = {torch.float16: 2**-9, torch.bfloat16: 2**-6, torch.float32: 1e-6, torch.float64: 1e-6}
"""The types of images, and how far outside their box a pixel may be by rounding, as a share of the box: what normalising and
back leaves. Half precision has two units in the last place of 1."""


@dataclass(frozen=True)
class Attack:
    """Gradient ascent in a ball; the last iterate counts.

    Args:
        objective: What is maximised: logits [N, K] and labels [N] -> one value per image [N].
        direction: Makes what turns a gradient into where to go; `plain`, `sign` or `momentum`.
        steps: Gradients per restart, 1 or more.
        step: Length of a step as a share of eps.
        start: "uniform" in the ball, or "image", at x itself.
        restarts: Independent starts, 1 or more. An image keeps the first that is misclassified, otherwise the one with the
            highest objective.

    Raises:
        CktatError: for a value that makes no sense.

    >>> import torch
    >>> from cktat.attacks import Attack, sign
    >>> attack = Attack(direction=sign, steps=4, step=0.5)
    >>> model, x, y = torch.nn.Flatten(), torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
    >>> attack(model, x, y, 0.25).flatten().tolist()
    [0.25, 0.75]
    """

    objective: OfLogits = cross_entropy
    direction: Callable[[], Direction] = plain
    steps: int = 20
    step: float = 0.25
    start: StartAt = "uniform"
    restarts: int = 1

    def __post_init__(self) -> None:
        for name in ("steps", "restarts"):
            object.__setattr__(self, name, whole(getattr(self, name), f"an attack's {name}"))
        object.__setattr__(self, "step", as_number(self.step))
        if self.start not in ("uniform", "image"):
            raise CktatError(f"an attack's start must be 'uniform' or 'image', not {self.start!r}")
        for name in ("objective", "direction"):
            if not callable(getattr(self, name)):
                raise CktatError(f"an attack's {name} must be a function, not {getattr(self, name)!r}")

    def __call__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        eps: SupportsFloat,
        *,
        step: SupportsFloat | None = None,
        alpha: SupportsFloat | None = None,
        box: Box | None = (0.0, 1.0),
        norm: NormLike = "Linf",
        seed: SupportsIndex | torch.Generator = 0,
    ) -> Tensor:
        """Adversarial images for x.

        The model is attacked in eval mode and left as it was. Images in half precision move in fp32: the model is asked, and
        the images are given back, in the type of x, and they never lie outside the ball or the box.

        Args:
            model: Images [N, C, H, W] -> logits [N, K], or an object with them as `.logits`.
            x: Images [N, C, H, W] of a float type, in the box up to a rounding error.
            y: Labels [N] of any integer type.
            eps: Radius of the ball as a fraction of the pixel range, such as 8 / 255.
            step: Length of a step, in the unit of eps. None is the attack's own share of eps.
            alpha: Another name of `step`.
            box: The lowest and the highest value of a pixel; None where there is no bound.
            norm: "Linf" or "L2".
            seed: Of the starts; or a generator to draw them with.

        Returns:
            Images of the shape and type of x.

        Raises:
            CktatError: for images, labels, a radius or answers of the model that make no sense.
        """
        ball = Ball(as_number(eps), box, norm_of(norm))
        length = step_meant(step, alpha)
        length = self.step * ball.eps if length is None else length
        if not _is_number(length) or length < 0 or (length == 0 and ball.eps > 0):
            raise CktatError(f"an attack's step must be a finite number above 0, not {length!r}")
        given, y = check_batch(x, y, ball.box)
        x = given.float() if given.dtype in HALVES else given
        draws = seed if isinstance(seed, torch.Generator) else generator(check_seed(seed), "attack")

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
                found = ascend(objective, x, begin, ball=ball, step=length, steps=self.steps, direction=direction)
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


def step_meant(step: Any, alpha: Any) -> Any:
    """The step that is given by either of its two names, None if it is not. Raises CktatError where both are."""
    if step is not None and alpha is not None:
        raise CktatError("alpha is another name of an attack's step; give only one of them")
    return as_number(alpha if step is None else step)


def _is_number(given: Any) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)


def check_batch(x: Tensor, y: Tensor, box: Box | None) -> tuple[Tensor, Tensor]:
    """Images and labels as attacks take them: x without its graph and inside the box, y in int64 on the device of x.

    Raises CktatError unless x are float images in the box, up to a rounding error, and y as many integer labels.
    """
    for what, given in (("images", x), ("labels", y)):
        if not isinstance(given, Tensor):
            raise CktatError(
                f"attacks take {what} as a torch.Tensor, not a {type(given).__name__}; torch.as_tensor(...) makes one"
            )
    if torch.is_inference_mode_enabled():
        raise CktatError("attacks need gradients, which torch.inference_mode() forbids; call them outside of it")
    for what, given in (("images", x), ("labels", y)):
        if given.layout != torch.strided or given.is_meta:
            raise CktatError(
                f"attacks take {what} as a dense tensor that holds numbers, not {given.layout} on {given.device}"
            )
    if not x.is_floating_point():
        raise CktatError(f"attacks take float images, not {x.dtype}; divide whole-number pixels by 255 first")
    if x.dtype not in ROUNDING:
        raise CktatError(
            f"attacks take images in half, single or double precision, not {x.dtype}; x.float() makes them so"
        )
    if x.dim() < 2:
        raise CktatError(f"attacks take a batch of images [N, ...], not {list(x.shape)}")
    if y.is_floating_point() or y.is_complex() or y.dim() != 1 or len(y) != len(x):
        hint = "; x.unsqueeze(0) makes a batch of one image" if x.dim() == 3 else ""
        raise CktatError(
            f"attacks take one integer label per image: got labels {list(y.shape)} of {y.dtype} for {len(x)} images{hint}"
        )
    if len(x) == 0:
        raise CktatError("attacks take at least one image, got none")
    if x.numel() == 0:
        raise CktatError(f"attacks take images that have pixels, not {list(x.shape)}")
    # tensors of an inference mode that is over carry no gradient, their copies do
    x, y = (given.clone() if given.is_inference() else given for given in (x.detach(), y))
    y = y.to(x.device, torch.int64)
    if int(y.min()) < 0:
        raise CktatError(f"attacks take labels of 0 or more, not {int(y.min())}")
    if not bool(torch.isfinite(x).all()):
        raise CktatError("images contain NaN or infinite values")
    return (x if box is None else _inside(x, box)), y


def _inside(x: Tensor, box: Box) -> Tensor:
    low, high = float(x.min()), float(x.max())
    if box[0] <= low and high <= box[1]:
        return x
    rounding = ROUNDING[x.dtype] * (box[1] - box[0])
    if low < box[0] - rounding or high > box[1] + rounding:
        raise CktatError(f"images reach from {low:g} to {high:g}, outside the data's box {list(box)}")
    return x.clamp(*box)


def whole(given: Any, what: str, least: int = 1) -> int:
    """`given` as a whole number of `least` or more. Raises CktatError, which calls it `what`, for anything else.

    >>> whole(3.5, "steps")
    Traceback (most recent call last):
    ...
    cktat.errors.CktatError: steps must be a whole number of 1 or more, not 3.5
    """
    number = as_number(given)
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise CktatError(f"{what} must be a whole number of {least} or more, not {number!r}")
    return number


def check_seed(seed: SupportsIndex) -> int:
    """`seed` as Python's number. Raises CktatError unless it is one that a generator takes as it is."""
    number = as_number(seed)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 2**63:
        raise CktatError(f"a seed must be a whole number of 0 or more, below 2**63, not {number!r}")
    return number


def check_names(names: Collection[str], what: str) -> None:
    """Raises CktatError for what is no list of names, such as a single text, whose letters would be taken for them."""
    if isinstance(names, str):
        raise CktatError(f"{what} must be a list of names, such as [{names!r}], not the text {names!r}")
    if not isinstance(names, Collection) or not all(isinstance(name, str) for name in names):
        raise CktatError(f"{what} must be a list of names, not {names!r}")
