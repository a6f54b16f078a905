"""Section 4.3's reasons, each as a measurement: a larger robust teacher, HAT's helper, an implicit ensemble, a clean guide."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cktat.evaluation import spread
from cktat.pages.sections import Section
from cktat.paper.experiments.accounts import Account
from cktat.paper.experiments.measure import LEARNED
from cktat.paper.experiments.regime import ADVERSARIAL, adversary, alone
from cktat.paper.experiments.small import SmallSetting, cell, published
from cktat.paper.experiments.summary import says
from cktat.paper.theory import terms
from cktat.paper.theory.patchnet import PatchNets

TEST = 300
"""Fresh single-view samples, per seed."""
ANOTHER = 1000
"""Added to the seeds of a second network's first weights."""
GUIDED = "cktat tau=1 beta=1"
"""The paper's own design at the strength that the experiment found to learn."""
Classifier = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class ReasonSetting:
    """Students have the neurons of `base`, larger teachers `large` per class. tau, share: of the guide by a robust network of
    the student's size, in place of values calibrated on held-out images."""

    base: SmallSetting = field(default_factory=SmallSetting)
    large: int = 8
    tau: float = 1.0
    share: float = 0.5


def measured(setting: SmallSetting, net: Classifier) -> dict[str, list[float]]:
    """Of each seed's network: share of features learned, of classes with both, of single-view samples that are right, clean and
    attacked, and of learned features' leads what the adversary takes (median)."""
    features = alone(net, setting.each) > LEARNED  # type: ignore[arg-type]
    found = [data.sample(TEST, 31, "single") for data in setting.each]
    x, y = torch.cat([s.images for s in found]), torch.cat([s.y for s in found])
    moved = adversary(net, setting.eps)(x, y)
    with torch.no_grad():
        clean, attacked = (net(images).argmax(dim=1) == y for images in (x, moved))
    of = terms(net, adversary(net, setting.eps), setting.features, setting.P)
    taken = [float(s[f].median()) if bool(f.any()) else float("nan") for s, f in zip(of.share, features, strict=True)]

    def per_seed(values: Tensor) -> list[float]:
        return [float(v) for v in values.double().view(setting.seeds, -1).mean(dim=1)]

    return {
        "features": per_seed(features), "both": per_seed(features.all(dim=2)), "single clean": per_seed(clean),
        "single attacked": per_seed(clean & attacked), "taken / a": taken,
    }  # fmt: skip


def together(*nets: PatchNets) -> Classifier:
    """The mean of their logits: an explicit ensemble."""
    return lambda x: torch.stack([net(x) for net in nets]).mean(dim=0)


def networks(setting: ReasonSetting) -> dict[str, Classifier]:
    """All networks by name, trained."""
    base = setting.base
    clean = base.trained("standard", base.new())
    small = base.trained(ADVERSARIAL, base.new())
    another = base.trained(ADVERSARIAL, base.new(ANOTHER))
    large = base.trained(ADVERSARIAL, base.new(ANOTHER, setting.large))
    guided = {"teachers": {"T": large}}
    auto = {"teachers": {"T": another}, "settle": {"tau": setting.tau, "share": setting.share}}
    helped = {"teachers": {"H": clean}}
    return {
        f"standard, {base.neurons} neurons": clean,
        f"pgd_at, {base.neurons} neurons": small,
        f"pgd_at, {setting.large} neurons": large,
        "rslad, taught by the large one": base.trained("rslad", base.new(), **guided),
        "hat without its helper (gamma 0)": base.trained("hat gamma=0", base.new()),
        "hat": base.trained("hat", base.new(), **helped),
        "another pgd_at of the same size": another,
        "kd_at_auto, taught by that one": base.trained("kd_at_auto", base.new(), **auto),
        "ensemble of the two pgd_at": together(small, another),
        "pgd_at from the clean network": base.trained(ADVERSARIAL, PatchNets(clean.weights)),
        f"{GUIDED}, from scratch": base.trained(GUIDED, base.new(), teachers={"T": clean}),
        f"{GUIDED}, from the clean network": base.trained(GUIDED, PatchNets(clean.weights), teachers={"T": clean}),
    }


def claims(setting: ReasonSetting) -> tuple[tuple[str, str, str], ...]:
    """(what Section 4.3 says, the network that should have more, the one that should have less)."""
    small = f"pgd_at, {setting.base.neurons} neurons"
    large = f"pgd_at, {setting.large} neurons"
    return (
        ("a larger robust network learns more", large, small),
        ("a student of it learns more", "rslad, taught by the large one", small),
        ("HAT's helper", "hat", "hat without its helper (gamma 0)"),
        ("a robust teacher of the same size", "kd_at_auto, taught by that one", small),
        ("an ensemble of two", "ensemble of the two pgd_at", small),
        ("the teacher as an ensemble", "kd_at_auto, taught by that one", "ensemble of the two pgd_at"),
        ("a start from the clean network", "pgd_at from the clean network", small),
        ("a clean guide", f"{GUIDED}, from scratch", small),
        (
            "a clean guide, both from the clean network",
            f"{GUIDED}, from the clean network",
            "pgd_at from the clean network",
        ),
    )


KEYS = ("features", "both", "single clean", "single attacked", "taken / a")


def report(setting: ReasonSetting, out: Path) -> Account:
    """Trains, measures, writes reasons.html and reasons.json."""
    began = time.process_time()
    found = {name: measured(setting.base, net) for name, net in networks(setting).items()}
    table: list[tuple[str, ...]] = [
        (name, *(cell([v for v in values[key] if v == v]) for key in KEYS)) for name, values in found.items()
    ]
    differences: list[dict[str, Any]] = []
    for claim, more, less in claims(setting):
        row = {
            key: [a - b for a, b in zip(found[more][key], found[less][key], strict=True) if a == a and b == b]
            for key in KEYS
        }
        differences.append({"claim": claim, "more": more, "less": less, **row})
        table.append((f"{claim}: {more} less {less}", *(cell(row[key]) for key in KEYS)))
    content = {
        "networks": {n: {k: [v if v == v else None for v in vs] for k, vs in m.items()} for n, m in found.items()},
        "differences": differences, "test": TEST,
    }  # fmt: skip
    section = Section(
        "Section 4.3's reasons", (
        "Shares of features learned, of classes with both, of single-view samples that are right, clean and attacked; and what "
        "the adversary takes of a learned feature's lead, as a share of what it answers. Then differences, paired by seed.",),
        ("network", *KEYS), table,
    )  # fmt: skip
    judged = [says(one) for row in differences if (one := spread(row["both"]))]
    result = (
        f"Of {len(judged)} differences that Section 4.3 expects in classes with both features learned, "
        f"{judged.count('holds')} are found and {judged.count('opposite')} are the other way round."
    )
    return published(out, "reasons", "Reasons for labels", setting, section, content, began, result=result)
