"""A label design: a method of adversarial training as one short declaration, checked when it is made."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor

from cktat.errors import CktatError, unknown
from cktat.labels.kinds import require_kinds
from cktat.labels.labels import TrueLabel, y
from cktat.labels.networks import Average, ClassMean, Frozen, Learner
from cktat.labels.outputs import Cell, Label, Network, Output, Outputs, View
from cktat.labels.scalars import Calibrated, Moment, Schedule, growing, require_number, settled
from cktat.labels.sentence import sentence
from cktat.labels.terms import Term
from cktat.labels.views import Adversarial, Again, Extrapolated, clean, here
from cktat.labels.walk import rebuild, walk


@dataclass(frozen=True)
class Design:
    """Which output is pulled toward which label, by which networks.

    terms: their sum is the loss. Terms whose weight is the number 0 vanish and cost nothing.
    also: outputs that are computed although no term may need them, because their pass serves BatchNorm.
    order: the order of the train-mode passes where it is not that of the terms; all cells must be named.
    deploy: the network that is the result; by default the one called S.
    origin: the name and hyper-parameters it was made from, for configurations; no part of what the design is.

    Example:
        >>> from cktat.labels import Learner, Term, adversarial, clean, y
        >>> S = Learner("S")
        >>> adv = adversarial(S, y)
        >>> print(Design("mine", (Term(S(adv), y), Term(S(adv), S(clean), 3.0))))
        S(x'):y + 3 S(x'):S(x)
    """

    name: str
    terms: tuple[Term, ...]
    also: tuple[Output, ...] = ()
    order: tuple[Output, ...] = ()
    deploy: Network | None = None
    origin: tuple[str, tuple[tuple[str, Any], ...]] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        require_kinds(self, name=str, deploy=(Network, type(None)))
        for name, kind in (("terms", Term), ("also", Output), ("order", Output)):
            given = getattr(self, name)
            if not isinstance(given, tuple | list) or not all(isinstance(part, kind) for part in given):
                raise CktatError(f"design {self.name!r}: {name} must be a tuple of {kind.__name__}, not {given!r}")
            object.__setattr__(self, name, tuple(given))
        if not self.live:
            raise CktatError(f"design {self.name!r} has no term left: every weight is 0")
        parts: dict[str, Network | View] = {}
        spoken_of: tuple[Network | View, ...] = (*self.networks, *self.views)
        for part in spoken_of:
            if parts.setdefault(str(part), part) != part:
                raise CktatError(
                    f"design {self.name!r} calls two different things {str(part)!r}; give each its own name"
                )
        names = [str(term) for term in self.live]
        for name in names:
            if names.count(name) > 1:
                raise CktatError(f"design {self.name!r} has two terms called {name!r}; tell them apart with name=")
        trained = {term.output.network for term in self.live}
        for learner in self.learners:
            if learner not in trained:
                raise CktatError(f"design {self.name!r}: learner {learner} has no loss")
        if not isinstance(self.deployed, Learner | Average):
            raise CktatError(f"design {self.name!r} would deploy {self.deployed}, which does not train")
        for view in self.views:
            if isinstance(view, Adversarial) and any(
                isinstance(o.view, Extrapolated | Adversarial | Again) for o in _outputs(view.label)
            ):
                raise CktatError(f"design {self.name!r}: the label inside {view.sign} may look at x or `here` only")
        if here in self.views:
            raise CktatError(f"design {self.name!r}: `here` has a meaning inside an adversarial view's label only")
        for mean in self.class_means:
            if mean.of.cell not in self.cells:
                raise CktatError(f"design {self.name!r}: {mean} averages {mean.of}, which is no output of the loss")
            if any(cell.network == mean and cell.view != clean for cell in self.cells):
                raise CktatError(f"design {self.name!r}: {mean} looks at no image; write {mean}(clean)")
        ordered = [o.cell for o in self.order]
        if ordered and (set(ordered) != set(self._cells_by_term) or len(ordered) != len(set(ordered))):
            wanted = ", ".join(str(cell) for cell in self._cells_by_term)
            raise CktatError(f"design {self.name!r}: order must name exactly its cells {wanted}")

    @cached_property
    def live(self) -> tuple[Term, ...]:
        """The terms that do not vanish."""
        return tuple(term for term in self.terms if not term.vanishes)

    @cached_property
    def _cells_by_term(self) -> tuple[Cell, ...]:
        outputs = [
            o
            for term in self.live
            for part in (term.output, term.label, term.per_sample, term.by)
            for o in _outputs(part)
        ]
        return tuple(dict.fromkeys(output.cell for output in (*outputs, *self.also)))

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The forward passes of one step, in order: term by term, each its output, its label, its confidence."""
        return tuple(output.cell for output in self.order) or self._cells_by_term

    @cached_property
    def views(self) -> tuple[View, ...]:
        """The views that the cells need, each after those it is made from."""
        views: dict[View, None] = {}
        for cell in self.cells:
            if isinstance(cell.view, Extrapolated):
                views[cell.view.beyond] = None
            if isinstance(cell.view, Again):
                views[cell.view.of] = None
            views[cell.view] = None
        return tuple(views)

    @cached_property
    def networks(self) -> tuple[Network, ...]:
        """Every network it speaks of, those inside attacks and averages included."""
        roots = (self.live, self.also, self.deploy)
        return tuple(dict.fromkeys(p for p in walk(roots, into=_inside) if isinstance(p, Network)))

    @property
    def learners(self) -> tuple[Learner, ...]:
        return tuple(n for n in self.networks if isinstance(n, Learner))

    @property
    def frozen(self) -> tuple[Frozen, ...]:
        return tuple(n for n in self.networks if isinstance(n, Frozen))

    @property
    def class_means(self) -> tuple[ClassMean, ...]:
        return tuple(n for n in self.networks if isinstance(n, ClassMean))

    @property
    def averages(self) -> tuple[Average, ...]:
        """Averages, each after those it follows."""
        ordered: dict[Average, None] = {}

        def add(average: Average) -> None:
            for network in average.followed:
                if isinstance(network, Average):
                    add(network)
            ordered[average] = None

        for network in self.networks:
            if isinstance(network, Average):
                add(network)
        return tuple(ordered)

    @property
    def deployed(self) -> Network:
        """The network that is kept, attacked and reported."""
        if self.deploy is not None:
            return self.deploy
        named = [n for n in self.networks if n.letter == "S"]
        if not named:
            raise CktatError(f"design {self.name!r} has no network S; say which one is kept with deploy=")
        return named[0]

    @property
    def adversarial(self) -> bool:
        """Whether it trains on adversarial views."""
        return any(isinstance(view, Adversarial) for view in self.views)

    @property
    def open(self) -> tuple[str, ...]:
        """Names of calibrated values that are not settled yet."""
        return tuple(
            dict.fromkeys(p.name for p in walk((self.terms, self.deploy), into=_inside) if isinstance(p, Calibrated))
        )

    def __str__(self) -> str:
        """Its loss as a sentence, such as "S(x):y + 6 S(x'):S(x)"."""
        return sentence(self.live)

    def settle(self, **values: float) -> Design:
        """The design with calibrated values filled in. Raises CktatError for a name it has not left open."""
        for name in values:
            if name not in self.open:
                raise unknown(f"open value of design {self.name!r}", name, self.open or ["(none)"])
            require_number(values[name], f"{name} of design {self.name!r}")
        return rebuild(self, lambda part: settled(part, values), into=lambda part: part is self or _inside(part))

    def without(self, *names: str, instead: Term | None = None) -> Design:
        """The design without the named terms, with `instead` in their place if it is given.

        Where no term would be left that speaks of anything but the learner itself - a loss that a constant answers - and
        nothing is given instead, `Term(S(clean), y)` is put in; leave it out with `replace(terms=...)`.
        """
        for name in names:
            if name not in [str(term) for term in self.terms]:
                raise unknown(f"term of design {self.name!r}", name, [str(term) for term in self.terms])
        left = tuple(term for term in self.terms if str(term) not in names)
        if instead is None and not any(_anchored(term.label) for term in left if not term.vanishes):
            instead = Term(self.learners[0](clean), y, name="hard")
        return self.replace(terms=left if instead is None else (instead, *left))

    def averaged(self, decay: float) -> Design:
        """The design that deploys a moving average of what it deploys now.

        The decay starts low, at (step + 1) / (step + 10), so that the first weights are soon forgotten.
        """
        return self.replace(deploy=Average(f"{self.deployed} mean", of=self.deployed, decay=growing(decay)))

    def replace(self, **fields: Any) -> Design:
        """A copy with other fields; it keeps no origin, because no name and hyper-parameters stand for it any more."""
        for name in fields:
            if name not in (known := [f.name for f in dataclasses.fields(self)]):
                raise unknown("field of a design", name, known)
        return dataclasses.replace(self, **{"origin": None, **fields})

    def losses(self, outputs: Outputs) -> dict[str, Tensor]:
        """The weighted loss of every live term by the term's name, scalars; their sum is `loss`."""
        if self.open:
            raise CktatError(f"design {self.name!r} is not settled; give design.settle({'=..., '.join(self.open)}=...)")
        if not isinstance(outputs, Outputs):
            raise CktatError(
                f"a design's loss is a function of Outputs(logits, y, classes), not of a {type(outputs).__name__}"
            )
        outputs.check()
        return {str(term): term(outputs) for term in self.live}

    def loss(self, outputs: Outputs) -> Tensor:
        """The loss of a batch: a scalar, a pure function of the logits."""
        losses = self.losses(outputs)
        return sum(losses.values(), start=outputs.y.new_zeros((), dtype=outputs.dtype))


def _inside(part: object) -> bool:
    # A design inside a network (whose weights are wanted) is another sentence: its parts are not this design's.
    return not isinstance(part, Design)


def _outputs(part: object) -> tuple[Output, ...]:
    return tuple(p for p in walk(part, into=lambda p: not isinstance(p, View | Network)) if isinstance(p, Output))


def _anchored(label: Label) -> bool:
    return any(
        isinstance(p, TrueLabel) or (isinstance(p, Output) and not p.network.trains)
        for p in walk(label, into=lambda p: not isinstance(p, View | Network))
    )


class _Reads:
    """A moment that notes what a schedule reads of it."""

    def __init__(self) -> None:
        self.read: set[str] = set()

    def __getattr__(self, name: str) -> float:
        self.read.add(name)
        return getattr(Moment(), name)


def read_by_schedules(design: Design) -> set[str]:
    """The fields of a `Moment` that a design looks at: its schedules, and class means, which change with the epoch."""
    moment = _Reads()
    if design.class_means:
        moment.read.add("epoch")
    for part in walk((design, design.averages), into=lambda part: part is design or not isinstance(part, Design)):
        if isinstance(part, Schedule):
            part.at(moment)  # type: ignore[arg-type]
    return moment.read
