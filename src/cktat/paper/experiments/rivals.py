"""Several wrong classes: is the largest wrong logit under attack really much larger than the others (Section 3.2)?"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from cktat.pages.sections import Section
from cktat.paper.experiments.accounts import Account
from cktat.paper.experiments.regime import adversary
from cktat.paper.experiments.small import SmallSetting, cell, published
from cktat.paper.theory import softmax_error
from cktat.paper.theory.terms import lead

TEST = 200
"""Fresh samples of each kind, per seed."""


@dataclass(frozen=True, eq=False)
class Rivals:
    """Of attacked samples [N]. ratio: largest wrong logit over the mean of the other wrong ones. weight: its share of
    the sum of e^F over wrong classes, 1 / (k - 1) if all are equal and 1 if it is alone, as Eq. 7 to 12 assume. full, two: the
    softmax error with all classes, and with the label and the largest wrong one only."""

    ratio: Tensor
    weight: Tensor
    full: Tensor
    two: Tensor


def rivals(logits: Tensor, y: Tensor) -> Rivals:
    """Logits [N, K] of 3 classes or more, labels [N]."""
    wrong = logits.scatter(1, y.unsqueeze(1), -torch.inf)
    top = wrong.amax(dim=1)
    others = (logits.sum(dim=1) - logits.gather(1, y.unsqueeze(1)).squeeze(1) - top) / (logits.shape[1] - 2)
    weight = wrong.softmax(dim=1).amax(dim=1)
    return Rivals(top / others.clamp_min(1e-6), weight, softmax_error(logits, y), torch.sigmoid(-lead(logits, y)))


@dataclass(frozen=True)
class RivalSetting:
    """Numbers of classes, and what else is as in `base`; a class has as many training samples in each."""

    base: SmallSetting = field(default_factory=lambda: SmallSetting(neurons=5, epochs=12))
    classes: tuple[int, ...] = (3, 6, 10)

    def at(self, k: int) -> SmallSetting:
        per_class = self.base.samples // self.base.k
        return replace(self.base, k=k, d=max(self.base.d, 2 * k + 2), P=2 * k + 2, samples=per_class * k)


def measure(setting: RivalSetting) -> list[dict[str, Any]]:
    """A row for every number of classes, design and kind of samples: medians of each of Rivals for every seed."""
    rows = []
    for k in setting.classes:
        at = setting.at(k)
        for design in ("standard", "pgd_at"):
            nets = at.trained(design, at.new())
            for kind in ("single", "multi"):
                found = [data.sample(TEST, 21, kind) for data in at.each]
                x, y = torch.cat([s.images for s in found]), torch.cat([s.y for s in found])
                moved = adversary(nets, at.eps)(x, y)
                with torch.no_grad():
                    of = rivals(nets(moved), y)
                rows.append(
                    {"k": k, "design": design, "samples": kind}
                    | {n: _each(getattr(of, n), at.seeds, n == "ratio") for n in ("ratio", "weight", "full", "two")}
                )
    return rows


def _each(values: Tensor, seeds: int, median: bool) -> list[float]:
    parts = values.double().view(seeds, -1)
    return [float(p.median() if median else p.mean()) for p in parts]


def report(setting: RivalSetting, out: Path) -> Account:
    """Trains, measures, writes rivals.html and rivals.json."""
    began = time.process_time()
    rows = measure(setting)
    columns = ("k, design, samples", "O_lmax / mean other", "weight", "1 / (k - 1)", "error, all classes", "two only")
    table = [
        (f"{r['k']}, {r['design']}, {r['samples']}", cell(r["ratio"], 1), cell(r["weight"]), f"{1 / (r['k'] - 1):.2f}",
         cell(r["full"]), cell(r["two"]))
        for r in rows
    ]  # fmt: skip
    section = Section(
        "The largest wrong logit and the others", (
        "Section 3.2 keeps the label and l_max alone. Weight is l_max's share of all wrong e^F: 1 if the others do not "
        "count, 1 / (k - 1) if all wrong classes are alike. The ratio is a median over samples.",), columns, table,
    )  # fmt: skip
    weights = [fmean(r["weight"]) for r in rows]
    result = (
        f"The largest wrong class has {min(weights):.2f} to {max(weights):.2f} of the weight of all wrong classes, "
        "by number of classes, design and samples."
    )
    content = {"rows": rows, "test": TEST}
    return published(out, "rivals", "Several wrong classes", setting, section, content, began, result=result)
