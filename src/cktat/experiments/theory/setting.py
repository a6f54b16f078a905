"""What the experiment trains: designs, seeds, and the conditions that it sweeps one at a time."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from cktat.data.multiview import parse
from cktat.errors import CktatError
from cktat.experiments.compare import Entry
from cktat.theory import MultiView

CLEAN = "standard"
"""The design of the clean network: what purification is measured against."""
CONTROL = "pgd_at start=standard"
"""PGD-AT from the start that CKTAT has: what of a gain comes from the start and not from the guide."""
DESIGNS = (CLEAN, "pgd_at", "trades", "cktat", "cktat tau=1 beta=1", CONTROL)
"""CKTAT as published (tau 5, beta 6) and at temperature 1, weight 1."""


@dataclass(frozen=True)
class Condition:
    """eps: L2 radius of the ball around all patches together, in training and in the test. mu: share of single-view
    samples. epochs: length of the training, and of its teacher's."""

    eps: float = 0.6
    mu: float = 0.4
    epochs: int = 20

    def __str__(self) -> str:
        return f"eps {self.eps:g}, mu {self.mu:g}, {self.epochs} epochs"


@dataclass(frozen=True)
class Setting:
    """The whole experiment: every design at `base` and, but for the control, with one value of it changed at a time.

    data: parameters of MultiView and sizes of splits, but for mu and seed: seed i draws features, samples and first weights.
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

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise CktatError(f"the experiment needs at least 1 seed, not {self.seeds}")
        for design in self.designs:
            Entry.read(design)
        for condition in self.conditions:
            if not 0 < condition.eps < float("inf") or condition.epochs < 1:
                raise CktatError(f"the experiment must have eps > 0 and epochs >= 1, not {condition}")
            parse(self.spec(condition, 0))

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
        """All designs at the base; elsewhere without the control."""
        return tuple(d for d in self.designs if condition == self.base or d != CONTROL)

    def spec(self, condition: Condition, seed: int) -> str:
        """The data set of a condition and seed, as `load` takes it."""
        given = self.data | {"mu": condition.mu, "seed": seed}
        return "multiview:" + ",".join(f"{name}={value:g}" for name, value in given.items())

    def distribution(self, condition: Condition, seed: int) -> MultiView:
        return parse(self.spec(condition, seed))[0]

    def described(self) -> str:
        """The setting in one line, for a page."""
        default = {f.name: f.default for f in fields(MultiView)}
        known = default | {k: v for k, v in self.data.items() if k in default}
        parts = [f"{name} {known[name]:g}" for name in ("k", "d", "P", "C_p", "s", "Gamma", "rho", "noise", "most")]
        return f"{', '.join(parts)}; {self.data.get('train', 1500):g} training samples"


def quick(designs: tuple[str, ...] = (CLEAN, "pgd_at"), seeds: int = 1) -> Setting:
    """Seconds instead of minutes: two epochs of few samples at the base alone. Shows that all works, and nothing else."""
    data: dict[str, float] = {"k": 2, "d": 8, "P": 4, "train": 40, "held_out": 10, "test": 10}
    return Setting(designs, seeds, Condition(epochs=2), (), (), (), data, {"batch_size": 20, "lr": 0.1, "steps": 2})
