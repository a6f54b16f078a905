"""What the experiment trains: designs, seeds, and the conditions that it sweeps one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from cktat.errors import CktatError
from cktat.grid.comparison import DesignEntry
from cktat.paper.theory import MultiView, SparseCoding
from cktat.paper.theory import multiview_data as multiview
from cktat.paper.theory import sparse_coding_data as sparse_coding

CLEAN = "standard"
"""The design of the clean network: what purification is measured against."""
CONTROL = "pgd_at start=standard"
"""PGD-AT from the start that CKTAT has: what of a gain comes from the start and not from the guide."""
DESIGNS = (CLEAN, "pgd_at", "trades", "cktat", "cktat tau=1 beta=1", CONTROL)
"""CKTAT as published (tau 5, beta 6) and at temperature 1, weight 1."""
PARSE: dict[str, Callable[[str], tuple[Any, dict[str, int]]]] = {
    "multiview": multiview.parse, "sparse-coding": sparse_coding.parse,
}  # fmt: skip
"""What reads a specification, by the data's name."""


@dataclass(frozen=True)
class Condition:
    """eps: L2 radius of the ball around all patches together, in training and in the test. mu: share of single-view
    samples, None for data that know of no views. epochs: length of the training, and of its teacher's."""

    eps: float = 0.6
    mu: float | None = 0.4
    epochs: int = 20

    def __str__(self) -> str:
        views = "" if self.mu is None else f"mu {self.mu:g}, "
        return f"eps {self.eps:g}, {views}{self.epochs} epochs"


@dataclass(frozen=True)
class ExperimentSetting:
    """The whole experiment: every design at `base` and, but for `base_only`, with one value of it changed at a time.

    data: parameters of `source` and sizes of splits, but for mu and seed: seed i draws features, samples and first weights.
    """

    designs: tuple[str, ...] = DESIGNS
    seeds: int = 5
    base: Condition = Condition()
    eps: tuple[float, ...] = (0.3, 0.9, 1.2)
    mu: tuple[float, ...] = (0.1, 0.8)
    epochs: tuple[int, ...] = (5, 40)
    data: dict[str, float] = field(
        default_factory=lambda: {"k": 6, "d": 30, "P": 16, "noise": 0.1, "train": 600, "held_out": 100, "test": 100}
    )
    training: dict[str, Any] = field(default_factory=lambda: {"batch_size": 50, "lr": 0.1, "steps": 5})
    source: str = "multiview"
    model: str = "patchnet"
    base_only: tuple[str, ...] = (CONTROL,)

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise CktatError(f"the experiment needs at least 1 seed, not {self.seeds}")
        for design in self.designs:
            DesignEntry.read(design)
        for condition in self.conditions:
            if not 0 < condition.eps < float("inf") or condition.epochs < 1:
                raise CktatError(f"the experiment must have eps > 0 and epochs >= 1, not {condition}")
            self.distribution(condition, 0)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The base, then every change of it."""
        changed = [
            replace(self.base, **{name: value}) for name in ("eps", "mu", "epochs") for value in getattr(self, name)
        ]
        return tuple(dict.fromkeys([self.base, *changed]))

    def swept(self, name: str) -> tuple[Condition, ...]:
        """The base and its changes of one name, in ascending order."""
        same = [c for c in self.conditions if replace(c, **{name: getattr(self.base, name)}) == self.base]
        return tuple(sorted(same, key=lambda c: getattr(c, name)))

    def designs_at(self, condition: Condition) -> tuple[str, ...]:
        """All designs at the base; elsewhere without those of the base only."""
        return tuple(d for d in self.designs if condition == self.base or d not in self.base_only)

    def spec(self, condition: Condition, seed: int) -> str:
        """The data set of a condition and seed, as `load` takes it."""
        given = self.data | ({} if condition.mu is None else {"mu": condition.mu}) | {"seed": seed}
        return f"{self.source}:" + ",".join(f"{name}={value:g}" for name, value in given.items())

    def distribution(self, condition: Condition, seed: int) -> MultiView | SparseCoding:
        found: MultiView | SparseCoding = PARSE[self.source](self.spec(condition, seed))[0]
        return found

    def described(self) -> str:
        """The data in one line, for a page: every parameter but mu and the seed."""
        data, sizes = PARSE[self.source](self.spec(self.base, 0))
        parts = [f"{f.name} {getattr(data, f.name):g}" for f in fields(data) if f.name not in ("mu", "seed")]
        return f"{', '.join(parts)}; {sizes['train']} training samples"


def quick(designs: tuple[str, ...] = (CLEAN, "pgd_at"), seeds: int = 1) -> ExperimentSetting:
    """Seconds instead of minutes: two epochs of few samples at the base alone. Shows that all works, and nothing else."""
    data: dict[str, float] = {"k": 2, "d": 8, "P": 4, "train": 40, "held_out": 10, "test": 10}
    return ExperimentSetting(
        designs, seeds, Condition(epochs=2), (), (), (), data, {"batch_size": 20, "lr": 0.1, "steps": 2}
    )


SPARSE_DESIGNS = (CLEAN, "pgd_at", CONTROL, "trades", "cktat tau=1 beta=1")
"""The cited work trains adversarially from the clean network's weights: that is the control of the other experiment."""


def sparse_setting(designs: tuple[str, ...] = SPARSE_DESIGNS, seeds: int = 5) -> ExperimentSetting:
    """Section 3.1.2: sparse-coding data and a two-layer network, whose mixtures are measured at three radii."""
    data: dict[str, float] = {"d": 32, "k": 4, "noise": 0.02, "train": 2000, "held_out": 200, "test": 100}
    return ExperimentSetting(
        designs, seeds, Condition(0.15, None, 20), (0.1, 0.2), (), (), data, {"batch_size": 100, "lr": 0.2, "steps": 5},
        "sparse-coding", "patchnet-wide", base_only=tuple(d for d in designs if d not in (CLEAN, "pgd_at", CONTROL)),
    )  # fmt: skip


def quick_sparse(designs: tuple[str, ...] = (CLEAN, "pgd_at"), seeds: int = 1) -> ExperimentSetting:
    """Seconds instead of minutes, as `quick`."""
    data: dict[str, float] = {"d": 8, "k": 2, "train": 100, "held_out": 10, "test": 10}
    training = {"batch_size": 20, "lr": 0.1, "steps": 2}
    return replace(sparse_setting(designs, seeds), base=Condition(0.15, None, 2), eps=(), data=data, training=training)
