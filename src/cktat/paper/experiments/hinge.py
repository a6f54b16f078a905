"""k2 over training: how large a new feature's mixture is while it is learned, and how it is purified (Section 3.2)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cktat.pages.sections import Section
from cktat.paper.experiments.accounts import Account
from cktat.paper.experiments.measure import LEARNED
from cktat.paper.experiments.regime import ADVERSARIAL, adversary, alone
from cktat.paper.experiments.small import SmallSetting, cell, mean_where, published
from cktat.paper.theory import rise, split_by_feature, terms
from cktat.paper.theory.patchnet import PatchNets

AFTER = (0, 1, 2, 4, 8)
"""Epochs after the one in which a second feature is learned."""


@dataclass(frozen=True, eq=False)
class Course:
    """A training, [T, S, k, 2] over its epochs. accuracy: on samples that show the feature alone. a, taken: its terms. size:
    length of its mixture per unit of pure part."""

    accuracy: Tensor
    a: Tensor
    taken: Tensor
    size: Tensor


def followed(setting: SmallSetting, design: str) -> Course:
    """Trains by a design and looks after every epoch."""
    lines: list[tuple[Tensor, ...]] = []
    nets = setting.new()

    def look(epoch: int) -> None:
        now = PatchNets(nets.weights.detach()).requires_grad_(False)
        found = terms(now, adversary(now, setting.eps), setting.features, setting.P)
        sizes = [split_by_feature(w, v).size for w, v in zip(now.weights, setting.features, strict=True)]
        lines.append((alone(now, setting.each), found.a, found.taken, torch.stack(sizes)))

    setting.trained(design, nets, look=look)
    return Course(*(torch.stack(column) for column in zip(*lines, strict=True)))


@dataclass(frozen=True, eq=False)
class Moments:
    """When a class's features are learned [S, k]: epochs from 0. second: which is learned later (or, of two in one epoch, has
    the smaller a then). at: the epoch of the second. both: whether both are learned at all."""

    second: Tensor
    at: Tensor
    both: Tensor


def moments(course: Course) -> Moments:
    """The first epochs at which accuracy on a feature alone exceeds one half."""
    learned = course.accuracy > LEARNED
    never = len(learned)
    when = torch.where(learned.any(dim=0), learned.int().argmax(dim=0), never)  # [S, k, 2]
    at = when.amax(dim=2)
    then = course.a.gather(0, at.clamp_max(never - 1)[None, :, :, None].expand(1, -1, -1, 2))[0]
    second = torch.where(when[..., 0] == when[..., 1], then.argmin(dim=2), when.argmax(dim=2))
    return Moments(second, at, at < never)


def at_moment(values: Tensor, feature: Tensor, epoch: Tensor) -> Tensor:
    """Values [T, S, k, 2] of each class's feature [S, k] at its epoch [S, k], or at the last one if that comes before."""
    epoch = epoch.clamp_max(len(values) - 1)
    found = values.gather(0, epoch[None, :, :, None].expand(1, -1, -1, 2))[0]
    return found.gather(2, feature.unsqueeze(2)).squeeze(2)


def measure(setting: SmallSetting) -> dict[str, Any]:
    """Per seed: k2 D / a, the length of the mixture, k1 D / a of the other feature, and Eq. 11, at moments after the second
    feature was learned; and the same of the clean network at its end."""
    course, clean = followed(setting, ADVERSARIAL), followed(setting, "standard")
    found = moments(course)
    share, share_clean = course.taken / course.a.clamp_min(1e-6), clean.taken / clean.a.clamp_min(1e-6)
    first, end = 1 - found.second, torch.full_like(found.at, setting.epochs - 1)
    known = found.both & (clean.accuracy[-1] > LEARNED).all(dim=2)
    rows = []
    for name, epoch in [*((f"{n} epochs after", found.at + n) for n in AFTER), ("end", end)]:
        there = known & (epoch < setting.epochs)
        a, taken = at_moment(course.a, first, epoch), at_moment(course.taken, first, epoch)
        k2 = at_moment(share, found.second, epoch)
        expected = rise(a, taken, k2, setting.mu)
        rows.append({
            "when": name, "classes": int(there.sum()),
            "second": mean_where(k2, there), "first": mean_where(at_moment(share, first, epoch), there),
            "size second": mean_where(at_moment(course.size, found.second, epoch), there),
            "size first": mean_where(at_moment(course.size, first, epoch), there),
            "rise above 0": mean_where((expected >= 0).double(), there),
        })  # fmt: skip
    return {
        "rows": rows,
        "clean": {
            "second": mean_where(at_moment(share_clean, found.second, end), known),
            "first": mean_where(at_moment(share_clean, first, end), known),
            "size second": mean_where(at_moment(clean.size, found.second, end), known),
            "size first": mean_where(at_moment(clean.size, first, end), known),
        },
        "classes": known.numel(), "learned both": [float(b.double().mean()) for b in found.both],
    }  # fmt: skip


NUMBERS = ("second", "first", "size second", "size first")


def report(setting: SmallSetting, out: Path) -> Account:
    """Trains, measures, writes hinge.html and hinge.json."""
    began = time.process_time()
    found = measure(setting)
    columns = (
        "when", "classes", "k2 D / a", "k1 D / a", "mixture / pure, second", "first", "Eq. 11 above 0",
    )  # fmt: skip
    table = [
        (r["when"], str(r["classes"]), *(cell(r[n]) for n in NUMBERS), cell(r["rise above 0"])) for r in found["rows"]
    ]
    table.append(("clean, end", "", *(cell(found["clean"][n]) for n in NUMBERS), ""))
    section = Section(
        "A new feature's mixture", (
        "Moments are counted from the epoch in which a class's second feature is learned. k D is what PGD takes of a feature's "
        "lead over the largest wrong logit, a what the feature answers; the second feature can only pay where k2 D < a.",),
        columns, table, note="Classes of which both networks learn both features. Eq. 11 above 0: share of those classes for "
        "which the second feature raises the robust error by the terms measured then.",
    )  # fmt: skip
    return published(out, "hinge", "k2 over training", setting, section, found, began)
