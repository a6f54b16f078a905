"""Making the views of a step: x', by the inner maximisation that the design declares, and what is made from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from cktat.attacks import Ball, answer, attacked, margin
from cktat.labels import (
    Adversarial,
    Again,
    Cell,
    Design,
    Extrapolated,
    Inverse,
    Moment,
    Network,
    Output,
    Outputs,
    View,
    clean,
    here,
    kl,
    value,
)
from cktat.labels.walk import walk
from cktat.models import folding
from cktat.schema import Threat
from cktat.training.search import search
from cktat.training.starts import within

Forward = Callable[[Tensor], Tensor]
Views = dict[View, Tensor]
Known = dict[Cell, Tensor]


def build_views(
    design: Design,
    networks: Mapping[Network, Forward],
    threat: Threat,
    ball: Ball,
    x: Tensor,
    y: Tensor,
    classes: int,
    starts: Mapping[View, Tensor],
    moment: Moment,
    known: Mapping[Cell, Tensor] = MappingProxyType({}),
    spend: Callable[[int], object] = lambda passes: None,
) -> tuple[Views, Known]:
    """Every view of x [N, C, H, W] that the design needs, and logits of frozen networks met on the way.

    starts: where the search of each adversarial view begins. known: logits that need no pass; they are among those given back.
    spend: hears how many passes forth and back each search cost, counted image by image.
    All networks are in eval mode here, but for one that a view attacks in train mode. A learner's logits are therefore not
    known afterwards: its train-mode output on the same images is another.
    """
    views: Views = {clean: x}
    found: Known = dict(known)
    for view in design.views:
        if isinstance(view, Adversarial):
            views[view], passes = _attack(view, networks, threat, ball, x, y, classes, starts[view], moment, found)
            spend(passes)
        elif isinstance(view, Extrapolated):
            views[view] = x + value(view.reach, moment) * (views[view.beyond] - x)
        elif isinstance(view, Again):
            views[view] = views[view.of]
    return views, found


def label_cells(view: Adversarial) -> set[Cell]:
    """The passes that the label of an inner maximisation is made from; those on `here` are made anew at every step."""
    return {o.cell for o in walk(view.label, into=lambda part: not isinstance(part, Design)) if isinstance(o, Output)}


def _attack(
    view: Adversarial,
    networks: Mapping[Network, Forward],
    threat: Threat,
    ball: Ball,
    x: Tensor,
    y: Tensor,
    classes: int,
    start: Tensor,
    moment: Moment,
    known: Known,
) -> tuple[Tensor, int]:
    cells = label_cells(view)
    moving = {cell for cell in cells if cell.view == here}
    as_is = (networks[view.of],) if view.mode == "train" else ()
    at_every_step = [networks[network] for network in {view.of, *(cell.network for cell in moving)}]
    with attacked(*networks.values(), as_is=as_is), folding(*at_every_step):
        fixed: Known = {}
        with torch.no_grad():
            for cell in cells - moving:
                fixed[cell] = known[cell] if cell in known else answer(networks[cell.network], x)
        known.update({cell: logits for cell, logits in fixed.items() if not cell.network.trains})
        attacked_cell = Cell(view.of, here)

        def resolve(logits: Known, y: Tensor) -> Tensor:
            at = Outputs(logits, y, classes, moment.progress, moment.epoch, moment.epochs, moment.step, moving=True)
            return view.label.log_probs(at)

        # A label that does not move is worked out once, not at every step.
        label = resolve(fixed | {attacked_cell: x.new_zeros(len(x), classes)}, y) if not moving else None

        def distances(images: Tensor, y: Tensor, fixed: Known, label: Tensor | None) -> tuple[Tensor, Tensor]:
            logits = {cell: answer(networks[cell.network], images) for cell in moving | {attacked_cell}}
            output = Outputs(logits, y, classes)[attacked_cell]
            distance = kl(output, label if label is not None else resolve(fixed | logits, y))
            return (-distance if isinstance(view, Inverse) else distance), logits[attacked_cell]

        def objective(images: Tensor) -> Tensor:
            return distances(images, y, fixed, label)[0]

        def packed(images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            assert least is not None
            there = {cell: logits[rows] for cell, logits in fixed.items()}
            found, logits = distances(images, y[rows], there, None if label is None else label[rows])
            return found, margin(logits.detach(), y[rows]) >= least

        # a search that goes down does not look for what is wrong
        least = None if isinstance(view, Inverse) else threat.stop_margin
        return search(objective, None if least is None else packed, x, start, threat, within(ball, view), moment)
