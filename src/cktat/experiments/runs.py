"""One run from its configuration: the networks it needs are found or trained first, then it is trained."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from cktat.data import Dataset
from cktat.designs import make
from cktat.errors import CktatError
from cktat.experiments.store import Store
from cktat.labels import Design, Frozen, Learner, Network
from cktat.labels.walk import canonical
from cktat.models import Normalised, build, check
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
        needed: bool = False,
    ) -> RunFolder:
        """The finished run of this configuration.

        design: what `config.design` and `config.set` stand for, if it is made already. folder: where, None for the
        store's place. resume: whether an unfinished run there may go on. needed: it is another run's teacher or start, so
        that finding it finished is no news and going on with it needs no asking.

        Raises CktatError if the folder holds another run or an unfinished one that was not to be resumed, and Stopped
        when asked to stop.
        """
        design = design or make(config.design, **config.set)
        name = identity(config, canonical(design), data.fingerprint, adversarial=design.adversarial)
        folder = folder or self.store.place(config, name)
        if not folder.exists and folder.path.is_dir() and any(p.name != ".lock" for p in folder.path.iterdir()):
            raise CktatError(f"{folder.path} exists and holds no run; choose another --out")
        with folder.locked():
            if folder.exists:
                _require_same(folder, config, name)
                if folder.finished:
                    if not needed:
                        self.say(f"{folder.path} is finished already: nothing to do")
                    return folder
                if not (resume or needed):
                    raise CktatError(f"{folder.path} holds an unfinished run of this; add --resume to go on with it")
                config = config.model_copy(update={"threads": folder.config().threads})
            elif resume:
                raise CktatError(f"there is nothing to resume in {folder.path}; start without --resume")
            else:
                check(self._module(config, data, config.model, 0), (data.channels, *data.size), len(data.classes))
                _begin(folder, config, design, data, name)
            self._train(config, data, design, folder, name)
        return folder

    def _train(self, config: RunConfig, data: Dataset, design: Design, folder: RunFolder, name: str) -> None:
        torch.set_num_threads(config.threads)
        given, inputs = self._given(config, data, design)
        before = folder.read().get("inputs")
        if before is not None and before != inputs:
            raise CktatError(f"{folder.path} began with other teachers than the store holds now; train anew with --out")
        folder.write(inputs=inputs)
        training = Training(
            design, config, data, lambda model, number: self._module(config, data, model or config.model, number), given
        )
        card = {
            "model": config.model,
            "classes": list(data.classes),
            "channels": data.channels,
            "size": list(data.size),
            "mean": list(data.mean),
            "std": list(data.std),
            "eps": config.threat.eps,
            "data": {"name": config.data, "fingerprint": data.fingerprint},
            "design": design.name,
            "seed": config.seed,
            "run": name,
        }
        started = time.time()
        fit(training, folder, card, stop=self.stop, watch=self.watch)
        folder.write(finished={"at": _now(), "seconds_this_session": round(time.time() - started, 1)})

    def _given(self, config: RunConfig, data: Dataset, design: Design) -> tuple[dict[Network, State], dict[str, Any]]:
        """Weights that other runs end with, and a record of where each came from."""
        given: dict[Network, State] = {}
        inputs: dict[str, Any] = {}
        for network in (*design.frozen, *design.learners):
            of = network.of if isinstance(network, Frozen) else network.start if isinstance(network, Learner) else None
            if of is None or isinstance(of, Network):
                continue
            wanted = of if isinstance(of, Design) else make(of)
            assert isinstance(network, Frozen | Learner)
            theirs = config.model_copy(
                update={"design": of if isinstance(of, str) else of.name, "set": {}, "model": network.model or config.model}
            )
            run = self.train(theirs, data, design=wanted, needed=True)
            weights, card = run.load(network.pick)
            given[network] = weights
            inputs[network.letter] = {
                "run": card["run"],
                "pick": network.pick,
                "weights_sha256": card["weights_sha256"],
            }
        return given, inputs

    def _module(self, config: RunConfig, data: Dataset, model: str, number: int) -> Normalised:
        from cktat.seeds import derive

        return build(
            model,
            classes=len(data.classes),
            channels=data.channels,
            mean=data.mean,
            std=data.std,
            seed=derive(config.seed, "weights", number),
        )


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


def _require_same(folder: RunFolder, config: RunConfig, name: str) -> None:
    there = folder.read()
    if there.get("identity") == name:
        return
    old, new = there.get("config", {}), config.model_dump(mode="json")
    different = [f"{key} {old.get(key)!r} there, {new[key]!r} here" for key in new if old.get(key) != new[key]]
    raise CktatError(
        f"{folder.path} holds another run ({there.get('identity')}): "
        f"{'; '.join(different[:3]) or 'its design or data differ'}; choose another --out"
    )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
