"""What the measurements in memory share: their data, the record that each writes, and cells of their tables."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cktat.errors import CktatError
from cktat.evaluation import spread
from cktat.pages.sections import Section, write_page
from cktat.paper.experiments.accounts import Account, write_json_beside
from cktat.paper.experiments.in_memory import InMemory, train
from cktat.paper.experiments.regime import drawn
from cktat.paper.theory import MultiView
from cktat.paper.theory.patchnet import PatchNets
from cktat.runs import commit, hardware, versions


@dataclass(frozen=True)
class SmallSetting:
    """Multi-view data and a training at which a measurement is made; seeds 0, 1, ... of features, samples, first weights."""

    seeds: int = 5
    k: int = 4
    d: int = 20
    P: int = 10
    samples: int = 400
    mu: float = 0.4
    noise: float = 0.1
    eps: float = 0.6
    epochs: int = 20
    neurons: int = 2

    def __post_init__(self) -> None:
        if self.seeds < 1 or self.neurons < 1:
            raise CktatError(f"a measurement needs at least 1 seed and 1 neuron, not {self.seeds} and {self.neurons}")

    @property
    def each(self) -> list[MultiView]:
        """The distribution of every seed."""
        shape = {"k": self.k, "d": self.d, "P": self.P}
        return [MultiView(**shape, mu=self.mu, noise=self.noise, seed=seed) for seed in range(self.seeds)]

    @property
    def features(self) -> Tensor:
        """[S, k, 2, d]."""
        return torch.stack([data.features for data in self.each])

    def new(self, first: int = 0, neurons: int | None = None) -> PatchNets:
        """Untrained networks, one for each seed. first: added to the seeds of weights, for a second network of each."""
        return PatchNets.drawn(
            range(first, first + self.seeds), self.k, self.neurons if neurons is None else neurons, self.d
        )

    def trained(self, design: str, nets: PatchNets, **more: Any) -> PatchNets:
        """`nets` trained by a design on every seed's samples. more: as for `train`."""
        x, y = drawn(self.each, self.samples)
        return train(design, nets, x, y, InMemory(self.epochs, self.eps), range(self.seeds), **more)


def cell(values: Sequence[float | None], digits: int = 2) -> str:
    """Mean and half of its 95 % interval over the seeds that have a value; "none" where no seed has."""
    found = spread([v for v in values if v is not None])
    if found is None:
        return "none"
    if found.half is None:
        return f"{found.mean:.{digits}f}"
    return f"{found.mean:.{digits}f} ± {found.half:.{digits}f}"


def mean_where(values: Tensor, chosen: Tensor) -> list[float | None]:
    """For each seed the mean of its finite values [S, ...] where `chosen`, None where there is none."""
    there = chosen & values.isfinite()  # a feature without a neuron of its own has no mixture per unit of pure part
    return [float(v[c].double().mean()) if bool(c.any()) else None for v, c in zip(values, there, strict=True)]


def published(
    out: Path,
    name: str,
    title: str,
    setting: Any,
    section: Section,
    content: Mapping[str, Any],
    began: float,
    *,
    result: str,
) -> Account:
    """Writes out/name.json (setting, seconds, provenance, content) and the page of one section; the rows for the terminal.

    began: what time.process_time() said at the start. result: what was found, in one sentence for the top of the page.
    """
    said = {
        "commit": commit(), "versions": versions(), "hardware": hardware(torch.device("cpu")),
        "processor_seconds": round(time.process_time() - began, 1),
    }  # fmt: skip
    write_json_beside(out, name, {"setting": asdict(setting), "provenance": said, **content})
    lead = "Means and 95 % intervals over seeds (Student's t)."
    page = write_page(out, name, title, lead, (section,), result=result)
    return Account(tuple(section.columns), tuple(tuple(row) for row in section.rows), page)
