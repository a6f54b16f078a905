"""Where an adversary may move: an L_inf or an L2 ball around each image, inside the data's box."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from cktat.errors import CktatError, unknown
from cktat.numeric import as_number
from cktat.seeds import WHOLE, Part, drawn, fetched

Box = tuple[float, float]
Norm = Literal["Linf", "L2"]
NormLike = str | float
"""A norm as people write it: "Linf", "linf", "inf", math.inf; "L2", "l2", 2. `norm_of` reads it."""

_NORMS: dict[str, Norm] = {"linf": "Linf", "inf": "Linf", "l2": "L2", "2": "L2"}


def norm_of(given: NormLike) -> Norm:
    """The norm that is meant.

    Raises:
        CktatError: for any other norm.

    >>> norm_of("linf"), norm_of(math.inf), norm_of(2)
    ('Linf', 'Linf', 'L2')
    """
    number = as_number(given)
    text = f"{number:g}" if isinstance(number, int | float) and not isinstance(number, bool) else str(number)
    found = _NORMS.get(text.lower().replace("_", ""))
    if found is None:
        raise unknown("norm of a ball", given, get_args(Norm))
    return found


@dataclass(frozen=True)
class Ball:
    """All x' with |x' - x| <= eps in `norm`, taken over the whole image, and inside `box` where there is one.

    eps: radius as a fraction of the pixel range, kept as written (8/255 is not 0.031). box: (0, 1) for images, None for
    data without bounds. norm: "Linf" is the largest change of a pixel, "L2" the Euclidean length of the change; `norm_of`
    says how else it may be written. All three are kept in Python's own numbers and these names.
    Raises CktatError for a radius that is negative, not finite, or (in L_inf) wider than the box, and for a box or a norm
    that is none.

    Example:
        >>> Ball(8 / 255).norm
        'Linf'
    """

    eps: float
    box: Box | None = (0.0, 1.0)
    norm: Norm = "Linf"

    def __post_init__(self) -> None:
        for name, value in (("eps", as_number(self.eps)), ("box", _box(self.box)), ("norm", norm_of(self.norm))):
            object.__setattr__(self, name, value)
        if isinstance(self.eps, bool) or not isinstance(self.eps, int | float) or not math.isfinite(self.eps):
            raise CktatError(f"eps must be a finite number, not {self.eps!r}")
        if self.eps < 0:
            raise CktatError(f"eps must be 0 or more, not {self.eps}")
        if self.norm == "Linf" and self.box is not None and self.eps > self.box[1] - self.box[0]:
            raise CktatError(
                f"eps {self.eps:g} is wider than the data's box {list(self.box)}; it is a fraction of the pixel range, "
                f"so write 8/255 for 8 grey levels"
            )

    def clip(self, x: Tensor) -> Tensor:
        """x inside the box."""
        return x if self.box is None else x.clamp(*self.box)

    def distance(self, moved: Tensor, x: Tensor) -> Tensor:
        """How far each image was moved, in `norm` [N]."""
        order = math.inf if self.norm == "Linf" else 2
        return (moved - x).flatten(1).norm(order, dim=1)

    def project(self, moved: Tensor, x: Tensor) -> Tensor:
        """`moved` brought to the nearest point of the ball around x, and then into the box, which leaves the ball never."""
        if self.norm == "Linf":
            return self.clip(torch.minimum(torch.maximum(moved, x - self.eps), x + self.eps))
        length = lengths(moved - x)
        return self.clip(torch.where(length <= self.eps, moved, x + (moved - x) * (self.eps / length)))

    def rounded(self, moved: Tensor, x: Tensor) -> Tensor:
        """Points `moved` of the ball around x, in the type of x. A pixel that rounding would take further from x is rounded
        toward x instead, so that half precision does not leave the ball or the box.
        """
        if moved.dtype == x.dtype:
            return moved
        near, clean = moved.to(x.dtype), x.to(moved.dtype)
        past = ((near > moved) & (moved > clean)) | ((near < moved) & (moved < clean))
        # on the CPU, because a GPU does not know the next number of every type
        back = torch.nextafter(near.cpu(), x.cpu()).to(x.device)
        return torch.where(past, back, near)

    def require(self, moved: Tensor, x: Tensor) -> Tensor:
        """`moved`, if it lies in the ball around x and in the box, up to the rounding of fp32 in x + eps.

        Raises CktatError otherwise: a number from such images would be of another problem.
        """
        if len(x) == 0:
            return moved
        exact = self.distance(moved.double(), x.double())
        largest = max(float(x.abs().max()), self.eps)
        # one unit in the last place of a pixel; a length adds up those of all pixels, and its own sum
        pixels = 1 if self.norm == "Linf" else math.sqrt(x[0].numel())
        rounding = 2**-23 * largest * pixels + (0 if self.norm == "Linf" else 2**-19 * self.eps)
        if not bool((exact <= self.eps + rounding).all()):
            raise CktatError(
                f"an attack moved an image by {float(exact.max())} ({self.norm}), further than eps {self.eps}"
            )
        if self.box is not None and not bool(((moved >= self.box[0]) & (moved <= self.box[1])).all()):
            low, high = float(moved.min()), float(moved.max())
            raise CktatError(f"an attack moved pixels to {low:g} to {high:g}, out of the data's box {list(self.box)}")
        return moved

    def steepest(self, gradient: Tensor) -> Tensor:
        """The direction of length 1 in `norm` that ascends most: the gradient's sign, or (L2) the gradient over its length.

        An image without gradient stays where it is.
        """
        if self.norm == "Linf":
            return gradient.sign()
        largest = lengths(gradient, math.inf)
        gradient = gradient / largest.where(largest > 0, 1.0)  # squares of what is very small or large have no length
        length = lengths(gradient)
        return gradient / length.where(length > 0, 1.0)

    def uniform(self, x: Tensor, generator: torch.Generator, part: Part = WHOLE) -> Tensor:
        """A point drawn uniformly from the ball around x, clipped to the box.

        Drawn on the generator's device and moved, so that a seed means the same on every device. part: which part of a
        batch x is; the draws are those of the whole batch.
        """
        return self.clip(x + fetched(self.inside(tuple(x.shape), x.dtype, generator, part), x.device))

    def inside(
        self, shape: tuple[int, ...], dtype: torch.dtype, generator: torch.Generator, part: Part = WHOLE
    ) -> Tensor:
        """Changes of images of this shape [N, ...], drawn uniformly from the ball around 0, on the generator's device."""
        if self.norm == "Linf":
            return (2 * drawn(torch.rand, shape, dtype, generator, part) - 1) * self.eps
        noise = drawn(torch.randn, shape, dtype, generator, part)
        # the share u of the volume lies within the radius u^(1/n)
        share = drawn(torch.rand, (shape[0], *[1] * (len(shape) - 1)), dtype, generator, part)
        radius = self.eps * share ** (1 / max(1, math.prod(shape[1:])))
        return radius * noise / lengths(noise)


def _box(given: object) -> Box | None:
    if given is None:
        return None
    ends = [as_number(end) for end in given] if isinstance(given, tuple | list) else []
    if (
        len(ends) != 2
        or not all(isinstance(end, int | float) and math.isfinite(end) for end in ends)
        or ends[0] >= ends[1]
    ):
        raise CktatError(f"a box is its lowest and its highest value, such as (0.0, 1.0), or None, not {given!r}")
    return float(ends[0]), float(ends[1])


def lengths(x: Tensor, order: float = 2) -> Tensor:
    """Length (Euclidean, or of another order) of every image [N, 1, ...] of x [N, ...]."""
    return x.flatten(1).norm(order, dim=1).view(-1, *[1] * (x.dim() - 1))
