"""What a network has learned of multi-view data: feature by feature, clean and attacked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cktat.api.progress import Silent
from cktat.attacks import Attack, named
from cktat.models import Normalised, build
from cktat.paper.theory import MultiView, Samples, correlations
from cktat.runs import Kept, RunFolder, parse, read_bytes, sealed, unsealed
from cktat.usercode import recorded

PROBES = {"only": 600, "single": 300, "multi": 300}
"""Samples of each kind. `only`: single-view samples with rho = 0, which show one feature of their class and nothing of the
other; a feature counts as learned where accuracy on the samples that show only it exceeds `LEARNED`."""
LEARNED = 0.5
ATTACKS = ("pgd20", "cw")
"""An attacked sample counts as right where it is right under each of them."""


@dataclass(frozen=True)
class Probes:
    """Fresh samples of a distribution, of each kind of PROBES, and the features."""

    of: dict[str, Samples]
    features: Tensor

    @classmethod
    def draw(cls, data: MultiView) -> Probes:
        only = replace(data, rho=0.0).sample(PROBES["only"], 11, "single")
        single, multi = data.sample(PROBES["single"], 12, "single"), data.sample(PROBES["multi"], 13, "multi")
        return cls({"only": only, "single": single, "multi": multi}, data.features)


def network(folder: RunFolder, weights: str = "last") -> Normalised:
    """A run's network, in eval mode, without gradients of its weights."""
    tensors, card = folder.load(weights)
    with recorded(folder.weights(weights), {}, trust=False):  # all its networks are the package's own
        net = build(
            card["model"], classes=len(card["classes"]), channels=card["channels"], mean=card["mean"], std=card["std"]
        )
    net.load_state_dict(tensors)
    return net.eval().requires_grad_(False)


def neurons(net: Normalised) -> Tensor:
    """Weights of a patchnet's neurons [k, m, d]."""
    found = net.body.neuron_weights
    assert isinstance(found, Tensor)
    return found.detach()


def per_feature(right: Tensor, samples: Samples, k: int) -> Tensor:
    """Share of right answers on the single-view samples that show each feature [k, 2]; right: bool [n]."""
    cell = 2 * samples.y + samples.dominant
    total = torch.bincount(cell, minlength=2 * k)
    return (torch.bincount(cell, weights=right.double(), minlength=2 * k) / total.clamp_min(1)).view(k, 2)


@torch.no_grad()
def at_epoch(net: Normalised, probes: Probes) -> dict[str, Any]:
    """Phi [k, 2] and clean accuracy on what shows only one feature [k, 2], as lists."""
    only = probes.of["only"]
    right = net(only.images).argmax(dim=1) == only.y
    return {
        "phi": correlations(neurons(net), probes.features).tolist(),
        "accuracy": per_feature(right, only, len(probes.features)).tolist(),
    }


def at_end(net: Normalised, probes: Probes, eps: float) -> dict[str, Any]:
    """Accuracy on each kind, clean and attacked in an L2 ball, and the shares of classes with both features learned."""
    found: dict[str, Any] = {}
    learned: dict[str, Tensor] = {}
    for kind, samples in probes.of.items():
        with torch.no_grad():
            clean = net(samples.images).argmax(dim=1) == samples.y
        attacked = clean.clone()
        for name in ATTACKS:
            attacked &= survives(net, named(name), samples.images, samples.y, eps)
        if kind == "only":
            k = len(probes.features)
            learned = {"clean": per_feature(clean, samples, k), "attacked": per_feature(attacked, samples, k)}
        else:
            found[f"{kind} clean"], found[f"{kind} attacked"] = (
                float(clean.float().mean()),
                float(attacked.float().mean()),
            )
    for how, shares in learned.items():
        found[f"both {how}"] = float((shares > LEARNED).all(dim=1).float().mean())
        found[f"features {how}"] = float((shares > LEARNED).float().mean())
    return found


def survives(net: Normalised, attack: Attack, images: Tensor, y: Tensor, eps: float) -> Tensor:
    """Whether each sample is classified rightly after the attack in an L2 ball [n]."""
    moved = attack(net, images, y, eps=eps, box=None, norm="L2")
    with torch.no_grad():
        return net(moved).argmax(dim=1) == y


class LookKept(Kept):
    """A line of features.jsonl: what a look after an epoch found."""

    epoch: int


class FeatureLog(Silent):
    """Follows one run: after every epoch a line in its folder of what `look` says of the weights that were just saved."""

    def __init__(self, look: Callable[[Normalised], dict[str, Any]], folder: RunFolder) -> None:
        self.look, self.folder = look, folder

    def epoch(self, record: dict[str, Any]) -> None:
        if not self.folder.weights("last").is_file():
            return  # a teacher of this run is in training
        card = self.folder.load("last")[1]
        if card["epoch"] != record["epoch"]:
            return
        line = {"epoch": record["epoch"]} | self.look(network(self.folder))
        with (self.folder.path / "features.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(sealed(line)) + "\n")


def followed(folder: RunFolder) -> list[dict[str, Any]]:
    """What a FeatureLog wrote, one record per epoch; an epoch that was trained again counts as it was trained last."""
    path = folder.path / "features.jsonl"
    lines = [
        unsealed(parse(line, where), LookKept, where, "a line of what was followed", "remove it and its run")
        for number, line in enumerate(read_bytes(path).splitlines() if path.exists() else [], 1)
        for where in [f"{path}, line {number},"]
    ]
    return [line for _, line in sorted({line["epoch"]: line for line in lines}.items())]


def learning(lines: list[dict[str, Any]], features: int = 2) -> list[tuple[int | None, ...]]:
    """For every class the epochs after which its features were learned for the first time, None for never."""
    classes = range(len(lines[0]["accuracy"])) if lines else ()
    return [
        tuple(next((n["epoch"] for n in lines if n["accuracy"][i][l] > LEARNED), None) for l in range(features))
        for i in classes
    ]
