"""The modules that play a design's networks: learners that train, frozen teachers, averages that follow."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from cktat.errors import CktatError
from cktat.labels import Average, Design, Learner, Moment, Network, NetworkMix, value

StateDict = dict[str, Tensor]

NORMALISATION = ("mean", "std")
"""Constants of the data in a state: an average of equal numbers would be rounded away from them."""

Build = Callable[[str | None, int], nn.Module]
"""(architecture or None for the run's, which learner it is) -> a fresh module."""

Given = Mapping[Network, StateDict]
"""Weights from other runs: of every frozen network, and of every learner that starts from a design."""


class Team:
    """Modules by network. `learners` train; frozen ones and averages are in eval mode and carry no gradients.

    Raises CktatError where weights from another run do not fit this run's architecture.
    """

    def __init__(self, design: Design, build: Build, given: Given, device: torch.device) -> None:
        self.design = design
        self.modules: dict[Network, nn.Module] = {}
        for number, learner in sorted(enumerate(design.learners), key=lambda item: _generation(item[1])):
            module = build(learner.model, number)
            if isinstance(learner.start, Learner):
                _load(module, self.modules[learner.start].state_dict(), f"the start of {learner}")
            elif learner.start is not None:
                _load(module, given[learner], f"the start of {learner}")
            _cool(module, value(learner.start_tau, Moment()))
            self.modules[learner] = module
        for teacher in design.frozen:
            module = build(teacher.model, 0)
            _load(module, given[teacher], f"teacher {teacher}")
            self.modules[teacher] = module.requires_grad_(False)
        for average in design.averages:
            followed = average.followed[0]
            module = build(_architecture(followed), 0)
            _load(module, self.modules[followed].state_dict(), f"average {average}")
            self.modules[average] = module.requires_grad_(False)
        layout = torch.channels_last
        for network, module in self.modules.items():
            self.modules[network] = module.to(device=device, memory_format=layout)  # type: ignore[call-overload]
            module.train(network.trains)

    @property
    def deployed(self) -> nn.Module:
        return self.modules[self.design.deployed]

    @torch.no_grad()
    def follow(self, moment: Moment) -> None:
        """Moves the averages after a step, in the order in which they follow each other, and copies them back."""
        for average in self.design.averages:
            decay = value(average.decay, moment)
            for name, kept in self.modules[average].state_dict().items():
                if name in NORMALISATION:
                    continue
                kept.copy_(decay * kept + (1 - decay) * self._followed(average, name, moment))  # casts counters down
            if average.copied_back_to and value(average.when, moment):
                for learner in average.copied_back_to:
                    self.modules[learner].load_state_dict(self.modules[average].state_dict())

    def _followed(self, average: Average, name: str, moment: Moment) -> Tensor:
        of = average.of
        if isinstance(of, NetworkMix):
            share = value(of.share, moment)
            a, b = (self.modules[n].state_dict()[name] for n in (of.a, of.b))
            return share * a + (1 - share) * b
        assert of is not None
        return self.modules[of].state_dict()[name]

    @property
    def changing(self) -> dict[str, nn.Module]:
        """What trains or follows, by letter."""
        return {n.letter: m for n, m in self.modules.items() if isinstance(n, Learner | Average)}

    def state_dict(self) -> dict[str, StateDict]:
        """Weights and buffers of everything that changes, by letter."""
        return {letter: module.state_dict() for letter, module in self.changing.items()}

    def load_state_dict(self, states: Mapping[str, StateDict]) -> None:
        for letter, module in self.changing.items():
            module.load_state_dict(states[letter])


def _generation(learner: Learner) -> int:
    # How many learners it starts behind: it is built after them, in whatever order the design names them.
    return 1 + _generation(learner.start) if isinstance(learner.start, Learner) else 0


def _architecture(network: Network) -> str | None:
    if isinstance(network, Average):
        return _architecture(network.followed[0])
    return network.model if isinstance(network, Learner) else None


def _load(module: nn.Module, state: StateDict, what: str) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise CktatError(
            f"the weights for {what} are of another architecture: {lines[min(1, len(lines) - 1)]}"
        ) from None


def _cool(module: nn.Module, tau: float) -> None:
    if tau != 1.0:
        head = module.head
        assert isinstance(head, nn.Linear)
        with torch.no_grad():
            for part in (head.weight, head.bias):
                if part is not None:
                    part.div_(tau)
