"""The networks a design speaks of: learners that train, frozen teachers, and averages that follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, overload

from cktat.errors import CktatError
from cktat.labels.kinds import require_kinds
from cktat.labels.labels import Mixture, Trust
from cktat.labels.outputs import Label, Network, Output
from cktat.labels.scalars import Number, require_positive, require_share, require_weight

Pick = Literal["best", "last"]


class Sentence(Protocol):
    """A design, as the networks in it know it. The class `Design` is made of networks, so it cannot be named here."""

    @property
    def name(self) -> str: ...
    @property
    def adversarial(self) -> bool: ...


@dataclass(frozen=True)
class Learner(Network):
    """A network that trains.

    start: None draws fresh weights; a design (or its name) takes the weights that design's network ended with, `pick`ed
    on held-out images or the last ones; a learner takes that learner's weights at the start.
    start_tau: divides the last layer of the started network, so that at first its logits are those of the start / tau.
    model: name of its architecture; None is the run's.
    weight_decay, lr_factor: this learner's own; None and 1 are the recipe's.

    Example:
        >>> from cktat.labels import Term, Design, clean, y
        >>> Design("standard", (Term(Learner("S")(clean), y),)).learners[0].letter
        'S'
    """

    start: str | Sentence | Learner | None = None
    pick: Pick = "best"
    start_tau: Number = 1.0
    model: str | None = None
    weight_decay: float | None = None
    lr_factor: float = 1.0

    def __post_init__(self) -> None:
        require_kinds(self, letter=str)
        _require_pick(self.pick, self.letter)
        if self.start is not None and not isinstance(self.start, Learner):
            _require_design(self.start, f"the start of learner {self.letter} must be None, a learner,")
        require_positive(self.start_tau, f"start_tau of learner {self.letter}")
        require_positive(self.lr_factor, f"lr_factor of learner {self.letter}")
        if self.weight_decay is not None:
            require_weight(self.weight_decay, f"weight_decay of learner {self.letter}")

    @property
    def trains(self) -> bool:
        return True


@dataclass(frozen=True)
class Frozen(Network):
    """A network that does not train: the one that design `of` trains on this data, with this recipe, length and seed.

    of: a design or its name. model: its architecture; None is the run's. pick: its best or its last weights.

    Example:
        >>> from cktat.labels import clean
        >>> print(Frozen("T", of="trades")(clean, 2.0))
        T^tau(x)
    """

    of: str | Sentence = "standard"
    model: str | None = None
    pick: Pick = "best"

    def __post_init__(self) -> None:
        require_kinds(self, letter=str)
        _require_pick(self.pick, self.letter)
        _require_design(self.of, f"network {self.letter} must be of")


@dataclass(frozen=True)
class NetworkMix:
    """share * a + (1 - share) * b in weights and buffers.

    Example:
        >>> mix(Learner("R"), Learner("N"), 0.3).share
        0.3
    """

    a: Network
    b: Network
    share: Number

    def __post_init__(self) -> None:
        require_share(self.share, f"the share of {self.a} in a mixture of networks")


@dataclass(frozen=True)
class Average(Network):
    """Weights and buffers that follow `of` after every step: decay * itself + (1 - decay) * of.

    copied_back_to: learners that are overwritten by it after a step at which `when` is not 0.

    Example:
        >>> Average("M", of=Learner("S"), decay=0.99).followed[0].letter
        'S'
    """

    of: Network | NetworkMix | None = None
    decay: Number = 0.999
    copied_back_to: tuple[Learner, ...] = ()
    when: Number = 0.0

    def __post_init__(self) -> None:
        if self.of is None:
            raise CktatError(f"average {self.letter} must say what it follows: Average({self.letter!r}, of=...)")
        require_kinds(self, letter=str, of=(Network, NetworkMix))
        require_share(self.decay, f"the decay of average {self.letter}")

    @property
    def followed(self) -> tuple[Network, ...]:
        """The networks whose weights it takes."""
        of = self.of
        return (of.a, of.b) if isinstance(of, NetworkMix) else (of,) if of is not None else ()


@dataclass(frozen=True)
class ClassMean(Network):
    """What `of` said on average, in the epoch before, of the images of each class.

    It looks at no image: for a sample of class y its output on `clean` is the mean distribution of class y. In the first epoch
    that is uniform; a class that an epoch did not show keeps what it had.

    of: a train-mode output of the loss; its temperature counts.

    Example:
        >>> from cktat.labels import clean
        >>> print(ClassMean("M", of=Learner("S")(clean))(clean))
        M(x)
    """

    of: Output

    def __post_init__(self) -> None:
        require_kinds(self, letter=str, of=Output)


@overload
def mix(a: Label, b: Label, share: Number | Trust) -> Mixture: ...
@overload
def mix(a: Network, b: Network, share: Number) -> NetworkMix: ...
def mix(a: Label | Network, b: Label | Network, share: Number | Trust) -> Mixture | NetworkMix:
    """share * a + (1 - share) * b, of two labels (as distributions) or of two networks (as weights).

    Example:
        >>> from cktat.labels import uniform, y
        >>> print(mix(uniform, y, 0.1))
        interpolation between uniform and y
    """
    if isinstance(a, Network) and isinstance(b, Network) and not isinstance(share, Trust):
        return NetworkMix(a, b, share)
    if isinstance(a, Label) and isinstance(b, Label):
        return Mixture(a, b, share)
    raise CktatError(f"mix takes two labels or two networks, not {a} and {b}")


def _require_pick(pick: str, letter: str) -> None:
    if pick not in ("best", "last"):
        raise CktatError(f"network {letter}: pick must be 'best' or 'last', not {pick!r}")


def _require_design(given: object, must: str) -> None:
    if not isinstance(given, str) and not hasattr(given, "adversarial"):
        raise CktatError(f"{must} a design or the name of one, not {given!r}")
