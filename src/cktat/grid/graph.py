"""The runs that are asked for and all the runs these need, each once, by what they compute."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cktat.api.needs import needed, of_other_runs
from cktat.api.records import identity_of
from cktat.data import Dataset
from cktat.designs import make
from cktat.labels import Design
from cktat.runs import RunConfig
from cktat.schema import Threat


@dataclass(frozen=True)
class Measurement:
    """What is measured of a run: its `weights`, clean and under attacks, on the first `images` test images (None:
    all of them)."""

    weights: str
    attacks: tuple[str, ...]
    images: int | None = None


@dataclass(frozen=True)
class Asked:
    """A run that somebody wants measured, and what he calls it. eps: radius of the attacks that measure it; None is that
    of its training."""

    label: str
    config: RunConfig
    measurements: tuple[Measurement, ...] = ()
    eps: float | None = None

    @property
    def ball(self) -> Threat:
        """Norm and radius of the attacks that measure it."""
        threat = self.config.threat
        return threat if self.eps is None else threat.model_copy(update={"eps": self.eps})


@dataclass(frozen=True)
class GridRun:
    """One run of a grid.

    needs: identities of the runs whose networks it is given. root: the configuration of the run that was asked for and that
    leads here. A design may hold functions that no other process can be sent; from the root it makes the design again.
    """

    identity: str
    config: RunConfig
    design: Design
    needs: tuple[str, ...]
    root: RunConfig

    def __str__(self) -> str:
        return f"{self.config.design} s{self.config.seed} {self.identity[:8]}"


def graph(roots: Iterable[RunConfig], data: Dataset) -> dict[str, GridRun]:
    """Runs by identity, each after those it needs. Networks that were imported are no runs; they must be there."""
    runs: dict[str, GridRun] = {}

    def add(config: RunConfig, design: Design, root: RunConfig) -> str:
        name = identity_of(config, data, design)
        if name not in runs:
            theirs = [needed(config, network, data) for network in of_other_runs(design)]
            needs = [add(their, made, root) for their, made in theirs if made is not None]
            runs[name] = GridRun(name, config, design, tuple(dict.fromkeys(needs)), root)
        return name

    for root in roots:
        add(root, make(root.design, **root.set), root)
    return runs
