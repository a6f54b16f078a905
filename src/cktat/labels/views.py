"""What a network looks at: the clean image x, the adversarial x', points beyond it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cktat.errors import CktatError
from cktat.labels.kinds import require_kinds
from cktat.labels.labels import Uniform, uniform
from cktat.labels.outputs import Label, Network, Output, View
from cktat.labels.scalars import Number, Scalar, require_positive, require_share
from cktat.labels.walk import walk


@dataclass(frozen=True)
class Gaussian:
    """A start at x + sigma * N(0, 1): needed where the objective has no gradient at x itself (KL to the own output).

    Example:
        >>> Gaussian(0.001).sigma
        0.001
    """

    sigma: float

    def __post_init__(self) -> None:
        require_positive(self.sigma, "the sigma of a Gaussian start")


Start = Uniform | Gaussian
AttackMode = Literal["eval", "train"]


@dataclass(frozen=True)
class Adversarial(View):
    """The x' in the ball that pushes `of`'s output furthest, in KL, from `label`; the search begins at `start`.

    The label is fixed during the search, except its outputs on `here`, which follow the moving point. mode: of the attacked
    network; in "train" mode every step of the search moves its running statistics, as some releases have it.

    Example:
        >>> from cktat.labels import Learner, y
        >>> S = Learner("S")
        >>> Adversarial("x'", S, y).sign
        "x'"
    """

    of: Network
    label: Label
    start: Start = uniform
    mode: AttackMode = field(default="eval", metadata={"later": True})

    def __post_init__(self) -> None:
        require_kinds(self, of=Network, label=Label, start=(Uniform, Gaussian))
        if self.mode not in ("eval", "train"):
            raise CktatError(f"{self.sign} must attack in mode eval or train, not {self.mode!r}")
        if self.mode == "train" and any(isinstance(p, Output) and p.network.trains for p in walk(self.label)):
            raise CktatError(
                f"{self.sign} attacks in train mode, so its label may not be an output of a network that trains"
            )
        if not self.of.trains:
            raise CktatError(f"{self.sign} must attack a network that trains, not {self.of}")


@dataclass(frozen=True)
class Inverse(Adversarial):
    """The image that pulls `of`'s output nearest to `label`: the search goes down where an adversary's goes up.

    reach: radius of its ball as a share of the adversary's, above 0 and at most 1.

    Example:
        >>> from cktat.labels import Learner, y
        >>> Inverse("x+", Learner("S"), y, reach=0.5).reach
        0.5
    """

    reach: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.reach, Scalar):
            raise CktatError(f"the reach of {self.sign} must be a plain number, not {self.reach}")
        require_positive(require_share(self.reach, f"the reach of {self.sign}"), f"the reach of {self.sign}")


@dataclass(frozen=True)
class Extrapolated(View):
    """x + reach * (adversarial - x), not clipped to the box: what HAT shows its helper.

    Example:
        >>> from cktat.labels import Learner, y
        >>> Extrapolated("x''", adversarial(Learner("S"), y), 2.0).reach
        2.0
    """

    beyond: Adversarial
    reach: Number

    def __post_init__(self) -> None:
        require_kinds(self, beyond=Adversarial)


@dataclass(frozen=True)
class Again(View):
    """The images of a view, passed once more: another forward pass, which moves running statistics another time.

    Example:
        >>> Again("x again", clean).of.sign
        'x'
    """

    of: View

    def __post_init__(self) -> None:
        require_kinds(self, of=View)


clean = View("x")
here = View("here")


def adversarial(
    of: Network, label: Label, start: Start = uniform, sign: str = "x'", mode: AttackMode = "eval"
) -> Adversarial:
    """The view x' that an inner maximisation against `of` finds; a design with two of them gives each its own sign.

    Example:
        >>> from cktat.labels import Learner, y
        >>> S = Learner("S")
        >>> print(S(adversarial(S, y)))
        S(x')
    """
    return Adversarial(sign, of, label, start, mode)


def again(view: View) -> Again:
    """The same images as another view, for a second forward pass over them.

    Example:
        >>> again(clean).sign
        'x again'
    """
    return Again(f"{view.sign} again", view)


def inverse(of: Network, label: Label, reach: float = 1.0, start: Start = uniform, sign: str = "x+") -> Inverse:
    """The view near x that `of` finds most like `label`, within `reach` times the adversary's radius.

    Example:
        >>> from cktat.labels import Learner, y
        >>> S = Learner("S")
        >>> print(S(inverse(S, y, reach=0.5)))
        S(x+)
    """
    return Inverse(sign, of, label, start, reach=reach)


def extrapolated(beyond: Adversarial, reach: float, sign: str = "x''") -> Extrapolated:
    """The view x + reach * (x' - x).

    Example:
        >>> from cktat.labels import Learner, y
        >>> S = Learner("S")
        >>> print(S(extrapolated(adversarial(S, y), 2.0)))
        S(x'')
    """
    return Extrapolated(sign, beyond, require_positive(reach, "the reach of an extrapolated view"))


def gaussian(sigma: float) -> Gaussian:
    """A start of an inner maximisation at x + sigma * N(0, 1).

    Example:
        >>> from cktat.labels import Learner
        >>> S = Learner("S")
        >>> adversarial(S, S(clean), start=gaussian(0.001)).start
        Gaussian(sigma=0.001)
    """
    return Gaussian(sigma)
