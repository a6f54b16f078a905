"""A run as its student was taught: all networks of its design with the weights they had last, and the adversary again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cktat.api.needs import of_other_runs
from cktat.api.run import Run
from cktat.api.store import Store
from cktat.attacks import Ball, answer, attacked
from cktat.data import Dataset, Split, load, ordered
from cktat.errors import CktatError
from cktat.evaluation.measure import true_fp32
from cktat.labels import Average, Cell, Design, Moment, Network, Outputs, View, clean
from cktat.lens.aim import aim, heard, pulled
from cktat.models import Normalised, build
from cktat.runs import RunConfig
from cktat.runs.files import load_state
from cktat.seeds import derive
from cktat.training import AdversarialLoss
from cktat.training.search import spread_of
from cktat.training.starts import Starts
from cktat.training.team import Team

BATCH = 100


@dataclass(frozen=True, eq=False)
class Answers:
    """What was asked and said, of N images: labels y [N], the label that was aimed at and the student's answer, both as
    log-probabilities [N, K]."""

    y: Tensor
    label: Tensor
    output: Tensor


@dataclass(frozen=True, eq=False)
class Taught:
    """The networks of a run after its last epoch, the adversary that it trained with, and its data."""

    design: Design
    config: RunConfig
    data: Dataset
    team: Team
    build: Callable[[str | None, int], Normalised]
    moment: Moment

    @classmethod
    def of(cls, run: Run, data: Dataset | None = None, *, store: str | None = None, root: str | None = None) -> Taught:
        """The networks of `run`.

        Args:
            run: an unfinished run is as it was after the last step that was saved.
            data: its data set, if it is loaded already.
            store: where the runs of its teachers lie.
            root: where downloaded data sets lie.

        Raises:
            CktatError: the run was imported, or is without its state, or a run that it needs is gone.
        """
        if run.read().get("imported"):
            raise CktatError(f"{run.path} was imported: nobody knows what its student was taught")
        if not run.state.exists():
            raise CktatError(
                f"{run.path} has no {run.state.name}: without it the weights of the other networks are unknown"
            )
        config, design = run.config(), run.design
        if config.recipe.ema is not None:
            design = design.averaged(config.recipe.ema)
        found = data or load(config.data, root or config.root, size=config.size).subset(config.examples)
        given: dict[Network, dict[str, Tensor]] = {}
        inputs, runs = run.read().get("inputs") or {}, Store(store)
        for network in of_other_runs(design):
            there = runs.find(inputs[network.letter]["run"])
            if there is None:
                raise CktatError(f"{network} of {run.path} is the network of a run that is not in {runs.root}")
            given[network] = there.load(network.pick)[0]

        def fresh(model: str | None, number: int) -> Normalised:
            return build(
                model or config.model, classes=len(found.classes), channels=found.channels, mean=found.mean, std=found.std,
                seed=derive(config.seed, "weights", number),
            )  # fmt: skip

        team = Team.assembled(design, fresh, given, torch.device("cpu"))
        state = load_state(run.state)
        team.load_state_dict(state["team"])
        for module in team.modules.values():
            module.eval()
        # the last step that was taken: its epoch and its progress, not those of a step that never came
        steps, epochs = int(state["steps"]), config.recipe.epochs
        per_epoch = max(1, len(found.train) // min(config.recipe.batch_size, len(found.train)))
        done = max(steps - 1, 0)
        moment = Moment(done / (epochs * per_epoch), done // per_epoch, epochs, done)
        return cls(design, config, found, team, fresh, moment)

    @cached_property
    def untrained(self) -> Taught:
        """The same with learners, and averages of them, as they were drawn, whatever they started from."""
        modules: dict[Network, nn.Module] = {
            network: self.team.modules[network]
            for network in self.design.networks
            if network in self.team.modules and not isinstance(network, Average) and not network.trains
        }
        for number, learner in enumerate(self.design.learners):
            modules[learner] = self.build(learner.model, number).eval()
        return replace(self, team=Team(self.design, modules))

    @cached_property
    def loss(self) -> AdversarialLoss:
        ball = Ball(self.config.threat.eps, self.data.box, self.config.threat.norm)
        starts = Starts(self.design, ball, derive(self.config.seed, "lens"), spread=spread_of(self.config.threat))
        made = AdversarialLoss.of_team(self.team, self.config.threat, ball, starts, len(self.data.classes))
        made.moment = self.moment
        return made

    def batches(self, split: Split) -> Iterator[tuple[dict[View, Tensor], Outputs]]:
        """The images of a split in batches: the design's views of them, found by its own adversary against the student, and the
        logits of every cell; in fp32, in eval mode."""
        for number, batch in enumerate(ordered(split, BATCH, levels=self.data.levels)):
            self.loss.calls = number
            with true_fp32(), attacked(*self.team.modules.values()):
                views, known = self.loss.attack(batch.x, batch.y)
                with torch.no_grad():
                    logits = {
                        cell: known[cell]
                        if cell in known
                        else answer(self.team.modules[cell.network], views[cell.view])
                        for cell in self.design.cells
                    }
            yield views, self._outputs(logits, batch.y)

    def labels(self, split: Split) -> Tensor:
        """What the student is asked to say at x' of every image of a split, as log-probabilities [N, K]. The adversary searches
        only where x' is part of the label."""
        cells = heard(self.design)
        if any(cell.view != clean for cell in cells):
            return self.answers(split).label
        found = []
        for batch in ordered(split, BATCH, levels=self.data.levels):
            modules = self.team.modules
            with torch.no_grad(), true_fp32(), attacked(*modules.values()):
                logits = {cell: answer(modules[cell.network], batch.x) for cell in cells}
            found.append(aim(self.design, self._outputs(logits, batch.y)))
        return torch.cat(found)

    def _outputs(self, logits: dict[Cell, Tensor], y: Tensor) -> Outputs:
        at = self.moment
        return Outputs(logits, y, len(self.data.classes), at.progress, at.epoch, at.epochs, at.step)

    def answers(self, split: Split) -> Answers:
        """What the student is asked to say at x' of every image of a split, and what it says there."""
        cell, _ = pulled(self.design)
        ys, labels, outputs = [], [], []
        for _, at in self.batches(split):
            ys.append(at.y)
            labels.append(aim(self.design, at))
            outputs.append(F.log_softmax(at[cell].detach().double(), dim=1))
        return Answers(torch.cat(ys), torch.cat(labels), torch.cat(outputs))
