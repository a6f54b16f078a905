"""One run from its configuration: the networks it needs are found or trained first, then it is trained."""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cktat.api.needs import needed, of_other_runs
from cktat.api.objects import require_fresh_networks
from cktat.api.records import begin, card_of, go_on_with, identity_of, kept, now, require_free, require_same
from cktat.api.store import Store
from cktat.attacks import Ball
from cktat.data import Batches, Dataset
from cktat.designs import make
from cktat.errors import CktatError, naming
from cktat.labels import Design, Frozen, Learner, Network
from cktat.labels.walk import canonical
from cktat.models import Normalised, build
from cktat.runs import RunConfig, RunFolder, Stop, World, by_content, code_of
from cktat.runs.processes import Say
from cktat.seeds import derive
from cktat.training import Callback, Training, fit
from cktat.training.calibrate import calibrate, tempered_teacher
from cktat.training.score import at_chance
from cktat.training.search import require_stops
from cktat.training.team import StateDict
from cktat.training.trial import trial, trial_of_loss
from cktat.usercode import absolute, pinned


class Runner:
    """Trains runs into a store. `watch` shows progress, `say` takes one-line remarks, `stop` ends in good order.

    The processes of `world` train together, and only the first of them reads or writes the store.
    """

    def __init__(self, store: Store, stop: Stop, watch: Callback, say: Say, world: World = World()) -> None:
        self.store, self.stop, self.watch, self.say, self.world = store, stop, watch, say, world

    def train(
        self,
        config: RunConfig,
        data: Dataset,
        *,
        design: Design | None = None,
        folder: RunFolder | None = None,
        resume: bool = False,
        ensure: bool = False,
        wait: bool = True,
    ) -> RunFolder:
        """The finished run of this configuration.

        design: what `config.design` and `config.set` stand for, if it is made already. folder: where, None for the
        store's place. resume: an unfinished run is there and goes on. ensure: take what is there, finished or not, without
        asking - as for the teachers and starts of other runs. wait: for another process that trains this run.

        Raises CktatError if the folder holds another run or an unfinished one that was not to be resumed, Stopped when
        asked to stop, and Busy if it was not to wait and would have to.
        """
        made = self.world.together(lambda: design or make(config.design, **config.set))
        code = self.world.together(lambda: code_of(config, canonical(made)))
        with ExitStack() as held:
            held.enter_context(pinned(code))  # a teacher may train for days before a user's file is read again
            enter = partial(self._enter, config, data, made, code, folder, held, resume, ensure)
            place, name, going = self.world.patiently(enter, self.stop, self.say) if wait else self.world.once(enter)
            if going is not None:
                self.say(self.world.once(partial(self._plan, going, data, made, place)))
                self._train(going, data, made, place, name)
        return place

    def _enter(
        self,
        config: RunConfig,
        data: Dataset,
        design: Design,
        code: dict[str, str],
        folder: RunFolder | None,
        lock: ExitStack,
        resume: bool,
        ensure: bool,
    ) -> tuple[RunFolder, str, RunConfig | None]:
        """The folder of a run, locked and begun; the run's identity; how it is to go on, None if it is finished."""
        if data.only_tests:
            raise CktatError(f"data {data.name!r} hold test images alone: networks are judged on them, none is trained")
        name = identity_of(config, data, design)
        folder = folder or self.store.place(config, name)
        if not folder.exists:  # all that can be wrong is found before anything is written
            require_free(folder)
            if resume:
                raise CktatError(f"there is nothing to resume in {folder.path}; start without --resume")
            self._check(config, data, design, set())
        lock.enter_context(folder.locked("trains"))
        if not folder.exists:
            torch.set_num_threads(config.threads)
            begin(folder, config, design, data, name, code, self.world)
            return folder, name, config
        require_same(folder, config, name, code)
        if folder.finished:
            if not ensure:
                self.say(f"{folder.path} is finished already: nothing to do")
            return folder, name, None
        if not (resume or ensure):
            raise CktatError(f"{folder.path} holds an unfinished run of this; add --resume to go on with it")
        # The threads, and the radius that a clean run is only scored at, are no part of its identity.
        before = folder.config()
        threat = before.threat.model_copy(update={"overfitting": config.threat.overfitting})
        return folder, name, config.model_copy(update={"threads": before.threads, "threat": threat})

    def _train(self, config: RunConfig, data: Dataset, design: Design, folder: RunFolder, name: str) -> None:
        given, inputs = self._given(config, data, design)
        torch.set_num_threads(config.threads)  # a teacher that was resumed just now set those of its own record
        calibrated = self.world.once(lambda: go_on_with(folder, inputs))
        if design.open:
            found = calibrated or self._calibrate(config, data, design, given)
            values = self.world.once(lambda: kept(folder, found))
            self.say(f"calibrated on held-out images: {', '.join(f'{k} {v:.3f}' for k, v in values.items())}")
            design = design.settle(**values)
        if config.recipe.ema is not None:
            design = design.averaged(config.recipe.ema)
        training = Training(
            design, config, data, lambda model, number: self._module(config, data, model or config.model, number),
            given, self.world,
        )  # fmt: skip
        card = card_of(config, data, design, name, self.world.once(folder.read).get("code") or {})
        started = time.monotonic()
        fit(training, folder, card, stop=self.stop, watch=self.watch, say=self.say)
        clean = training.history[-1]["held_out"]["clean"]
        if at_chance(clean, training.held_out.labels):
            self.say(
                f"{folder.path}: held-out accuracy ends at chance ({clean:.3f}): it learned nothing; try a smaller lr"
            )
        seconds = round(time.monotonic() - started, 1)
        self.world.once(lambda: folder.write(finished={"at": now(), "seconds_this_session": seconds}))

    def _plan(self, config: RunConfig, data: Dataset, design: Design, folder: RunFolder) -> str:
        """What will be trained, and where; which runs come first."""
        first = [f"{name} in {path}" for path, name in self._first(config, data, design).items()]
        epochs = f"{config.recipe.epochs} epoch{'s' if config.recipe.epochs > 1 else ''}"
        return (
            f"{design.name}: {epochs} of {len(data.train):,} images, in {folder.path}"
            f"{'; first, since it needs them: ' + ', '.join(first) if first else ''}"
        )

    def _first(self, config: RunConfig, data: Dataset, design: Design) -> dict[Path, str]:
        """The unfinished runs that a run needs, in the order in which they are trained."""
        found: dict[Path, str] = {}
        for network in of_other_runs(design):
            theirs, made = needed(config, network, data)
            if made is None:
                continue  # it was imported
            place = self.store.place(theirs, identity_of(theirs, data, made))
            if not place.finished:
                found |= self._first(theirs, data, made) | {place.path: made.name}
        return found

    def _check(self, config: RunConfig, data: Dataset, design: Design, tried: set[str]) -> None:
        """Raises CktatError for anything wrong with the networks of a run, or of the runs that it needs. tried: those that
        need not be tried again."""
        require_fresh_networks(design, config.model)
        require_stops(design, config.threat)
        images = Batches(data.train, config.recipe.batch_size, part=self.world.part).batch_size // self.world.size
        for model in {config.model, *(learner.model or config.model for learner in design.learners)}:
            if model in tried:
                continue
            tried.add(model)
            module = self._module(config, data, model, 0)
            with naming(f"model {model!r}"):
                trial(module, config, data, images=images, device=self.world.device(config.device))
        if design.open:
            tempered_teacher(design)
        with naming(f"design {config.design!r}"):
            trial_of_loss(design, len(data.classes))
        for network in of_other_runs(design):
            theirs, made = needed(config, network, data)
            if made is not None:
                self._check(theirs, data, made, tried)
                continue
            imported = self.store.imported(theirs.design)
            model = imported.config().model
            if by_content(model, imported.read().get("code", {})) != by_content(theirs.model):
                was = "as its text was" if absolute(model) == absolute(theirs.model) else ""
                raise CktatError(
                    f"{theirs.design} is of model {model!r}{was and f' {was}'}, and {network} is {theirs.model!r}"
                )

    def _calibrate(
        self, config: RunConfig, data: Dataset, design: Design, given: dict[Network, StateDict]
    ) -> dict[str, float]:
        teacher = tempered_teacher(design)[0]
        run = self._finished(config, data, teacher)
        last = self.world.once(lambda: run.load("last"))[0]
        device = self.world.device(config.device)

        def module(weights: StateDict) -> Normalised:
            built = self._module(config, data, teacher.model or config.model, 0).to(device)
            built.load_state_dict(weights)
            return built

        return calibrate(
            design,
            module(given[teacher]),
            module(last),
            data.held_out,
            levels=data.levels,
            threat=config.threat,
            ball=Ball(config.threat.eps, data.box, config.threat.norm),
            batch_size=config.recipe.batch_size,
            seed=config.seed,
        )

    def _finished(self, config: RunConfig, data: Dataset, network: Frozen | Learner) -> RunFolder:
        """The finished run whose network `network` is, or starts from; trained first if there is none."""
        theirs, design = needed(config, network, data)
        if design is None:
            return self.world.once(lambda: self.store.imported(theirs.design))
        return self.train(theirs, data, design=design, ensure=True)

    def _given(
        self, config: RunConfig, data: Dataset, design: Design
    ) -> tuple[dict[Network, StateDict], dict[str, Any]]:
        """Weights that other runs end with, and a record of where each came from."""
        given: dict[Network, StateDict] = {}
        inputs: dict[str, Any] = {}
        for network in of_other_runs(design):
            run = self._finished(config, data, network)
            weights, card = self.world.once(partial(run.load, network.pick))
            given[network] = weights
            inputs[network.letter] = {
                "run": card["run"],
                "pick": network.pick,
                "weights_sha256": card["weights_sha256"],
            }
        return given, inputs

    def _module(self, config: RunConfig, data: Dataset, model: str, number: int) -> Normalised:
        mean, std = data.normalisation(config.recipe.inputs)
        return build(
            model,
            classes=len(data.classes),
            channels=data.channels,
            mean=mean,
            std=std,
            seed=derive(config.seed, "weights", number),
        )
