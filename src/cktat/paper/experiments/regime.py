"""The regime: a plain grid of conditions, and whether adversarial training leaves a second feature unlearned in each."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cktat.attacks import named
from cktat.errors import CktatError
from cktat.grid.execute import execute
from cktat.grid.tasks import Key
from cktat.paper.experiments.in_memory import InMemory, train
from cktat.paper.experiments.measure import per_feature
from cktat.paper.theory import MultiView, Samples, Terms, terms
from cktat.paper.theory.patchnet import PatchNets
from cktat.runs import Kept, Stop, commit, hardware, read_sealed, versions, write_sealed

RECORD = "the record of a condition of `cktat theory regime`"
ADVERSARIAL = "pgd_at"
ONLY = 400
"""Fresh samples that show one feature of their class alone."""


class RegimeKept(Kept):
    """A condition's record in out/regime."""

    condition: dict[str, Any]
    setting: dict[str, Any]
    seeds: list[dict[str, Any]]
    provenance: dict[str, Any]


@dataclass(frozen=True)
class RegimeCondition:
    """A condition. mu: share of single-view samples. eps: L2 radius. neurons: per class. noise: per coordinate. alike: cosine
    between second features. epochs: of both trainings."""

    mu: float = 0.4
    eps: float = 0.6
    neurons: int = 5
    noise: float = 0.1
    alike: float = 0.0
    epochs: int = 20

    def __str__(self) -> str:
        return ", ".join(f"{f.name} {getattr(self, f.name):g}" for f in fields(self))


@dataclass(frozen=True)
class RegimeSetting:
    """The box: every combination of its values, each for seeds 0, 1, ... of features, samples and first weights."""

    seeds: int = 5
    mu: tuple[float, ...] = (0.05, 0.4)
    eps: tuple[float, ...] = (0.3, 0.6, 1.2)
    neurons: tuple[int, ...] = (1, 2, 5)
    noise: tuple[float, ...] = (0.1, 0.3)
    alike: tuple[float, ...] = (0.0, 0.8)
    epochs: tuple[int, ...] = (20, 8)
    k: int = 4
    d: int = 20
    P: int = 10
    samples: int = 400

    def __post_init__(self) -> None:
        if self.seeds < 1 or not all(getattr(self, f.name) for f in fields(RegimeCondition)):
            raise CktatError("the grid needs at least 1 seed and 1 value of each of its conditions")
        for place in self.places:
            self.data(place, 0)
            InMemory(place.epochs, place.eps)
            if place.neurons < 1:
                raise CktatError(f"a network needs at least 1 neuron per class, not {place.neurons}")

    @property
    def places(self) -> tuple[RegimeCondition, ...]:
        """All conditions, group by group."""
        return tuple(place for group in self.groups for place in group)

    @property
    def groups(self) -> list[tuple[RegimeCondition, ...]]:
        """The conditions of equal length, width and radius, which are trained side by side; of the first length first."""
        return [
            tuple(
                RegimeCondition(mu, eps, neurons, noise, alike, epochs) for mu, noise, alike in product(*self._together)
            )
            for (epochs, neurons), eps in product(
                product(dict.fromkeys(self.epochs), dict.fromkeys(self.neurons)), dict.fromkeys(self.eps)
            )
        ]

    @property
    def _together(self) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(dict.fromkeys(values)) for values in (self.mu, self.noise, self.alike))

    def data(self, place: RegimeCondition, seed: int) -> MultiView:
        return MultiView(
            k=self.k, d=self.d, P=self.P, mu=place.mu, noise=place.noise, alike=place.alike, seed=seed
        )  # fmt: skip

    @property
    def beside(self) -> dict[str, Any]:
        """What a record depends on beside its condition: sizes, and what is trained side by side, since the starts of attacks
        are drawn for all together."""
        sizes = {name: getattr(self, name) for name in ("seeds", "k", "d", "P", "samples")}
        return sizes | dict(zip(("mu", "noise", "alike"), map(list, self._together), strict=True))


def regime(
    setting: RegimeSetting, out: Path, *, jobs: int = 1, say: Callable[[str], None] = print
) -> list[dict[str, Any]]:
    """Trains and measures what is not there yet; returns every condition's record.

    Records lie in out/regime, one a condition, written as they come; the same call goes on where an earlier one stopped. Raises
    CktatError if a group of conditions fails, after the others are done, and Stopped when asked to stop.
    """
    todo = [RegimeTask(setting, group, out) for group in setting.groups]
    execute(todo, jobs=jobs, say=say).require_all(len(todo), "groups of conditions")
    return [read_sealed(record_of(out, place), RegimeKept, RECORD) for place in setting.places]


def record_of(out: Path, place: RegimeCondition) -> Path:
    """The file of what is measured at a condition."""
    return out / "regime" / f"{str(place).replace(', ', '-').replace(' ', '')}.json"


@dataclass(frozen=True)
class RegimeTask:
    """A group of conditions to train and to measure side by side: a task of a grid."""

    setting: RegimeSetting
    group: tuple[RegimeCondition, ...]
    out: Path
    device: str = "cpu"
    threads: int = 1

    @property
    def label(self) -> str:
        of = self.group[0]
        return f"epochs {of.epochs}, neurons {of.neurons}, eps {of.eps:g}"

    @property
    def key(self) -> Key:
        return self.label, None

    @property
    def needs(self) -> tuple[Key, ...]:
        return ()

    def on(self, device: str) -> RegimeTask:
        return replace(self, device=device)

    def carry_out(self, stop: Stop) -> str:
        """Trains and measures, unless the records of the same are there."""
        if all(map(self._is_there, self.group)):
            return "is there"
        began = time.process_time()
        measured = _measured(self.setting, self.group)
        said = {
            "commit": commit(), "versions": versions(), "hardware": hardware(torch.device("cpu")),
            "processor_seconds": round((time.process_time() - began) / len(self.group), 2),
        }  # fmt: skip
        (self.out / "regime").mkdir(parents=True, exist_ok=True)
        for place, seeds in zip(self.group, measured, strict=True):
            record = {**self._asked(place), "seeds": seeds, "provenance": said}
            write_sealed(record_of(self.out, place), record)
        return "trained and measured"

    def _asked(self, place: RegimeCondition) -> dict[str, Any]:
        return {"condition": asdict(place), "setting": self.setting.beside}

    def _is_there(self, place: RegimeCondition) -> bool:
        path = record_of(self.out, place)
        if not path.exists():
            return False
        found = read_sealed(path, RegimeKept, RECORD)
        return all(found[name] == value for name, value in self._asked(place).items())


def drawn(distributions: list[MultiView], samples: int) -> tuple[Tensor, Tensor]:
    """Training samples of distributions of one shape, side by side: x [S, N, d, P, 1], y [S, N]."""
    found = [data.sample(samples) for data in distributions]
    return torch.stack([s.images for s in found]), torch.stack([s.y for s in found])


def adversary(model: Callable[[Tensor], Tensor], eps: float) -> Callable[[Tensor, Tensor], Tensor]:
    """PGD-20 in an L2 ball of radius eps around all patches together."""
    return partial(named("pgd20"), model, eps=eps, box=None, norm="L2")


@torch.no_grad()
def alone(nets: PatchNets, distributions: list[MultiView]) -> Tensor:
    """Clean accuracy on fresh samples that show one feature of their class alone [S, k, 2]."""
    only: list[Samples] = [replace(data, rho=0.0).sample(ONLY, 11, "single") for data in distributions]
    said = nets(torch.cat([s.images for s in only])).argmax(dim=1).view(len(only), -1)
    return torch.stack(
        [per_feature(answer == s.y, s, s.present.shape[1]) for answer, s in zip(said, only, strict=True)]
    )


def _measured(setting: RegimeSetting, group: tuple[RegimeCondition, ...]) -> list[list[dict[str, Any]]]:
    """For each condition of a group, for each seed what both networks are."""
    seeds = list(range(setting.seeds))
    distributions = [setting.data(place, seed) for place in group for seed in seeds]
    x, y = drawn(distributions, setting.samples)
    features = torch.stack([data.features for data in distributions])
    of, every = group[0], seeds * len(group)
    found: dict[str, tuple[Tensor, Terms]] = {}
    for design in ("standard", ADVERSARIAL):
        nets = PatchNets.drawn(every, setting.k, of.neurons, setting.d)
        train(design, nets, x, y, InMemory(of.epochs, of.eps), every)
        found[design] = alone(nets, distributions), terms(nets, adversary(nets, of.eps), features, setting.P)
    lines = [
        {"seed": seed} | {
            design: {"accuracy": accuracy[i].tolist(), "a": of.a[i].tolist(), "taken": of.taken[i].tolist()}
            for design, (accuracy, of) in found.items()
        }
        for i, seed in enumerate(every)
    ]  # fmt: skip
    return [lines[i : i + len(seeds)] for i in range(0, len(lines), len(seeds))]
