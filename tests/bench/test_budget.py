"""Kernels and bytes of a training step beyond what its networks need: an extra copy, cast or pass shows without a clock."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from cktat.bench.pieces import CLASSES, network_of, random_images, training_of
from cktat.bench.trace import Counts, counted
from cktat.data import Batch
from cktat.designs import DESIGNS, LATER
from cktat.labels import Adversarial, Cell, Network, Output, View
from cktat.labels.walk import walk
from cktat.models import folding
from cktat.training import Training
from cktat.training.views import label_cells

N = 2
FOLD = (5, 2.02)
"""Of BatchNorm into the convolution before it, once an attack: kernels a pair, and bytes in sizes of the weights."""
ATTACK_STEP = (21, 19.1)
"""Of one step of any design's attack, beyond one pass each way through the attacked network: kernels, and bytes in sizes of
the batch. Six kernels are on images that are moved: a step's sign, product and sum, the ball's two ends, the box."""

UPDATE = {
    "standard": (26, 3.01), "pgd_at": (26, 3.01), "trades": (95, 6.02), "mart": (124, 6.02), "ard": (49, 3.02),
    "iad": (102, 6.02), "rslad": (92, 6.02), "ltd": (95, 6.02), "lbgat": (108, 4.52), "kd_at_auto": (47, 3.02),
    "hat": (160, 9.03), "generalist": (1424, 21.7), "cktat": (95, 6.02),
}  # fmt: skip
"""Of one update, beyond the passes of its cells: kernels, and bytes in sizes of the learners' weights. The optimiser reads
weights and gradients and writes weights (3); a second pass of a network adds its gradients to the first's (3 more).
Generalist's averages move number by number, as they were averaged first."""

OF_THE_PAPER = [name for name in DESIGNS if name not in LATER]
"""Later designs search other views, or move their labels with x'; they have no budget yet."""


def steps_of(name: str, steps: int) -> tuple[Training, Batch]:
    training = training_of(name, random_images(2 * N), "small", N, "cpu", "fp32", steps=steps)
    return training, next(training.batches.epoch(0))


def attack_pass(module: nn.Module, x: Tensor) -> Counts:
    """Forth and back to the images only, in eval mode, without a BatchNorm of its own."""
    module = copy.deepcopy(module).eval().requires_grad_(False)
    x = x.clone().requires_grad_()
    with folding(module):
        return counted(lambda: torch.autograd.grad(module(x), x, torch.ones(N, CLASSES)))


def fold(module: nn.Module) -> Counts:
    """What the folding of a network costs."""
    module = copy.deepcopy(module).eval().requires_grad_(False)

    def work() -> None:
        with folding(module):
            pass

    return counted(work)


def folded_pass(module: nn.Module, x: Tensor) -> Counts:
    module = copy.deepcopy(module).eval().requires_grad_(False)
    with folding(module):
        return counted(lambda: module(x))


def update_pass(module: nn.Module, x: Tensor, trains: bool) -> Counts:
    """Forth, and back to all weights where it trains."""
    module = copy.deepcopy(module)
    with torch.set_grad_enabled(trains):
        return counted(lambda: module(x).backward(torch.ones(N, CLASSES)) if trains else module(x))


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_a_step_of_the_attack_stays_in_its_budget(name: str) -> None:
    costs = []
    for steps in (1, 2):
        training, batch = steps_of(name, steps)
        costs.append(counted(lambda t=training, b=batch: t.attack(b)))  # type: ignore[misc]
    views = [view for view in training.design.views if isinstance(view, Adversarial)]
    needed = sum((attack_pass(training.team.modules[view.of], batch.x) for view in views), Counts())
    own = costs[1] - costs[0] - needed
    kernels, sizes = ATTACK_STEP
    assert own.kernels <= kernels * len(views)
    assert own.bytes <= sizes * batch.x.nbytes * len(views)
    assert own.flops == 0, "no pass more than one"


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_what_comes_before_the_steps_is_one_pass_per_label(name: str) -> None:
    """The label of the inner problem is worked out once; its passes are of cells on the clean images."""
    costs = []
    for steps in (1, 2):
        training, batch = steps_of(name, steps)
        costs.append(counted(lambda t=training, b=batch: t.attack(b)))  # type: ignore[misc]
    before, modules = costs[0] - (costs[1] - costs[0]), training.team.modules
    cells: dict[Cell, Network] = {
        cell: cell.network
        for view in training.design.views
        if isinstance(view, Adversarial)
        for cell in label_cells(view)
    }
    quick = {view.of for view in training.design.views if isinstance(view, Adversarial)}
    passes = [
        folded_pass(modules[n], batch.x) if n in quick else update_pass(modules[n].eval(), batch.x, False)
        for n in cells.values()
    ]
    needed = sum((*passes, *(fold(modules[n]) for n in quick)), Counts())
    own = before - needed
    assert own.flops == 0
    assert own.kernels <= 15 and own.bytes <= 24 * batch.x.nbytes


def test_a_fold_stays_in_its_budget() -> None:
    module = network_of("small", 0)
    cost, (kernels, sizes) = fold(module), FOLD
    norms = sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())
    assert norms == 15 and cost.flops == 0
    print(cost.kernels, cost.bytes / sum(p.nbytes for p in module.parameters()))
    assert cost.kernels <= kernels * norms
    assert cost.bytes <= sizes * sum(p.nbytes for p in module.parameters())


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_an_update_stays_in_its_budget(name: str) -> None:
    training, batch = steps_of(name, 1)
    views, known = training.attack(batch)
    spent = counted(lambda: training.update(batch, views, known))
    modules = training.team.modules
    parts = walk(training.design.live, into=lambda part: not isinstance(part, View | Network))
    in_loss = {part.cell for part in parts if isinstance(part, Output)}  # the others serve BatchNorm
    passes = [
        update_pass(modules[cell.network], batch.x, cell.network.trains and cell in in_loss)
        for cell in training.design.cells
        if cell not in known
    ]
    own, weights = spent - sum(passes, Counts()), sum(p.nbytes for p in training.loss.parameters())
    print(name, own.kernels, own.bytes / weights)
    assert own.flops == 0
    kernels, sizes = UPDATE[name]
    assert own.kernels <= kernels
    assert own.bytes <= sizes * weights
