"""A training from its folder's state to its end: epochs, checkpoints, stopping, resuming."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from cktat.errors import CktatError, one_line
from cktat.models import Normalised
from cktat.runs.door import checked
from cktat.runs.files import Card, load_state, save_state, save_weights
from cktat.runs.folder import RunFolder
from cktat.runs.processes import Say
from cktat.runs.schemas import StateKept
from cktat.runs.stopping import Stop, Stopped
from cktat.training.callback import Begun, Callback
from cktat.training.loop import Training
from cktat.training.team import NORMALISATION


def fit(
    training: Training, folder: RunFolder, card: Card, *, stop: Stop, watch: Callback, say: Say = lambda text: None
) -> None:
    """Trains to the end of the recipe, or until asked to stop; continues from the folder's state if there is one.

    After every epoch: last weights, best weights, state and log, each written atomically, in an order in which a kill
    between two of them is undone by training that epoch again. Of several processes the first alone touches the folder,
    and all stop after the same step. Raises Stopped, Diverged, Overfitted, Lost where another process ended, or Gone where
    the folder was deleted.
    """
    world = training.world
    _resume(training, folder)
    per_epoch = training.batches.steps
    epochs, images = training.config.recipe.epochs, per_epoch * training.batches.batch_size
    config = training.config.model_dump(mode="json")
    watch.begin(Begun(training.design.name, folder.path, epochs, per_epoch, training.steps, images, config))
    try:
        while training.steps < training.total_steps:
            epoch, done = divmod(training.steps, per_epoch)
            started = time.perf_counter()
            for batch in training.batches.epoch(epoch, start=done):
                training.step(batch)
                watch.step(training.steps, training.losses)
                if training.steps % per_epoch and (reason := world.any(stop.now())):
                    training.seconds += time.perf_counter() - started
                    world.once(partial(_stop, training, folder, reason))
            training.seconds += time.perf_counter() - started
            record = training.end_epoch()  # raises Diverged or Overfitted, and what was saved before stays
            world.once(partial(_save, training, folder, card, record))
            if "overfitting" in record and not any("overfitting" in line for line in training.history[:-1]):
                say(record["overfitting"])
            watch.epoch(record)
            if training.steps < training.total_steps and (reason := world.any(stop.now())):
                world.once(partial(_stop, training, folder, reason))
    finally:
        watch.end()


def _resume(training: Training, folder: RunFolder) -> None:
    state = training.world.once(lambda: load_state(folder.state) if folder.state.exists() else None)
    if state is None:
        return
    checked(StateKept, state if isinstance(state, dict) else {}, str(folder.state))
    try:
        training.resume(state)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise CktatError(f"{folder.state} is the training state of another run: {one_line(error)}") from None
    # a kill after the state of the last epoch left its line out
    training.world.once(lambda: folder.write_history(training.history))


def _save(training: Training, folder: RunFolder, card: Card, record: Mapping[str, Any]) -> None:
    folder.require_begun()
    deployed = training.team.deployed
    weights = deployed.state_dict()
    card = card | {"epoch": record["epoch"], "held_out": record["held_out"]}
    if isinstance(deployed, Normalised):  # one that started from another network's weights normalises as that one did
        card = card | {name: weights[name].flatten().tolist() for name in NORMALISATION}
    if training.is_best(record):
        save_weights(folder.weights("best"), weights, card)
    save_weights(folder.weights("last"), weights, card)
    save_state(folder.state, training.state())
    folder.write_history(training.history)


def _stop(training: Training, folder: RunFolder, reason: str) -> None:
    training.require_finite()
    folder.require_begun()
    save_state(folder.state, training.state())
    raise Stopped(
        f"{reason}: saved after step {training.steps} of {training.total_steps} in {folder.path}; "
        f"the same command with --resume goes on"
    )
