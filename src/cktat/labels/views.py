"""What a network looks at: the clean image x, the adversarial x', points beyond it."""

from __future__ import annotations

from dataclasses import dataclass

from cktat.errors import CktatError
from cktat.labels.kinds import require_kinds
from cktat.labels.labels import Uniform, uniform
from cktat.labels.outputs import Label, Network, View
from cktat.labels.scalars import Number, Scalar, require_positive, require_share


@dataclass(frozen=True)
class Gaussian:
    """A start at x + sigma * N(0, 1): needed where the objective has no gradient at x itself (KL to the own output)."""

    sigma: float

    def __post_init__(self) -> None:
        require_positive(self.sigma, "the sigma of a Gaussian start")


Start = Uniform | Gaussian


@dataclass(frozen=True)
class Adversarial(View):
    """The x' in the ball that pushes `of`'s output furthest, in KL, from `label`; the search begins at `start`.

    The label is fixed during the search, except its outputs on `here`, which follow the moving point.
    """

    of: Network
    label: Label
    start: Start = uniform

    def __post_init__(self) -> None:
        require_kinds(self, of=Network, label=Label, start=(Uniform, Gaussian))
        if not self.of.trains:
            raise CktatError(f"{self.sign} must attack a network that trains, not {self.of}")


@dataclass(frozen=True)
class Inverse(Adversarial):
    """The image that pulls `of`'s output nearest to `label`: the search goes down where an adversary's goes up.

    reach: radius of its ball as a share of the adversary's, above 0 and at most 1.
    """

    reach: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.reach, Scalar):
            raise CktatError(f"the reach of {self.sign} must be a plain number, not {self.reach}")
        require_positive(require_share(self.reach, f"the reach of {self.sign}"), f"the reach of {self.sign}")


@dataclass(frozen=True)
class Extrapolated(View):
    """x + reach * (adversarial - x), not clipped to the box: what HAT shows its helper."""

    beyond: Adversarial
    reach: Number

    def __post_init__(self) -> None:
        require_kinds(self, beyond=Adversarial)


clean = View("x")
here = View("here")


def adversarial(of: Network, label: Label, start: Start = uniform, sign: str = "x'") -> Adversarial:
    """The view x' that an inner maximisation against `of` finds; a design with two of them gives each its own sign."""
    return Adversarial(sign, of, label, start)


def inverse(of: Network, label: Label, reach: float = 1.0, start: Start = uniform, sign: str = "x+") -> Inverse:
    """The view near x that `of` finds most like `label`, within `reach` times the adversary's radius."""
    return Inverse(sign, of, label, start, reach)


def extrapolated(beyond: Adversarial, reach: float, sign: str = "x''") -> Extrapolated:
    """The view x + reach * (x' - x)."""
    return Extrapolated(sign, beyond, require_positive(reach, "the reach of an extrapolated view"))


def gaussian(sigma: float) -> Gaussian:
    """A start of an inner maximisation at x + sigma * N(0, 1)."""
    return Gaussian(sigma)
