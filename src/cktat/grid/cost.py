"""What a run costs before it is run: floating-point operations, derived from the design, the attack and the network.

The unit is the forward pass of one image. A training pass counts three (the backward pass is two forward passes' worth), a
step of an attack two (its backward pass goes to the image only). Optimiser, BatchNorm and data cost next to nothing beside.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import torch

from cktat.attacks import SUITES, named
from cktat.data import Dataset
from cktat.evaluation import CLEAN
from cktat.grid.graph import GridRun, Measurement
from cktat.labels import Adversarial, Cell, ClassMean, Design, Moment, Network, Output, View, here
from cktat.labels.walk import walk
from cktat.models import build
from cktat.models.inspection import cost
from cktat.runs import RunConfig
from cktat.training.search import steps_at
from cktat.training.views import label_cells

SEARCHES = {"apgd-ce": 205.0, "apgd-dlr": 205.0, "apgd-t": 1830.0, "fab-t": 2712.0, "square": 5004.0}
"""Passes of AutoAttack's parts for an image that withstands them, nine classes being aimed at: counted."""


def of_step(design: Design, steps: int) -> Counter[Network]:
    """Forward passes' worth of work per image in one training step, by network; `steps` are the attack's."""
    work: Counter[Network] = Counter()
    known: set[Cell] = set()  # of frozen networks, met on the way to x': they serve the loss, too
    for view in design.views:
        if isinstance(view, Adversarial):
            cells = label_cells(view)
            moving = {cell for cell in cells if cell.view == here}
            work.update(cell.network for cell in cells - moving - known)
            known |= {cell for cell in cells - moving if not cell.network.trains}
            for network in {view.of, *(cell.network for cell in moving)}:
                work[network] += 2 * steps
    parts = walk(design.live, into=lambda part: not isinstance(part, View | Network))
    in_loss = {
        part.cell for part in parts if isinstance(part, Output)
    }  # other cells serve BatchNorm, without gradients
    for cell in design.cells:
        if isinstance(cell.network, ClassMean):
            continue  # a table, no pass
        work[cell.network] += 3 if cell.network.trains and cell in in_loss else int(cell not in known)
    return work


def of_training(run: GridRun, data: Dataset, epochs: int | None = None) -> float:
    """Operations of `epochs` (None: all) of a run's training, the scores on held-out images included; at most,
    where attacks may stop early."""
    config, recipe = run.config, run.config.recipe
    images = len(data.train) // recipe.batch_size * recipe.batch_size
    held_out = min(config.held_out or max(200, len(data.train) // 10), len(data.held_out))
    each = [steps_at(config.threat, Moment(epoch=epoch, epochs=recipe.epochs)) for epoch in range(recipe.epochs)]
    step = sum(_step(run, data, steps) * each.count(steps) for steps in set(each)) / len(each)
    single = 3 if config.threat.inner != "pgd" and run.design.adversarial else 0
    score = held_out * (2 + 2 * config.threat.steps + single) * forward(config.model, data)
    return (recipe.epochs if epochs is None else epochs) * (images * step + score)


def _step(run: GridRun, data: Dataset, steps: int) -> float:
    """Operations of one step of training for one image."""
    work = of_step(run.design, steps)
    if run.config.recipe.awp:  # every pass of the loss once more
        seen = [cell.network for cell in run.design.cells if not isinstance(cell.network, ClassMean)]
        work.update(network for network in seen for _ in range(3 if network.trains else 1))
    return sum(passes * forward(_model(network, run.config), data) for network, passes in work.items())


def of_attack(name: str) -> float:
    """Passes per image of an evaluation attack, at most: an image that is wrong already is not attacked."""
    if name == CLEAN:
        return 1.0
    if name in SUITES:
        return sum(SEARCHES[part] for part in SUITES[name])
    attack = named(name)
    return 2.0 + 2 * attack.steps * attack.restarts


def of_measurement(measurement: Measurement, model: str, data: Dataset) -> float:
    """Operations of a measurement, at most."""
    images = len(data.test) if measurement.images is None else measurement.images
    return images * forward(model, data) * sum(map(of_attack, (CLEAN, *measurement.attacks)))


def forward(model: str, data: Dataset) -> int:
    """Operations of one forward pass of one image, two per multiply-add."""
    return _forward(model, len(data.classes), data.channels, data.size)


@lru_cache
def _forward(model: str, classes: int, channels: int, size: tuple[int, int]) -> int:
    with torch.device("meta"):  # only shapes are needed
        network = build(model, classes=classes, channels=channels, mean=(0.5,) * channels, std=(0.5,) * channels)
    return cost(network, (channels, *size)).flops


def _model(network: Network, config: RunConfig) -> str:
    return getattr(network, "model", None) or config.model
