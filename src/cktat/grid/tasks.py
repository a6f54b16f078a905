"""What a worker does at a time: train one run, or measure one. Small enough to be sent to another process or machine."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Literal

import torch

from cktat.api.progress import Silent
from cktat.api.runner import Runner
from cktat.api.store import Store
from cktat.data import Dataset, load
from cktat.errors import CktatError, one_line
from cktat.evaluation import evaluate, load_subject, measured
from cktat.grid.graph import Measurement, graph
from cktat.runs import Busy, RunConfig, Stop, Stopped, code_of, device_of
from cktat.runs.config import Threat
from cktat.usercode import blamed, own

BATCH_SIZE = 500
"""Images at a time in an evaluation. Random starts are drawn per batch, so it is part of a result's protocol."""

Key = tuple[str, Measurement | None]
"""A run's identity, and what is measured of it; None is its training."""


@dataclass(frozen=True)
class Task:
    """Trains a run, or measures it. `fingerprint` is that of the data; `needs` are tasks that must be done before.

    root: the configuration that was asked for; a training may be that of a run it needs. ball: where attacks that measure
    stay; None for a training.
    """

    key: Key
    label: str
    needs: tuple[Key, ...]
    root: RunConfig
    fingerprint: str
    store: str
    ball: Threat | None = None


@dataclass(frozen=True)
class Ended:
    """How a task ended: `busy` is that another process is at it, `stopped` that it was told to."""

    how: Literal["done", "failed", "busy", "stopped"]
    text: str = ""


def work(task: Task, stop: Stop) -> Ended:
    """Carries a task out. Whatever goes wrong is an answer, so that the other tasks of a grid go on."""
    try:
        torch.set_num_threads(task.root.threads)
        with blamed():
            _train_or_measure(task, stop)
    except Busy as busy:
        time.sleep(1)  # before this task, or another, is tried again
        return Ended("busy", str(busy))
    except Stopped as error:
        return Ended("stopped", str(error))
    except CktatError as error:
        return Ended("failed", str(error))
    except Exception as error:  # of memory, of a driver, of our own: the place and the traceback are needed to mend it
        traceback.print_exc()
        return Ended("failed", f"{type(error).__name__}: {one_line(error)}")
    return Ended("done")


def _train_or_measure(task: Task, stop: Stop) -> None:
    identity, measurement = task.key
    for spec in code_of(task.root, None):  # who asked for the grid has named it; this may be another machine
        own(spec)
    data = _data(task.root.data, task.root.root, task.root.examples, task.fingerprint)
    store = Store(task.store, say=lambda text: None)
    if measurement is None:
        run = graph([task.root], data)[identity]
        runner = Runner(store, stop, Silent(), lambda text: None)
        runner.train(run.config, data, design=run.design, ensure=True, wait=False)
        return
    folder = store.find(identity)
    if folder is None:
        raise CktatError(f"{store.root} does not hold {task.label}; all machines must see the same store")
    device = device_of(task.root.device)
    subject = load_subject(folder, measurement.weights, None, device, data)
    images, ball = None if measurement.images == len(data.test) else measurement.images, task.ball
    assert ball is not None
    if subject.norm != ball.norm:
        raise CktatError(
            f"{folder.path} is a run beside {subject.norm}, to be measured in {ball.norm}; use another --store"
        )

    # what is there under another protocol (AutoAttack in its authors' batches) counts, and stays
    there = partial(measured, folder, measurement.weights, images=images, eps=ball.eps, norm=ball.norm)
    missing = [name for name in measurement.attacks if there(name) is None]
    evaluate(
        subject, missing, test_images=images, eps=ball.eps, batch_size=BATCH_SIZE, mode="packed", stop=stop, wait=False,
    )  # fmt: skip


@lru_cache(maxsize=1)
def _data(spec: str, root: str | None, examples: int | None, fingerprint: str) -> Dataset:
    data = load(spec, root).subset(examples)
    if data.fingerprint != fingerprint:
        raise CktatError(f"data {spec!r} is not what the grid began with; its content has changed")
    return data
