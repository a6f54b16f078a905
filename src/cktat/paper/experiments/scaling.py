"""Eq. 4 to 6 as scaling laws: how a clean network's dense mixture grows with the sparsity k and the dimension d."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from cktat.errors import CktatError
from cktat.pages.sections import Section
from cktat.paper.experiments.accounts import Account
from cktat.paper.experiments.in_memory import InMemory, train
from cktat.paper.experiments.mixtures import LEARNED
from cktat.paper.experiments.small import cell, published
from cktat.paper.theory import SparseCoding, split_by_class
from cktat.paper.theory.patchnet import PatchNets

LAWS = {"Eq. 4": (1.0, -1.0), "Eq. 5": (1.0, -1.0), "Eq. 6": (1.0, -0.5)}
"""Exponents of k and d that the equations say: a component of m, |<m, x>| / |x| on clean inputs (at most), and along m."""


@dataclass(frozen=True)
class ScalingSetting:
    """Sparse-coding data at every k and d; a network has `per_dimension` d neurons per class."""

    seeds: int = 5
    k: tuple[int, ...] = (2, 4, 8)
    d: tuple[int, ...] = (16, 32, 64)
    samples: int = 2000
    noise: float = 0.02
    epochs: int = 20
    per_dimension: int = 2

    def __post_init__(self) -> None:
        if self.seeds < 1 or len(set(self.k)) < 2 or len(set(self.d)) < 2:
            raise CktatError(
                f"an exponent needs 1 seed and 2 values of k and of d, not {self.seeds}, {self.k}, {self.d}"
            )


def exponents(k: Sequence[float], d: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """(p, q) of values = c k^p d^q, by least squares of the logarithms."""
    lines = np.stack([np.ones(len(k)), np.log(k), np.log(d)], axis=1)
    _, p, q = np.linalg.lstsq(lines, np.log(values), rcond=None)[0]
    return float(p), float(q)


def measure(setting: ScalingSetting) -> list[dict[str, Any]]:
    """A row for every k and d: of every seed the means over learned features that LAWS speaks of, and clean accuracy."""
    rows = []
    seeds = range(setting.seeds)
    for k in setting.k:
        for d in setting.d:
            each = [SparseCoding(d=d, k=k, noise=setting.noise, seed=seed) for seed in seeds]
            found = [data.sample(setting.samples)[:2] for data in each]
            x = torch.stack([x for x, _ in found])[..., None, None]
            nets = PatchNets.drawn(seeds, 2, setting.per_dimension * d, d)
            how = InMemory(setting.epochs, batch_size=100, lr=0.2)
            train("standard", nets, x, torch.stack([y for _, y in found]), how, list(seeds))
            fresh = [data.sample(500, 1)[:2] for data in each]
            with torch.no_grad():
                said = nets(torch.cat([x for x, _ in fresh])[..., None, None]).argmax(dim=1).view(len(each), -1)
            right = said == torch.stack([y for _, y in fresh])
            row: dict[str, Any] = {"k": k, "d": d, "clean": right.double().mean(dim=1).tolist()}
            row |= {name: [] for name in LAWS}
            for weights, data, (inputs, _) in zip(nets.weights, each, fresh, strict=True):
                for name, value in zip(LAWS, _three(weights, data, inputs), strict=True):
                    row[name].append(value)
            rows.append(row)
    return rows


def _three(weights: torch.Tensor, data: SparseCoding, inputs: torch.Tensor) -> tuple[float, float, float]:
    """Mean component of m, mean |<m, x>| / |x|, and mean |<m, m>| / |m|, per unit of pure part."""
    found = split_by_class(weights, data.features)
    learned = found.pure > LEARNED * found.pure.max()
    m = found.per_unit[learned]
    components = found.others[learned].abs().sum(dim=-1) / (data.d - 1) / found.pure[learned]
    heard = (m @ inputs.T).abs() / inputs.norm(dim=1).clamp_min(1e-12)
    return float(components.mean()), float(heard.mean()), float(m.norm(dim=-1).mean())


def fitted(setting: ScalingSetting, rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """For every law the exponents of k and d of each seed."""
    ks, ds = [r["k"] for r in rows], [r["d"] for r in rows]
    found: dict[str, dict[str, list[float]]] = {}
    for law in LAWS:
        pairs = [exponents(ks, ds, [r[law][seed] for r in rows]) for seed in range(setting.seeds)]
        found[law] = {"k": [p for p, _ in pairs], "d": [q for _, q in pairs]}
    return found


def report(setting: ScalingSetting, out: Path) -> Account:
    """Trains, measures, fits, writes scaling.html and scaling.json."""
    began = time.process_time()
    rows = measure(setting)
    found = fitted(setting, rows)
    table = [(law, cell(found[law]["k"]), f"{p:g}", cell(found[law]["d"]), f"{q:g}") for law, (p, q) in LAWS.items()]
    columns = ("quantity", "exponent of k", "said", "exponent of d", "said")
    section = Section(
        "The dense mixture as a power of k and d", (
        "Eq. 4: size of a component of m along another feature. Eq. 5: |<m, x>| / |x| on clean inputs, for which the equation "
        "is a bound. Eq. 6: |<m, delta>| / |delta| for delta along m. All per unit of pure part, of clean networks.",),
        columns, table, note="Least squares of the logarithms over the grid, seed by seed.",
    )  # fmt: skip
    close = [
        law for law, powers in LAWS.items()
        if all(abs(fmean(found[law][letter]) - said) < 0.25 for letter, said in zip("kd", powers, strict=True))
    ]  # fmt: skip
    result = f"{len(close)} of {len(LAWS)} laws have both exponents within 0.25 of what the paper says."
    content = {"rows": rows, "exponents": found}
    return published(out, "scaling", "Scaling laws", setting, section, content, began, result=result)
