"""A design's loss as a function of a batch: the inner maximisation, the forward passes, the terms. Every loop calls it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cktat.attacks import Ball, Norm, answer, attacked
from cktat.errors import CktatError, unknown
from cktat.labels import Cell, ClassMean, Design, Moment, Outputs, clean, value
from cktat.labels.design import read_by_schedules
from cktat.models import Normalised
from cktat.runs import Threat, checked
from cktat.training.given import StartGiven, check_batch, check_values, moment_at, networks_of, warn_of_unfollowed
from cktat.training.search import require_stops, spread_of
from cktat.training.starts import Starts
from cktat.training.team import Team
from cktat.training.views import Known, Views, build_views

UNFOLLOWED = 1000  # losses without `follow`, after which a design with averages says so


class AdversarialLoss:
    """The loss of a label design on a batch, for a training loop of your own.

    A call finds the adversarial images first, with every network in eval mode, so that running statistics stay as they are.
    Then it runs the networks on what the design names and returns the sum of the terms. Learners run in the mode that you set
    (`model.train()`), teachers and averages in eval mode. Only learners get gradients. Works under `torch.autocast`; losses
    are computed in float32 or better.

    Args:
        design: a label design, such as `cktat.designs.trades(beta=6)`.
        model: the network that trains: images [N, C, H, W] to logits [N, K]. Of a design with several learners the first
            one, where the others start as copies of it.
        learners: the networks that train, by the letters that the design gives them, in the place of `model`.
        teachers: the frozen networks by letter. They are put in eval mode at every call and never change.
        start: a network whose weights the learners take now that the design starts from another design's network, or such
            networks by letter; False where they have these weights, or a checkpoint's, already.
        eps: radius of the adversary, in units of `box` (8/255 for images in [0, 1]).
        step: length of its steps, in the same units; None is eps / 4.
        steps: how many it makes.
        norm: "Linf" or "L2".
        inner: "pgd", or one step: "rs-fgsm", "n-fgsm". Nothing looks for catastrophic overfitting here; see docs/speed.md.
        alpha: length of that one step; None is 1.25 eps (rs-fgsm) or eps (n-fgsm).
        noise: radius of the noise that n-fgsm starts from, in eps.
        steps_from: steps of the first epoch, which grow to `steps`; None is `steps` always.
        stop_margin: an image's attack ends once a wrong logit is above the true one by this; None is never.
        mean: what your images were normalised with, one number per channel as a share of the pixel range. `x` is then
            (pixels - mean) / std; `eps`, `step` and `box` are about the pixels.
        std: see `mean`.
        box: lowest and highest value of a pixel; None for data without bounds.
        epochs: the length of the training, for designs whose schedules count epochs.
        seed: of the points at which attacks begin. Call n of two losses with one seed begins at the same points.

    Raises:
        CktatError: a network that the design needs is missing, a value of the design is left open, a number makes no sense.

    Example:
        >>> import torch, cktat
        >>> from cktat.designs import trades
        >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> loss = cktat.AdversarialLoss(trades(beta=6), net, eps=8 / 255)
        >>> optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
        >>> x, y = torch.rand(32, 1, 8, 8), torch.randint(10, (32,))
        >>> loss(x, y).backward(); optimiser.step(); optimiser.zero_grad()
    """

    def __init__(
        self,
        design: Design,
        model: nn.Module | None = None,
        *,
        learners: Mapping[str, nn.Module] | None = None,
        teachers: Mapping[str, nn.Module] | None = None,
        start: StartGiven = None,
        eps: float,
        step: float | None = None,
        steps: int = 10,
        norm: Norm = "Linf",
        inner: Literal["pgd", "rs-fgsm", "n-fgsm"] = "pgd",
        alpha: float | None = None,
        noise: float = 2.0,
        steps_from: int | None = None,
        stop_margin: float | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        box: tuple[float, float] | None = (0.0, 1.0),
        epochs: int | None = None,
        seed: int = 0,
    ) -> None:
        if not isinstance(design, Design):
            raise CktatError(f"design must be a Design made with the label language, not {design!r}")
        if design.open:
            values = ", ".join(f"{name}=..." for name in design.open)
            raise CktatError(
                f"design {design.name!r} leaves {', '.join(design.open)} open; give design.settle({values})"
            )
        ball = Ball(eps, box, norm)
        length = ball.eps / 4 if step is None else step
        asked = {"eps": ball.eps, "step": length, "steps": steps, "norm": ball.norm, "inner": inner, "alpha": alpha}
        asked |= {"noise": noise, "steps_from": steps_from, "stop_margin": stop_margin}
        threat = checked(Threat, asked, "the adversary")
        modules = networks_of(design, model, learners or {}, teachers or {}, start)
        if (mean is None) != (std is None):
            raise CktatError("mean and std go together; give both, or neither for images that were not normalised")
        if mean is not None and std is not None:
            modules = {network: Normalised(module, mean, std) for network, module in modules.items()}
        starts = Starts(design, ball, seed, spread=spread_of(threat))
        self._set_up(design, Team(design, modules), threat, ball, starts, epochs=epochs)
        self._normalised = mean is not None

    @classmethod
    def of_team(cls, team: Team, threat: Threat, ball: Ball, starts: Starts, classes: int) -> AdversarialLoss:
        """The loss of networks that are assembled already."""
        loss = cls.__new__(cls)
        loss._set_up(team.design, team, threat, ball, starts)
        loss.classes = classes
        return loss

    def _set_up(
        self, design: Design, team: Team, threat: Threat, ball: Ball, starts: Starts, epochs: int | None = None
    ) -> None:
        self.design, self.team, self.threat, self.ball, self._starts = design, team, threat, ball, starts
        self.classes: int | None = None
        self.epochs = epochs
        self.calls = 0
        """How many losses were computed; the number of the next one's starting points."""
        self.terms: dict[str, Tensor] = {}
        """The weighted loss of every term at the last call, detached scalars; their sum is what the call returned."""
        self._normalised = False
        self._moment = Moment()
        self._said: dict[ClassMean, tuple[Tensor, Tensor]] = {}  # what the last loss heard, for the class means
        self._followed_at = 0
        self.passes = 0
        """Passes forth and back that the last attack cost, counted image by image."""
        require_stops(design, threat)
        self._needs = read_by_schedules(design) | (set() if threat.steps_from is None else {"epoch"})
        self._progress_set = False

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """The loss of images x [N, C, H, W] with labels y [N]: a scalar whose gradient reaches the learners only.

        Raises:
            CktatError: the images, labels or logits have a wrong shape, type or range, or `progress` was never set and the
                design's schedules read it.
        """
        x, y = self._checked(x, y)
        pixels = self._pixels(x)
        with self._modes():
            views, known = self.attack(pixels, y)
            losses = self.losses(views, known, y)
        self.calls += 1
        self.terms = {name: loss.detach() for name, loss in losses.items()}
        self._remind()
        return torch.stack(list(losses.values())).sum()

    def attack(self, x: Tensor, y: Tensor) -> tuple[Views, Known]:
        """The views of images x [N, C, H, W] that the design needs, and the logits of frozen networks met on the way.

        x is in units of the box, y is int64 [N].
        """
        assert self.classes is not None
        at = self.moment
        self.passes = 0
        known = {Cell(mean, clean): t.logits(y, self.classes, at.epoch) for mean, t in self.team.class_means.items()}
        return build_views(
            self.design, self.team.modules, self.threat, self.ball, x, y, self.classes,
            self._starts.at(self.calls, x), at, known, self._spend,
        )  # fmt: skip

    def _spend(self, passes: int) -> None:
        self.passes += passes

    def losses(self, views: Views, known: Known, y: Tensor) -> dict[str, Tensor]:
        """The weighted loss of every term on the views of a batch, by the term's name, after one pass per cell in the design's
        order."""
        assert self.classes is not None
        logits: Known = {}
        for cell in self.design.cells:
            with torch.set_grad_enabled(cell.network.trains and torch.is_grad_enabled()):
                logits[cell] = (
                    known[cell] if cell in known else answer(self.team.modules[cell.network], views[cell.view])
                )
        at = self.moment
        self._said = {mean: (logits[mean.of.cell].detach(), y) for mean in self.design.class_means}
        return self.design.losses(Outputs(logits, y, self.classes, at.progress, at.epoch, at.epochs, at.step))

    def follow(self) -> None:
        """Moves averages and class means on, these by the last batch. Call it after every step; it is free without them."""
        self.team.follow(self.moment)
        at = self._moment
        for mean, (logits, y) in self._said.items():
            self.team.class_means[mean].add(logits, y, value(mean.of.tau, at))
        self._said = {}
        self._moment = Moment(at.progress, at.epoch, at.epochs, at.step + 1)
        self._followed_at = self.calls

    @property
    def progress(self) -> float:
        """How much of the training is done, from 0 to 1. Set it before every loss where the design has schedules."""
        return self._moment.progress

    @progress.setter
    def progress(self, progress: float) -> None:
        self.moment = moment_at(progress, self.epochs, self._moment.step, self.design, self._needs)

    @property
    def moment(self) -> Moment:
        """Where the training stands, as the design's schedules see it."""
        if self._needs & {"progress", "epoch", "epochs"} and not self._progress_set:
            raise CktatError(
                f"design {self.design.name!r} changes while training goes on; set loss.progress, from 0 to 1, before each loss"
            )
        return self._moment

    @moment.setter
    def moment(self, moment: Moment) -> None:
        self._moment, self._progress_set = moment, True

    @property
    def deployed(self) -> nn.Module:
        """The network that is the result: the one to evaluate and to keep. It takes what `x` is."""
        return self._own(self.team.deployed)

    def network(self, letter: str) -> nn.Module:
        """The network, teacher or average that the design calls `letter`. It takes what `x` is."""
        there = {network.letter: module for network, module in self.team.modules.items()}
        if letter not in there:
            raise unknown(f"network of design {self.design.name!r}", letter, there)
        return self._own(there[letter])

    def parameters(self) -> Iterator[nn.Parameter]:
        """The parameters of all learners, for an optimiser."""
        for learner in self.design.learners:
            yield from self.team.modules[learner].parameters()

    def param_groups(self, lr: float, weight_decay: float = 0.0) -> list[dict[str, Any]]:
        """A group of parameters per learner with the learning rate and weight decay that the design gives it.

        Args:
            lr: learning rate of the training; a learner's own is a multiple of it.
            weight_decay: of every learner that has none of its own.

        Returns:
            Groups for any optimiser of `torch.optim`, with the factor of lr under "lr_factor".
        """
        return self.team.param_groups(lr, weight_decay)

    def state_dict(self) -> dict[str, Any]:
        """What resuming needs beside the learners and the optimiser: the averages, and how many calls and steps were made."""
        averages = {letter: average.state_dict() for letter, average in self.team.following.items()}
        return {"averages": averages, "calls": self.calls, "steps": self._moment.step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state` was taken."""
        try:
            for letter, average in self.team.following.items():
                average.load_state_dict(state["averages"][letter])
            self.calls, steps = int(state["calls"]), int(state["steps"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CktatError(f"this state is not of a loss of design {self.design.name!r}: {error}") from None
        at = self._moment
        self._moment, self._followed_at = Moment(at.progress, at.epoch, at.epochs, steps), self.calls

    def __repr__(self) -> str:
        at = f"eps={self.threat.eps:.4g}, step={self.threat.step:.4g}, steps={self.threat.steps}, norm={self.threat.norm!r}"
        return f"AdversarialLoss({self.design.name}, {at})"

    def _modes(self) -> Any:
        """Teachers and averages in eval mode, without gradients for their weights, whatever a framework set before."""
        return attacked(*(module for network, module in self.team.modules.items() if not network.trains))

    def _checked(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        x, y = check_batch(x, y)
        self.team.require_device(x)
        if self.classes is None:  # looked at once: on a GPU every look makes the host wait
            pixels = self._pixels(x)
            check_values(pixels, y, self.ball.box)
            with torch.no_grad(), attacked(*self.team.modules.values()):
                self.classes = answer(self.team.modules[self.design.learners[0]], pixels[:1], int(y.max())).shape[1]
        return x, y

    def _pixels(self, x: Tensor) -> Tensor:
        """The images in units of the box."""
        module = self.team.modules[self.design.learners[0]]
        if not isinstance(module, Normalised) or not self._normalised:
            return x
        return self.ball.clip(x * module.std + module.mean) if self.classes else x * module.std + module.mean

    def _own(self, module: nn.Module) -> nn.Module:
        """A network as its owner knows it, taking what `x` is."""
        return module.body if self._normalised and isinstance(module, Normalised) else module

    def _remind(self) -> None:
        if (self.team.following or "step" in self._needs) and self.calls - self._followed_at == UNFOLLOWED:
            warn_of_unfollowed(self.design, UNFOLLOWED)
