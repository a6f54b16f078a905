"""The training loop. It trains whatever design it is handed and knows none by name."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from cktat.attacks import Ball
from cktat.data import Augment, Batch, Batches, Dataset
from cktat.errors import CktatError
from cktat.labels import Design, Moment
from cktat.runs.processes import World
from cktat.schema import RunConfig
from cktat.seeds import derive
from cktat.training.awp import perturbed
from cktat.training.loss import AdversarialLoss
from cktat.training.optimiser import optimiser_of
from cktat.training.overfitting import Overfitted, overfitting
from cktat.training.rounded import rounded
from cktat.training.schedule import factor_of
from cktat.training.score import held_out_accuracy, not_finite, single_step_accuracy
from cktat.training.search import spread_of
from cktat.training.starts import Starts
from cktat.training.team import Build, Given, Team
from cktat.training.views import Known, Views
from cktat.usercode import function_of, is_own


class Diverged(CktatError):
    """A loss or a weight stopped being finite; the last good checkpoint is kept."""

    exit_code = 1
    shared = True


class Training:
    """A design in training: its team, optimiser, and how far it is. Everything random is a function of seed and step.

    With several processes each has all weights and its part of every batch; after a step all hold the same again.
    """

    def __init__(
        self, design: Design, config: RunConfig, data: Dataset, build: Build, given: Given, world: World = World()
    ) -> None:
        recipe = config.recipe
        self.design, self.config, self.data, self.world = design, config, data, world
        self.device = world.device(config.device)
        self.ball = Ball(config.threat.eps, data.box, config.threat.norm)
        self.team = Team.assembled(design, build, given, self.device)
        if config.compile:
            for module in self.team.modules.values():
                # In place: names of weights, and so checkpoints, stay as they are. dynamic: a score's last, smaller batch
                # would turn what is compiled for all others into code for batches of any size.
                module.compile(dynamic=False)
        augment: str | Augment = data.augment if recipe.augment == "data" else recipe.augment
        augment = function_of(recipe.augment, "augment") if is_own(recipe.augment) else augment
        self.lr_factor = factor_of(recipe)
        self.batches = Batches(
            data.train, recipe.batch_size, levels=data.levels, augment=augment, seed=config.seed, device=self.device,
            part=world.part,
        )  # fmt: skip
        spread = spread_of(config.threat)
        self.starts = Starts(
            design, self.ball, config.seed, world.part, ahead=self.device.type == "cuda", spread=spread
        )
        self.loss = AdversarialLoss.of_team(self.team, config.threat, self.ball, self.starts, len(data.classes))
        self.optimiser = optimiser_of(recipe, self.loss.param_groups(recipe.lr, recipe.weight_decay))
        count = config.held_out or max(200, len(data.train) // 10)
        self.held_out = data.held_out.first(min(count, len(data.held_out))).to(self.device)
        self.steps = 0
        self.history: list[dict[str, Any]] = []
        self.best: tuple[float, ...] = (-1.0,)
        self.sums = torch.zeros(len(design.live), dtype=torch.float64, device=self.device)
        self.seconds, self.passes = 0.0, 0.0
        self.losses: dict[str, Tensor] = {}
        """Weighted loss of every term at the last step, scalars on the device."""

    @property
    def total_steps(self) -> int:
        return self.config.recipe.epochs * self.batches.steps

    @property
    def moment(self) -> Moment:
        return Moment(
            self.steps / self.total_steps, self.steps // self.batches.steps, self.config.recipe.epochs, self.steps
        )

    def arithmetic(self) -> AbstractContextManager[object]:
        """What a step and a score are computed in, backward passes included."""
        return rounded(self.config.precision, self.device)

    def autocast(self) -> AbstractContextManager[None]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.precision == "bf16")

    def step(self, batch: Batch) -> None:
        """One optimiser step: the views, then the weights."""
        torch.manual_seed(derive(self.config.seed, "step", self.steps) + self.world.rank)  # for networks with dropout
        views, known = self.attack(batch)
        self.update(batch, views, known)
        self.passes += self._passes(len(batch.y))
        self.steps += 1

    def attack(self, batch: Batch) -> tuple[Views, Known]:
        """The views that the design needs of a batch, and logits of frozen networks met on the way."""
        self._set_moment()
        with self.arithmetic(), self.autocast():
            return self.loss.attack(batch.x.contiguous(memory_format=torch.channels_last), batch.y)

    def update(self, batch: Batch, views: Views, known: Known) -> None:
        """The cells in the design's order, the loss, the weights, the averages."""
        self._set_moment()
        recipe, modules = self.config.recipe, self.team.modules
        rate = recipe.lr * self.lr_factor(self.steps / self.batches.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["lr_factor"]

        def losses() -> Tensor:  # [terms]
            with self.autocast():
                return torch.stack(list(self.loss.losses(views, known, batch.y).values()))

        learners = [modules[learner] for learner in self.design.learners]
        worst = perturbed(learners, recipe.awp, lambda: losses().sum(), self.world) if recipe.awp else nullcontext()
        with self.arithmetic(), worst:
            live = losses()
            self.optimiser.zero_grad(set_to_none=True)
            live.sum().backward()
            found = live.detach()
            self._average(learners, found)
            self._require_finite(found)
            self.optimiser.step()
        self.loss.follow()
        self.world.average([table.sums for table in self.team.class_means.values()], exact=True)
        self.sums += found
        self.losses = dict(zip(map(str, self.design.live), found, strict=True))

    def _passes(self, images: int) -> float:
        """Passes forth and back of the last attack, a mean over the images of all processes."""
        mean = self.loss.passes / images
        if self.config.threat.stop_margin is None or self.world.size == 1:
            return mean
        shared = torch.tensor([mean], dtype=torch.float64, device=self.device)
        self.world.average([shared], exact=True)
        return float(shared)

    def _set_moment(self) -> None:
        self.loss.moment, self.loss.calls = self.moment, self.steps

    def _average(self, learners: list[nn.Module], losses: Tensor) -> None:
        # In train mode each process normalises by its own part of the batch. The running statistics are averaged after
        # every step: attacks, scores and checkpoints then see one network, and resuming goes on as if never stopped.
        weights = [weight for learner in learners for weight in learner.parameters()]
        self.world.average([*(weight.grad for weight in weights if weight.grad is not None), losses])
        buffers = [buffer for learner in learners for buffer in learner.buffers() if buffer.is_floating_point()]
        self.world.average(buffers, exact=True)

    def _require_finite(self, losses: Tensor) -> None:
        # On a GPU looking at every step would make the host wait; the running sums are looked at after the epoch.
        if self.device.type == "cpu":
            for term, loss in zip(self.design.live, losses.tolist(), strict=True):
                if not math.isfinite(loss):
                    raise self._diverged(f"the term {term} is {loss}", "or another precision")

    def require_finite(self) -> None:
        """Raises Diverged for a weight, a sum of losses or an answer that is not finite: such a state must not be saved."""
        for term, total in zip(self.design.live, self.sums.tolist(), strict=True):
            if not math.isfinite(total):
                raise self._diverged(f"the sum of the term {term} is {total}")
        for letter, state in self.team.state_dict().items():
            for name, weight in state.items():
                if weight.is_floating_point() and not bool(torch.isfinite(weight).all()):
                    value = float(weight[~torch.isfinite(weight)].flatten()[0])
                    raise self._diverged(f"the weight {name} of {letter} is {value}")
        images = self.held_out.first(min(self.config.recipe.batch_size, len(self.held_out)))
        for letter, module in self.team.changing.items():
            with self.arithmetic(), self.autocast():
                logit = not_finite(module, images, levels=self.data.levels)
            if logit is not None:
                raise self._diverged(f"{letter} answers held-out images with {logit}, though its weights are finite")

    def _diverged(self, what: str, more: str = "") -> Diverged:
        kept = f"epoch {len(self.history)} is kept" if self.history else "no epoch was finished"
        return Diverged(f"step {self.steps}: {what}; {kept}; try a smaller lr {more}".rstrip())

    def end_epoch(self) -> dict[str, Any]:
        """Scores the held-out images and records the epoch. Raises Diverged, and Overfitted where a run is to end so."""
        self.require_finite()
        started = time.perf_counter()
        threat = self.config.threat
        how: dict[str, Any] = {
            "levels": self.data.levels, "batch_size": self.config.recipe.batch_size, "threat": threat, "ball": self.ball,
            "seed": self.config.seed, "world": self.world,
        }  # fmt: skip
        with self.arithmetic(), self.autocast():
            clean, robust = held_out_accuracy(self.team.deployed, self.held_out, **how)
            held_out = {"images": len(self.held_out), "clean": clean, "pgd": robust}
            if threat.inner != "pgd" and self.design.adversarial:
                held_out["single_step"] = single_step_accuracy(self.team.deployed, self.held_out, **how)
        means = (self.sums / self.batches.steps).tolist()
        record = {
            "epoch": len(self.history) + 1,
            "lr": self.optimiser.param_groups[0]["lr"],
            "loss": sum(means),
            "terms": {str(term): mean for term, mean in zip(self.design.live, means, strict=True)},
            "held_out": held_out,
            "attack_passes": round(self.passes / self.batches.steps, 4),
            "seconds": round(self.seconds, 3),
            "seconds_held_out": round(time.perf_counter() - started, 3),
        }
        if found := overfitting(self.history, record, threat, self.held_out.labels):
            if threat.overfitting == "stop":
                raise Overfitted(f"{found}; try inner n-fgsm, a smaller alpha, or pgd; overfitting=warn goes on")
            record["overfitting"] = found
        self.sums.zero_()
        self.seconds, self.passes = 0.0, 0.0
        self.history.append(record)
        return record

    def is_best(self, record: Mapping[str, Any]) -> bool:
        """Whether this epoch beats all before: by robust, then clean held-out accuracy; by clean alone if the design
        trains without an adversary, so that its best weights do not depend on a radius."""
        scores = record["held_out"]
        score = (scores["pgd"], scores["clean"]) if self.design.adversarial else (scores["clean"],)
        if score <= self.best:
            return False
        self.best = score
        return True

    def state(self) -> dict[str, Any]:
        """All that resuming needs: tensors and primitives."""
        return {
            "steps": self.steps,
            "team": self.team.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "history": self.history,
            "best": list(self.best),
            "sums": self.sums,
            "seconds": self.seconds,
            "passes": self.passes,
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        self.steps, self.history = state["steps"], list(state["history"])
        self.team.load_state_dict(state["team"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.best, self.seconds, self.passes = tuple(state["best"]), state["seconds"], state.get("passes", 0.0)
        self.sums.copy_(state["sums"])
