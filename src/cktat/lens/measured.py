"""All that the lens says of one run: guidance and difficulty of its label, the pulls of its terms, jumps, accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cktat.api.run import Run
from cktat.data import ordered
from cktat.evaluation import evaluate, load_subject
from cktat.labels import Design, Network, Output, View
from cktat.labels.walk import walk
from cktat.lens.aim import pulled
from cktat.lens.difficulty import chance_above, difficulty, left_over
from cktat.lens.follow import area, followed
from cktat.lens.guidance import guidance
from cktat.lens.jumps import nearest_jump
from cktat.lens.pulls import pulls
from cktat.lens.taught import BATCH, Taught
from cktat.runs import Stop

REACH = 2.0
"""How far a label is searched for a jump, in units of eps."""
LISTED = 24


def labelling(design: Design) -> tuple[Network, ...]:
    """The networks whose outputs stand in the labels of the terms at the design's adversarial image."""
    labels = tuple(term.label for term in pulled(design)[1])
    parts = walk(labels, into=lambda part: not isinstance(part, Network | View))
    return tuple(dict.fromkeys(part.network for part in parts if isinstance(part, Output)))


def measured(
    run: Run,
    taught: Taught,
    out: Path,
    *,
    images: int,
    people: Tensor | None = None,
    attacks: Sequence[str] = ("pgd20",),
    marked: Tensor | None = None,
    stop: Stop = Stop(),
) -> dict[str, Any]:
    """What the lens sees in a finished run, in JSON values.

    Args:
        run: the run.
        taught: its networks.
        out: where curves of its training lie.
        images: so many of the first training images, for difficulty, and of the first test images, for guidance.
        people: what people say of all test images [N, K]; None holds labels against y.
        attacks: what the deployed network's last weights are measured under, beside clean, on all test images.
        marked: flags [N] of training images, whose difficulty is held against the others'.
        stop: asks to end early.
    """
    data = taught.data
    train, test = (split.first(min(images, len(split))) for split in (data.train, data.test))
    asked, before, unseen = taught.answers(train), taught.untrained.answers(train), taught.answers(test)
    learned = difficulty(asked.label, asked.output, (before.label, before.output))
    right = guidance(unseen.label, unseen.y if people is None else people[: len(test)])
    views, at = next(taught.batches(train.first(min(BATCH, len(train)))))
    forces = pulls(taught.design, taught.team.modules, views, at)
    subject = load_subject(run, "last", None, torch.device("cpu"), data)
    results = evaluate(subject, list(attacks), batch_size=500, stop=stop)
    per_image = left_over(asked.label, asked.output)
    epochs, seen = taught.config.recipe.epochs, followed(out, run)
    return {
        "guidance": {name: _plain(value) for name, value in right.means().items()},
        "guidance_by_class": _by_class(right.kl, unseen.y, len(data.classes)),
        "most_wrong": _listed(right.kl, unseen.y),
        "difficulty": {
            "left": _plain(learned.left), "constant": learned.constant, "untrained": _plain(learned.untrained or 0.0),
            "entropy": learned.entropy, "relative": _plain(learned.relative),
        },
        "difficulty_by_class": _by_class(per_image, asked.y, len(data.classes)),
        "hardest": _listed(per_image, asked.y),
        "marked": None if marked is None else _marked(per_image, asked.label, marked[: len(train)]),
        "curve": seen["left"],
        "guidance_curve": {"brier": seen["brier"], "kl": seen["kl"]},
        "area": area(seen["left"], learned.constant, epochs),
        "pulls": {
            "sizes": forces.sizes, "weights": forces.weights, "at_output": forces.at_output, "at_weights": forces.at_weights,
            "conflict": forces.conflict,
        },
        "jumps": _jumps(taught),
        "accuracy": {result.attack: result.accuracy for result in results},
        "images": {"train": len(train), "test": len(test)},
    }  # fmt: skip


def _marked(left: Tensor, label: Tensor, marked: Tensor) -> dict[str, float | None]:
    """How often a marked image has more left of its label, and a label of more entropy, than one that is not marked."""
    entropy = torch.special.entr(label.exp()).sum(dim=1)
    return {
        "share": float(marked.double().mean()),
        "left": chance_above(left, marked),
        "entropy": chance_above(entropy, marked),
    }


def _jumps(taught: Taught) -> dict[str, dict[str, float | None]]:
    """Of each network in the labels: the median smallest change that changes its class, in units of eps, None beyond reach, and
    the share of images where it is within eps. Empty where images have no box or there is no radius."""
    eps, norm = taught.config.threat.eps, taught.config.threat.norm
    if taught.data.box != (0.0, 1.0) or eps == 0 or (norm == "Linf" and REACH * eps > 1):
        return {}
    x = next(ordered(taught.data.train, BATCH, levels=taught.data.levels)).x
    found = {}
    for network in labelling(taught.design):
        far = nearest_jump(taught.team.modules[network], x, REACH * eps, norm=norm) / eps
        median = float(far.quantile(0.5, interpolation="lower"))
        found[network.letter] = {"median": _plain(median), "within_eps": float((far <= 1).double().mean())}
    return found


def _by_class(values: Tensor, y: Tensor, classes: int) -> list[float | None]:
    means = (float(values[y == k].mean()) if bool((y == k).any()) else math.nan for k in range(classes))
    return [_plain(mean) for mean in means]


def _listed(values: Tensor, y: Tensor) -> list[dict[str, Any]]:
    order = values.argsort(descending=True, stable=True)[:LISTED].tolist()
    return [{"image": n, "class": int(y[n]), "nats": _plain(float(values[n]))} for n in order]


def _plain(value: float) -> float | None:
    """A number as JSON has it: None for what is infinite or none."""
    return value if math.isfinite(value) else None
