"""The modules that play a design's networks: learners that train, frozen teachers, averages that follow."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cktat.errors import CktatError
from cktat.labels import Average, Design, Learner, Moment, Network, NetworkMix, value
from cktat.models import Normalised
from cktat.models.normalised import head_of
from cktat.training.class_means import ClassMeans

StateDict = dict[str, Tensor]

NORMALISATION = ("mean", "std")
"""Constants of the data in a state: an average of equal numbers would be rounded away from them."""

Build = Callable[[str | None, int], nn.Module]
"""(architecture or None for the run's, which learner it is) -> a fresh module."""

Given = Mapping[Network, StateDict]
"""Weights from other runs: of every frozen network, and of every learner that starts from a design."""


class Team:
    """Modules by network: learners and teachers as given, and averages, which begin as copies of what they follow.

    Averages are in eval mode and carry no gradients.
    """

    def __init__(self, design: Design, modules: Mapping[Network, nn.Module]) -> None:
        self.design = design
        self.modules = dict(modules)
        for average in design.averages:
            self.modules[average] = copy.deepcopy(self.modules[average.followed[0]]).requires_grad_(False).eval()
        self.class_means = {mean: ClassMeans() for mean in design.class_means}

    @classmethod
    def assembled(cls, design: Design, build: Build, given: Given, device: torch.device) -> Team:
        """The team of fresh modules and of weights from other runs, on `device`. Learners are in train mode, teachers in eval
        mode and without gradients.

        Raises CktatError where weights from another run do not fit this run's architecture.
        """
        modules: dict[Network, nn.Module] = {}
        for number, learner in sorted(enumerate(design.learners), key=lambda item: generation(item[1])):
            module = build(learner.model, number)
            if isinstance(learner.start, Learner):
                load_weights(module, modules[learner.start].state_dict(), f"the start of {learner}")
            elif learner.start is not None:
                load_weights(module, given[learner], f"the start of {learner}")
            cool(module, value(learner.start_tau, Moment()))
            modules[learner] = module
        for teacher in design.frozen:
            module = build(teacher.model, 0)
            load_weights(module, given[teacher], f"teacher {teacher}")
            modules[teacher] = module.requires_grad_(False)
        for network, module in modules.items():
            module = module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            modules[network] = module.train(network.trains)
        return cls(design, modules)

    def param_groups(self, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """A group of parameters per learner, with its own multiple of lr and its own weight decay where it has one."""
        return [
            {
                "params": list(self.modules[learner].parameters()),
                "lr": lr * learner.lr_factor,
                "lr_factor": learner.lr_factor,
                "weight_decay": weight_decay if learner.weight_decay is None else learner.weight_decay,
            }
            for learner in self.design.learners
        ]

    @property
    def deployed(self) -> nn.Module:
        return self.modules[self.design.deployed]

    @torch.no_grad()
    def follow(self, moment: Moment) -> None:
        """Moves the averages after a step, in the order in which they follow each other, and copies them back."""
        if not self.design.averages:
            return
        # once for all names: a state dict of every name made a step wait for Python
        states = {network: module.state_dict() for network, module in self.modules.items()}
        for average in self.design.averages:
            decay = value(average.decay, moment)
            constant = NORMALISATION if isinstance(self.modules[average], Normalised) else ()
            for name, kept in states[average].items():
                if name in constant:
                    continue
                found = self._followed(average, name, moment, states)
                kept.copy_(decay * kept + (1 - decay) * found)  # casts counters down
            if average.copied_back_to and value(average.when, moment):
                for learner in average.copied_back_to:
                    self.modules[learner].load_state_dict(states[average])

    def require_device(self, x: Tensor) -> None:
        """Moves teachers and averages to the device of the images x. Raises CktatError for a learner that is elsewhere."""
        for network, module in self.modules.items():
            on = next((weight.device for weight in module.parameters()), x.device)
            if on != x.device and network.trains:
                raise CktatError(f"the images are on {x.device} and network {network} on {on}; move one to the other")
            if on != x.device or (isinstance(module, Normalised) and module.mean.device != x.device):
                module.to(x.device)

    @staticmethod
    def _followed(average: Average, name: str, moment: Moment, states: Mapping[Network, StateDict]) -> Tensor:
        of = average.of
        if isinstance(of, NetworkMix):
            share = value(of.share, moment)
            return share * states[of.a][name] + (1 - share) * states[of.b][name]
        assert of is not None
        return states[of][name]

    @property
    def changing(self) -> dict[str, nn.Module]:
        """What trains or follows, by letter."""
        return {n.letter: m for n, m in self.modules.items() if isinstance(n, Learner | Average)}

    @property
    def following(self) -> dict[str, nn.Module | ClassMeans]:
        """The averages and the tables of class means, by letter."""
        means = {mean.letter: table for mean, table in self.class_means.items()}
        return {average.letter: self.modules[average] for average in self.design.averages} | means

    def state_dict(self) -> dict[str, StateDict]:
        """Weights and buffers of everything that changes, and the tables of class means, by letter."""
        return {letter: part.state_dict() for letter, part in (self.changing | self.following).items()}

    def load_state_dict(self, states: Mapping[str, StateDict]) -> None:
        for letter, part in (self.changing | self.following).items():
            part.load_state_dict(states[letter])


def generation(learner: Learner) -> int:
    """How many learners it starts behind: it is built after them, in whatever order the design names them."""
    return 1 + generation(learner.start) if isinstance(learner.start, Learner) else 0


def load_weights(module: nn.Module, state: StateDict, what: str) -> None:
    """Fills `module`; `what` says for whom, in errors."""
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise CktatError(
            f"the weights for {what} are of another architecture: {lines[min(1, len(lines) - 1)]}"
        ) from None


def cool(module: nn.Module, tau: float) -> None:
    """Divides the layer that makes the logits by `tau`, so that the logits are those of before / tau."""
    if tau != 1.0:
        head = head_of(module)
        with torch.no_grad():
            for part in (head.weight, head.bias):
                if part is not None:
                    part.div_(tau)
