"""Where an adversary may move: an L_inf ball around each image, inside the data's box."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cktat.errors import CktatError

Box = tuple[float, float]


@dataclass(frozen=True)
class Ball:
    """All x' with max |x' - x| <= eps, and inside `box` where there is one.

    eps: radius as a fraction of the pixel range, kept as written (8/255 is not 0.031). box: (0, 1) for images, None for
    data without bounds. Raises CktatError for a radius that is negative, not finite, or wider than the box.
    """

    eps: float
    box: Box | None = (0.0, 1.0)

    def __post_init__(self) -> None:
        if isinstance(self.eps, bool) or not isinstance(self.eps, int | float) or not math.isfinite(self.eps):
            raise CktatError(f"eps must be a finite number, not {self.eps!r}")
        if self.eps < 0:
            raise CktatError(f"eps must be 0 or more, not {self.eps}")
        if self.box is not None and self.eps > self.box[1] - self.box[0]:
            raise CktatError(
                f"eps {self.eps:g} is wider than the data's box {list(self.box)}; it is a fraction of the pixel range, "
                f"so write 8/255 for 8 grey levels"
            )

    def clip(self, x: Tensor) -> Tensor:
        """x inside the box."""
        return x if self.box is None else x.clamp(*self.box)

    def project(self, moved: Tensor, x: Tensor) -> Tensor:
        """The point of the ball around x nearest to `moved`: first into the ball, then into the box."""
        return self.clip(torch.minimum(torch.maximum(moved, x - self.eps), x + self.eps))

    def uniform(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A point drawn uniformly from the ball around x, clipped to the box.

        Drawn on the generator's device and moved, so that a seed means the same on every device.
        """
        noise = torch.rand(x.shape, generator=generator, device=generator.device, dtype=x.dtype).to(x.device)
        return self.clip(x + (2 * noise - 1) * self.eps)

    def gaussian(self, x: Tensor, generator: torch.Generator, sigma: float) -> Tensor:
        """x + sigma N(0, 1), neither projected nor clipped, as the KL attacks of TRADES and its kin begin."""
        noise = torch.randn(x.shape, generator=generator, device=generator.device, dtype=x.dtype).to(x.device)
        return x + sigma * noise
