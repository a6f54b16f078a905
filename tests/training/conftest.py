"""What the tests of training share: small networks and batches, errors of one line, and all passes of a watched run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from cktat.api import Runner, Store, configure
from cktat.labels import Design
from cktat.models import Normalised
from cktat.runs import RunFolder
from cktat.training import Begun


class Tiny(nn.Module):
    """A network with weights, BatchNorm (an integer counter among its buffers) and dropout; `head` makes the logits."""

    def __init__(self, seed: int = 0, width: int = 6, classes: int = 3, inputs: int = 8) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.Tanh())
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(width, classes)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for tensor in self.parameters():
                tensor.copy_(torch.randn(tensor.shape, generator=generator))
            self.body[2].running_mean.copy_(torch.randn(width, generator=generator))
            self.body[2].running_var.copy_(0.5 + torch.rand(width, generator=generator))
            self.body[2].num_batches_tracked.fill_(10 * seed + 7)
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(self.body(x)))


@pytest.fixture
def small_net() -> Callable[..., nn.Module]:
    """small_net(seed, width, classes): a float64 network of random weights and statistics."""
    return Tiny


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Images [5, 2, 2, 2] in [0, 1], float64, with pixels on both edges, and labels of 3 classes."""
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(5, 2, 2, 2, generator=generator, dtype=torch.float64)
    x[0, 0], x[1, 1] = 0.0, 1.0
    return x, torch.randint(0, 3, (5,), generator=generator)


@dataclass(frozen=True)
class Pass:
    """A forward pass of a network: its module, what it was given, and during what it was.

    phase: "step" while weights are trained, "score" after an epoch, "between" runs. design: which run's, the last begun.
    step: how many steps of that run were done. ascends: whether an attack asks for the gradient with respect to x.
    """

    module: nn.Module
    x: Tensor
    trains: bool
    ascends: bool
    phase: str
    design: str
    step: int


class Watched:
    """The stop and the watch of a training, and every forward pass in it, seen from outside: no name inside the package
    is patched. `masks`: what dropout kept, pass by pass. `first`: the weights at the first train-mode pass, by design.
    """

    def __init__(self, per_epoch: int) -> None:
        self.per_epoch = per_epoch
        self.passes: list[Pass] = []
        self.masks: list[Tensor] = []
        self.first: dict[str, list[dict[str, Tensor]]] = {}
        self.phase, self.design, self.done = "between", "", 0

    def now(self) -> None: ...

    def begin(self, run: Begun) -> None:
        self.phase, self.design, self.done = "step", run.design, run.done

    def step(self, step: int, losses: dict[str, Tensor]) -> None:
        self.done += 1
        if self.done % self.per_epoch == 0:
            self.phase = "score"

    def epoch(self, record: dict[str, Any]) -> None:
        self.phase = "step"

    def end(self) -> None:
        self.phase = "between"

    def saw(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        if isinstance(module, nn.Dropout) and module.training:
            self.masks.append((output != 0).detach().clone())
        if not isinstance(module, Normalised):
            return
        x = inputs[0]
        self.passes.append(
            Pass(module, x.detach().clone(), module.training, x.requires_grad, self.phase, self.design, self.done)
        )

    def before(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(module, Normalised) and module.training and self.phase == "step" and self.done == 0:
            weights = {name: value.clone() for name, value in module.state_dict().items()}
            self.first.setdefault(self.design, []).append(weights)


@pytest.fixture
def watched(tiny: Any) -> Callable[..., tuple[Watched, RunFolder]]:
    """watched(design, store, **options): a tiny run of 4 steps an epoch, and all that was seen of it."""

    def train(design: str | Design, store: Path, **options: Any) -> tuple[Watched, RunFolder]:
        watch, name = Watched(per_epoch=4), design if isinstance(design, str) else design.name
        config, data = configure(**{"design": name} | tiny.options | options)
        runner = Runner(Store(store), watch, watch, lambda text: None)  # type: ignore[arg-type]
        hooks = [
            register_module_forward_pre_hook(watch.before),
            register_module_forward_hook(watch.saw),
        ]
        try:
            return watch, runner.train(config, data, design=None if isinstance(design, str) else design)
        finally:
            for hook in hooks:
                hook.remove()

    return train


@pytest.fixture(scope="session")
def splits(tiny: Any) -> dict[str, Tensor]:
    """The tiny images of "train", "held_out" and "test", in [0, 1], [N, 1, 6, 6]."""
    arrays = np.load(tiny.data)
    return {
        part: torch.from_numpy(arrays[f"x_{part}"]).float().div(255).unsqueeze(1)
        for part in ("train", "held_out", "test")
    }


@pytest.fixture(scope="session")
def whose(splits: dict[str, Tensor]) -> Callable[[Tensor], list[tuple[str, int]]]:
    """whose(x): (split, number) of the image that each x [N, 1, 6, 6] is, or was moved from by less than any other."""
    names = [(part, number) for part, images in splits.items() for number in range(len(images))]
    there = torch.cat(list(splits.values())).flatten(1)

    def nearest(x: Tensor) -> list[tuple[str, int]]:
        far = (x.flatten(1).unsqueeze(1) - there).abs().amax(dim=2)  # [N, all]
        return [names[int(index)] for index in far.argmin(dim=1)]

    return nearest
