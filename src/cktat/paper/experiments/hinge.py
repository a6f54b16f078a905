"""k2 over training: how large a new feature's mixture is while it is learned, and how it is purified (Section 3.2)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from cktat.pages.sections import Section
from cktat.paper.experiments.accounts import Account
from cktat.paper.experiments.measure import LEARNED
from cktat.paper.experiments.regime import ADVERSARIAL, adversary, alone
from cktat.paper.experiments.small import SmallSetting, cell, mean_where, published
from cktat.paper.theory import Terms, rise, split_by_feature, terms
from cktat.paper.theory.patchnet import PatchNets

AFTER = (0, 1, 2, 4, 8)
"""Epochs after the one in which a second feature is learned."""


@dataclass(frozen=True, eq=False)
class FeatureCourse:
    """A training, [T, S, k, 2] over its epochs. accuracy: on samples that show the feature alone. a, taken: its terms. size:
    length of its mixture per unit of pure part."""

    accuracy: Tensor
    a: Tensor
    taken: Tensor
    size: Tensor


def followed(setting: SmallSetting, design: str) -> FeatureCourse:
    """Trains by a design and looks after every epoch."""
    lines: list[tuple[Tensor, ...]] = []
    nets = setting.new()

    def look(epoch: int) -> None:
        now = PatchNets(nets.weights.detach()).requires_grad_(False)
        found = terms(now, adversary(now, setting.eps), setting.features, setting.P)
        sizes = [split_by_feature(w, v).size for w, v in zip(now.weights, setting.features, strict=True)]
        lines.append((alone(now, setting.each), found.a, found.taken, torch.stack(sizes)))

    setting.trained(design, nets, look=look)
    return FeatureCourse(*(torch.stack(column) for column in zip(*lines, strict=True)))


@dataclass(frozen=True, eq=False)
class Moments:
    """When a class's features are learned [S, k]: epochs from 0. second: which is learned later (or, of two in one epoch, has
    the smaller a then). at: the epoch of the second. both: whether both are learned at all."""

    second: Tensor
    at: Tensor
    both: Tensor


def moments(course: FeatureCourse) -> Moments:
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


NUMBERS = ("k2 D / a", "k1 D / a", "size second", "size first", "rise above 0")


def lines(course: FeatureCourse, mu: float) -> list[dict[str, Any]]:
    """A line for every moment after a second feature was learned, over classes that learn both and are trained so long:
    per seed NUMBERS. k D / a and the mixture per unit of pure part, of both features then, and the share of classes where the
    second raises the robust error by Eq. 11."""
    found, share = moments(course), Terms(course.a, course.taken).share
    epochs, first = len(course.a), 1 - found.second
    rows = []
    for name, epoch in [
        *((f"{n} epochs after", found.at + n) for n in AFTER),
        ("at the end", found.at * 0 + epochs - 1),
    ]:
        there = found.both & (epoch < epochs)
        k2 = at_moment(share, found.second, epoch)
        expected = rise(at_moment(course.a, first, epoch), at_moment(course.taken, first, epoch), k2, mu)
        values = (
            k2, at_moment(share, first, epoch), at_moment(course.size, found.second, epoch),
            at_moment(course.size, first, epoch), (expected >= 0).double(),
        )  # fmt: skip
        each = {name: mean_where(v, there) for name, v in zip(NUMBERS, values, strict=True)}
        rows.append({"when": name, "classes": int(there.sum()), **each})
    return rows


def report(setting: SmallSetting, out: Path) -> Account:
    """Trains, measures, writes hinge.html and hinge.json."""
    began = time.process_time()
    found = {design: lines(followed(setting, design), setting.mu) for design in (ADVERSARIAL, "standard")}
    columns = ("design, when", "classes", "k2 D / a", "k1 D / a", "mixture / pure, second", "first", "Eq. 11 above 0")
    table = [
        (f"{design}, {r['when']}", str(r["classes"]), *(cell(r[n]) for n in NUMBERS))
        for design, rows in found.items()
        for r in rows
    ]
    section = Section(
        "A new feature's mixture", (
        "Moments are counted from the epoch in which a class's second feature is learned. k D is what PGD takes of a feature's "
        "lead over the largest wrong logit, a what the feature answers; the second feature can only pay where k2 D < a.",),
        columns, table, note="Of the classes that learn both. Eq. 11 above 0: the share of which the second feature raises the "
        "robust error by the terms measured then.",
    )  # fmt: skip
    rows, of = found[ADVERSARIAL], NUMBERS[0]
    moments = [(r["when"], fmean(known)) for r in rows if (known := [v for v in r[of] if v is not None])]
    result = f"No class learned both features under {ADVERSARIAL}."
    if moments:
        (when, first), (then, last) = moments[0], moments[-1]
        result = f"Under {ADVERSARIAL} {of} of a second feature is {first:.2f} {when} and {last:.2f} {then}; it pays below 1."
    return published(out, "hinge", "k2 over training", setting, section, found, began, result=result)
