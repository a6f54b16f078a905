"""Labels of designs before anything is trained: one network stands for every network of a design, and what it asks for then is
held against the truth. A student that starts as its teacher is asked for just this in its first step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cktat.attacks import Ball, answer, attacked
from cktat.data import Split, ordered
from cktat.errors import CktatError
from cktat.evaluation import Subject
from cktat.evaluation.measure import true_fp32
from cktat.labels import Average, ClassMean, Design, Learner, Moment, Network, Outputs, clean, value
from cktat.lens.aim import aim, heard
from cktat.seeds import derive
from cktat.training import AdversarialLoss
from cktat.training.starts import Starts
from cktat.training.team import Team, cool

BATCH = 100


@dataclass(frozen=True, eq=False)
class Formed:
    """What a design asks for of the first images, as log-probabilities [n, K]; needs_attack: whether x' is part of it."""

    text: str
    design: Design
    label: Tensor
    needs_attack: bool


def formed(
    designs: Mapping[str, Design],
    subject: Subject,
    split: Split,
    logits: Tensor,
    *,
    attacked_images: int = 500,
    watch: Callable[[str], None] = lambda done: None,
) -> tuple[list[Formed], dict[str, str]]:
    """The labels of designs in which one network stands for all, at the beginning of a training.

    A label of clean images takes no pass that `logits` does not hold. One of x' is formed on the first `attacked_images`: x' is
    found by the design's own adversary, with the radius, steps and norm of the network's run.

    Args:
        designs: by name.
        subject: the network.
        split: the images.
        logits: of the network on these images [N, K].
        attacked_images: for labels that need x'; 0 leaves those out.
        watch: is told which design is formed.

    Returns:
        The labels, and of each design that has none here, why.
    """
    found, left_out = [], {}
    for text, design in designs.items():
        try:
            _require_formable(text, design)
            watch(text)
            cells = heard(design)
            needs_attack = any(cell.view != clean for cell in cells)
            if needs_attack and not attacked_images:
                raise CktatError("its label needs x', which is not searched here")
            if needs_attack:
                part = split.first(min(attacked_images, len(split)))
                label = _against_an_adversary(design, subject, part)
            else:
                own = {cell: logits.double() / _cooled(cell.network) for cell in cells}
                label = aim(design, Outputs(own, split.labels.cpu(), logits.shape[1], epochs=1))
        except CktatError as error:
            left_out[text] = str(error)
            continue
        found.append(Formed(text, design, label, needs_attack))
    return found, left_out


def _require_formable(text: str, design: Design) -> None:
    if design.open:
        given = " ".join(f"{name}=..." for name in design.open)
        raise CktatError(f"{', '.join(design.open)} found while it trains; give '{text} {given}'")
    if any(isinstance(network, ClassMean) for network in design.networks):
        raise CktatError("it has a table of class means, which only training fills")


def _cooled(network: Network) -> float:
    """The temperature at which a network begins; an average begins as what it follows."""
    if isinstance(network, Average):
        return _cooled(network.followed[0])
    return float(value(network.start_tau, Moment())) if isinstance(network, Learner) else 1.0


def _against_an_adversary(design: Design, subject: Subject, split: Split) -> Tensor:
    config, data = subject.run.config(), subject.data
    modules: dict[Network, nn.Module] = {}
    for network in design.networks:
        if isinstance(network, Average):
            continue
        modules[network] = subject.module
        if (tau := _cooled(network)) != 1:
            modules[network] = copy.deepcopy(subject.module)
            cool(modules[network], tau)
    ball = Ball(config.threat.eps, data.box, config.threat.norm)
    team, starts = Team(design, modules), Starts(design, ball, derive(config.seed, "lens"))
    loss = AdversarialLoss.of_team(team, config.threat, ball, starts, len(data.classes))
    loss.moment = Moment()
    cells, labels, device = heard(design), [], next(subject.module.parameters()).device
    for number, batch in enumerate(ordered(split, BATCH, levels=data.levels, device=device)):
        loss.calls = number
        with true_fp32(), attacked(*team.modules.values()):
            views, known = loss.attack(batch.x.contiguous(memory_format=torch.channels_last), batch.y)
            with torch.no_grad():
                logits = {
                    cell: known[cell] if cell in known else answer(team.modules[cell.network], views[cell.view])
                    for cell in cells
                }
        at = Outputs({cell: z.double().cpu() for cell, z in logits.items()}, batch.y.cpu(), len(data.classes), epochs=1)
        labels.append(aim(design, at))
    return torch.cat(labels)
