"""What is timed: trainings on random images, the same step in a user's own loop, and a plain step."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from cktat.api.configure import configure
from cktat.bench.plain import PLAIN
from cktat.data import Batch, Dataset, Split
from cktat.designs import make
from cktat.labels import Frozen, Learner, Network
from cktat.models import build
from cktat.runs import World
from cktat.training import AdversarialLoss, Training
from cktat.training.team import StateDict

SHAPE = (3, 32, 32)
CLASSES = 10


@dataclass
class Piece:
    """Something timed: `work` does it once on `images` images with `flops` floating-point operations (2 per
    multiply-add; None where they are not counted)."""

    name: str
    work: Callable[[], object]
    images: int
    flops: float | None = None
    precision: str = ""
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def training_of(
    name: str,
    data: Dataset,
    model: str,
    batch_size: int,
    device: str,
    precision: str,
    world: World = World(),
    **options: Any,
) -> Training:
    """A training of a design on `data`, its teachers with random weights. options: more of a run's."""
    config, _ = configure(
        design=name, data="digits", model=model, batch_size=batch_size, eps=8 / 255, device=device,
        precision=precision, **options,
    )  # fmt: skip
    design = make(name)
    design = design.settle(**dict.fromkeys(design.open, 0.5))
    started = [learner for learner in design.learners if isinstance(learner.start, str)]
    from_elsewhere: tuple[Frozen | Learner, ...] = (*design.frozen, *started)
    given: dict[Network, StateDict] = {n: network_of(n.model or model, 1).state_dict() for n in from_elsewhere}
    return Training(design, config, data, lambda other, number: network_of(other or model, number), given, world)


def network_of(model: str, seed: int) -> torch.nn.Module:
    return build(model, classes=CLASSES, channels=SHAPE[0], mean=(0.5,) * 3, std=(0.25,) * 3, seed=seed)


def random_images(count: int) -> Dataset:
    """So many random images of CIFAR's shape, in every part of the data set."""
    draws = torch.Generator().manual_seed(0)

    def split() -> Split:
        images = torch.randint(0, 256, (count, *SHAPE), dtype=torch.uint8, generator=draws)
        return Split(images, torch.randint(0, CLASSES, (count,), generator=draws))

    return Dataset(
        "random images", split(), split(), split(), tuple(map(str, range(CLASSES))), 255, (0.5,) * 3, (0.25,) * 3,
        (0.0, 1.0), 8 / 255, "crop-flip",
    )  # fmt: skip


def loop_of_a_user(name: str, training: Training, batch: Batch) -> Piece:
    """The same step by `AdversarialLoss`, in a loop as a user writes one."""
    config, device, design = training.config, training.device, training.design

    def network(other: str | None, seed: int) -> torch.nn.Module:
        made = network_of(other or config.model, seed)
        return made.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    loss = AdversarialLoss(
        design,
        learners={one.letter: network(one.model, 0).train() for one in design.learners},
        teachers={one.letter: network(one.model, 1) for one in design.frozen},
        start=False, eps=config.threat.eps, step=config.threat.step, steps=config.threat.steps,
        epochs=config.recipe.epochs,
    )  # fmt: skip
    optimiser = torch.optim.SGD(loss.param_groups(0.01, 5e-4), momentum=0.9, nesterov=True, fused=True)
    x = batch.x.contiguous(memory_format=torch.channels_last)

    def work() -> None:
        loss.progress = 0.5
        with training.arithmetic():
            with training.autocast():
                value = loss(x, batch.y)
            value.backward()
            optimiser.step()
            optimiser.zero_grad()
        loss.follow()

    return Piece(f"{name}, loss in a loop of your own", work, len(batch.y), None, config.precision)


def plain_step(name: str, training: Training, batch: Batch) -> Piece:
    config, device = training.config, training.device
    make_net = lambda seed: network_of(config.model, seed).to(device)  # noqa: E731
    student, teacher = make_net(0), make_net(1).eval().requires_grad_(False)
    optimiser = torch.optim.SGD(student.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    (start,) = training.starts.at(0, batch.x).values()
    threat = config.threat

    def work() -> None:
        PLAIN[name](student, teacher, optimiser, batch.x, batch.y, start, threat.eps, threat.step, threat.steps)

    return Piece(f"{name}, plain step", work, len(batch.y), None, "fp32")
