"""One run from its configuration: the networks it needs are found or trained first, then it is trained."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from cktat.attacks import Ball
from cktat.data import Dataset
from cktat.designs import make
from cktat.errors import CktatError, is_file_function
from cktat.experiments.store import Store
from cktat.labels import Design, Frozen, Learner, Network
from cktat.labels.walk import canonical
from cktat.models import Normalised, build, check
from cktat.seeds import derive
from cktat.training import (
    RunConfig,
    RunFolder,
    Stop,
    Training,
    Watch,
    commit,
    fit,
    hardware,
    identity,
    versions,
)
from cktat.training.calibrate import calibrate, tempered_teacher
from cktat.training.files import Card
from cktat.training.team import State

Say = Callable[[str], None]


class Runner:
    """Trains runs into a store. `watch` shows progress, `say` takes one-line remarks, `stop` ends in good order."""

    def __init__(self, store: Store, stop: Stop, watch: Watch, say: Say) -> None:
        self.store, self.stop, self.watch, self.say = store, stop, watch, say

    def train(
        self,
        config: RunConfig,
        data: Dataset,
        *,
        design: Design | None = None,
        folder: RunFolder | None = None,
        resume: bool = False,
        ensure: bool = False,
    ) -> RunFolder:
        """The finished run of this configuration.

        design: what `config.design` and `config.set` stand for, if it is made already. folder: where, None for the
        store's place. resume: an unfinished run is there and goes on. ensure: take what is there, finished or not, without
        asking - as for the teachers and starts of other runs.

        Raises CktatError if the folder holds another run or an unfinished one that was not to be resumed, and Stopped
        when asked to stop.
        """
        design = design or make(config.design, **config.set)
        name = identity_of(config, data, design)
        folder = folder or self.store.place(config, name)
        if not folder.exists:  # all that can be wrong is found before anything is written
            _require_free(folder)
            if resume:
                raise CktatError(f"there is nothing to resume in {folder.path}; start without --resume")
            self._check(config, data, design)
        with folder.locked():
            if folder.exists:
                _require_same(folder, config, name)
                if folder.finished:
                    if not ensure:
                        self.say(f"{folder.path} is finished already: nothing to do")
                    return folder
                if not (resume or ensure):
                    raise CktatError(f"{folder.path} holds an unfinished run of this; add --resume to go on with it")
                # The threads, and the radius that a clean run is only scored at, are no part of its identity.
                there = folder.config()
                config = config.model_copy(update={"threads": there.threads, "threat": there.threat})
            else:
                torch.set_num_threads(config.threads)
                _begin(folder, config, design, data, name)
            self._train(config, data, design, folder, name)
        return folder

    def _train(self, config: RunConfig, data: Dataset, design: Design, folder: RunFolder, name: str) -> None:
        given, inputs = self._given(config, data, design)
        torch.set_num_threads(config.threads)  # a teacher that was resumed just now set those of its own record
        before = folder.read().get("inputs")
        if before is not None and before != inputs:
            raise CktatError(f"{folder.path} began with other teachers than the store holds now; train anew with --out")
        folder.write(inputs=inputs)
        if design.open:
            values = folder.read().get("calibrated") or self._calibrate(config, data, design, given)
            folder.write(calibrated=values)
            self.say(f"calibrated on held-out images: {', '.join(f'{k} {v:.3f}' for k, v in values.items())}")
            design = design.settle(**values)
        if config.recipe.ema is not None:
            design = design.averaged(config.recipe.ema)
        training = Training(
            design, config, data, lambda model, number: self._module(config, data, model or config.model, number), given
        )
        card = card_of(config, data, design, name)
        started = time.time()
        fit(training, folder, card, stop=self.stop, watch=self.watch)
        folder.write(finished={"at": _now(), "seconds_this_session": round(time.time() - started, 1)})

    def _check(self, config: RunConfig, data: Dataset, design: Design) -> None:
        """Raises CktatError for anything wrong with the networks of a run, or of the runs that it needs."""
        for model in {config.model, *(learner.model or config.model for learner in design.learners)}:
            check(self._module(config, data, model, 0), (data.channels, *data.size), len(data.classes))
        if design.open:
            tempered_teacher(design)
        for network in _of_other_runs(design):
            theirs, made = _theirs(config, network)
            if made is not None:
                self._check(theirs, data, made)
            elif (there := self.store.imported(theirs.design).config()).model != theirs.model:
                raise CktatError(f"{theirs.design} is of model {there.model!r}, and {network} is {theirs.model!r}")

    def _calibrate(
        self, config: RunConfig, data: Dataset, design: Design, given: dict[Network, State]
    ) -> dict[str, float]:
        teacher = tempered_teacher(design)[0]
        last = self._finished(config, data, teacher).load("last")[0]
        device = torch.device(config.device)

        def module(weights: State) -> Normalised:
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
        theirs, design = _theirs(config, network)
        if design is None:
            return self.store.imported(theirs.design)
        return self.train(theirs, data, design=design, ensure=True)

    def _given(self, config: RunConfig, data: Dataset, design: Design) -> tuple[dict[Network, State], dict[str, Any]]:
        """Weights that other runs end with, and a record of where each came from."""
        given: dict[Network, State] = {}
        inputs: dict[str, Any] = {}
        for network in _of_other_runs(design):
            run = self._finished(config, data, network)
            weights, card = run.load(network.pick)
            given[network] = weights
            inputs[network.letter] = {
                "run": card["run"],
                "pick": network.pick,
                "weights_sha256": card["weights_sha256"],
            }
        return given, inputs

    def _module(self, config: RunConfig, data: Dataset, model: str, number: int) -> Normalised:
        return build(
            model,
            classes=len(data.classes),
            channels=data.channels,
            mean=data.mean,
            std=data.std,
            seed=derive(config.seed, "weights", number),
        )


def _of_other_runs(design: Design) -> tuple[Frozen | Learner, ...]:
    """The networks that other runs train: frozen ones, and learners that start from a design."""
    started = (n for n in design.learners if n.start is not None and not isinstance(n.start, Learner))
    return (*design.frozen, *started)


def _theirs(config: RunConfig, network: Frozen | Learner) -> tuple[RunConfig, Design | None]:
    """The run that trains `network`, or its start, beside a run of `config`; the design is None if it was imported."""
    of = network.of if isinstance(network, Frozen) else network.start
    if not isinstance(of, str | Design):
        raise CktatError(f"network {network} must be of a design or its name, not {of!r}")
    name = of if isinstance(of, str) else of.name
    theirs = config.model_copy(update={"design": name, "set": {}, "model": network.model or config.model})
    if isinstance(of, Design):
        return theirs, of
    return theirs, None if "@" in name and not is_file_function(name) else make(of)


def identity_of(config: RunConfig, data: Dataset, design: Design) -> str:
    """The identity of the run that trains `design` so."""
    return identity(config, canonical(design), data.fingerprint, adversarial=design.adversarial)


def card_of(config: RunConfig, data: Dataset, design: Design, name: str) -> Card:
    """What the weights of a run are, for whoever finds the file."""
    return {
        "model": config.model,
        "classes": list(data.classes),
        "channels": data.channels,
        "size": list(data.size),
        "mean": list(data.mean),
        "std": list(data.std),
        "eps": config.threat.eps,
        "norm": config.threat.norm,
        "data": {"name": config.data, "fingerprint": data.fingerprint},
        "design": design.name,
        "seed": config.seed,
        "run": name,
    }


def _begin(folder: RunFolder, config: RunConfig, design: Design, data: Dataset, name: str) -> None:
    folder.write(
        identity=name,
        design={"name": design.name, "declared": canonical(design)},
        config=config.model_dump(mode="json"),
        data={"name": data.name, "fingerprint": data.fingerprint, "training_images": len(data.train)},
        commit=commit(),
        versions=versions(),
        hardware=hardware(torch.device(config.device)),
        started=_now(),
        finished=None,
    )


def _require_free(folder: RunFolder) -> None:
    # What a run leaves that was killed before its run.json was there does not count.
    left = (".lock", f".{folder.run_json.name}.")
    if folder.path.is_dir() and any(not path.name.startswith(left) for path in folder.path.iterdir()):
        raise CktatError(f"{folder.path} exists and holds no run; choose another --out")


def _require_same(folder: RunFolder, config: RunConfig, name: str) -> None:
    there = folder.read()
    if there.get("identity") == name:
        return
    old, new = _flat(there.get("config", {})), _flat(config.model_dump(mode="json"))
    different = [f"{key} is {old.get(key)!r} there, {new[key]!r} here" for key in new if old.get(key) != new[key]]
    raise CktatError(
        f"{folder.path} holds another run ({there.get('identity')}): "
        f"{'; '.join(different[:3]) or 'its design or data differ'}; choose another --out"
    )


def _flat(fields: dict[str, Any]) -> dict[str, Any]:
    inner = {k: v for name in ("recipe", "threat") for k, v in fields.get(name, {}).items()}
    return {name: value for name, value in fields.items() if name not in ("recipe", "threat")} | inner


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
