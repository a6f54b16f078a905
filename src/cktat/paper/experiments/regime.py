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
from cktat.runs import Kept, Stop, Stopped, commit, hardware, read_sealed, versions, write_sealed

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
class Place:
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
    mu: tuple[float, ...] = (0.05, 0.4, 0.8)
    eps: tuple[float, ...] = (0.3, 0.6, 1.2)
    neurons: tuple[int, ...] = (1, 2, 5)
    noise: tuple[float, ...] = (0.1, 0.3)
    alike: tuple[float, ...] = (0.0, 0.8)
    epochs: tuple[int, ...] = (20, 10)
    k: int = 4
    d: int = 20
    P: int = 10
    samples: int = 400

    def __post_init__(self) -> None:
        if self.seeds < 1 or not all(getattr(self, f.name) for f in fields(Place)):
            raise CktatError("the grid needs at least 1 seed and 1 value of each of its conditions")
        for place in self.places:
            self.data(place, 0)
            InMemory(place.epochs, place.eps)
            if place.neurons < 1:
                raise CktatError(f"a network needs at least 1 neuron per class, not {place.neurons}")

    @property
    def places(self) -> tuple[Place, ...]:
        """All conditions. What was changed last in the order of fields comes first, so that a grid that is stopped holds whole
        boxes of the first lengths."""
        names = [f.name for f in fields(Place)][::-1]
        found = product(*(dict.fromkeys(getattr(self, name)) for name in names))
        return tuple(Place(**dict(zip(names, values, strict=True))) for values in found)

    def data(self, place: Place, seed: int) -> MultiView:
        return MultiView(
            k=self.k, d=self.d, P=self.P, mu=place.mu, noise=place.noise, alike=place.alike, seed=seed
        )  # fmt: skip

    @property
    def sizes(self) -> dict[str, int]:
        """What a record depends on beside its condition."""
        return {name: getattr(self, name) for name in ("seeds", "k", "d", "P", "samples")}


def regime(
    setting: RegimeSetting, out: Path, *, jobs: int = 1, say: Callable[[str], None] = print
) -> list[dict[str, Any]]:
    """Trains and measures what is not there yet; returns every condition's record.

    Records lie in out/regime, one a condition; the same call goes on where an earlier one stopped. Raises CktatError if a
    condition fails, after the others are done, and Stopped when asked to stop.
    """
    todo = [RegimeTask(setting, place, out) for place in setting.places]
    outcome = execute(todo, jobs=jobs, say=say)
    if outcome.failures:
        (label, _), why = next(iter(outcome.failures.items()))
        raise CktatError(f"{len(outcome.failures)} of {len(todo)} conditions failed: {label}: {why}")
    if outcome.stopped:
        raise Stopped(f"{outcome.stopped}; the same command goes on")
    return [read_sealed(task.record, RegimeKept, RECORD) for task in todo]


@dataclass(frozen=True)
class RegimeTask:
    """One condition to train and to measure: a task of a grid."""

    setting: RegimeSetting
    place: Place
    out: Path
    device: str = "cpu"
    threads: int = 1

    @property
    def label(self) -> str:
        return str(self.place)

    @property
    def key(self) -> Key:
        return self.label, None

    @property
    def needs(self) -> tuple[Key, ...]:
        return ()

    @property
    def record(self) -> Path:
        return self.out / "regime" / f"{str(self.place).replace(', ', '-').replace(' ', '')}.json"

    def on(self, device: str) -> RegimeTask:
        return replace(self, device=device)

    def carry_out(self, stop: Stop) -> str:
        """Trains and measures, unless the record of the same is there."""
        asked = {"condition": asdict(self.place), "setting": self.setting.sizes}
        if self.record.exists():
            found = read_sealed(self.record, RegimeKept, RECORD)
            if all(found[name] == value for name, value in asked.items()):
                return "is there"
        began = time.process_time()
        seeds = _measured(self.setting, self.place)
        self.record.parent.mkdir(parents=True, exist_ok=True)
        said = {
            "commit": commit(), "versions": versions(), "hardware": hardware(torch.device("cpu")),
            "processor_seconds": round(time.process_time() - began, 2),
        }  # fmt: skip
        write_sealed(self.record, {**asked, "seeds": seeds, "provenance": said})
        return "trained and measured"


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


def _measured(setting: RegimeSetting, place: Place) -> list[dict[str, Any]]:
    seeds = list(range(setting.seeds))
    distributions = [setting.data(place, seed) for seed in seeds]
    x, y = drawn(distributions, setting.samples)
    features = torch.stack([data.features for data in distributions])
    found: dict[str, tuple[Tensor, Terms]] = {}
    for design in ("standard", ADVERSARIAL):
        nets = PatchNets.drawn(seeds, setting.k, place.neurons, setting.d)
        train(design, nets, x, y, InMemory(place.epochs, place.eps), seeds)
        found[design] = alone(nets, distributions), terms(nets, adversary(nets, place.eps), features, setting.P)
    return [
        {
            "seed": seed,
            **{
                design: {"accuracy": accuracy[i].tolist(), "a": of.a[i].tolist(), "taken": of.taken[i].tolist()}
                for design, (accuracy, of) in found.items()
            },
        }
        for i, seed in enumerate(seeds)
    ]
