"""What a worker does at a time: train one run of a grid, or measure one."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Literal, Protocol

import torch

from cktat.api.runner import Runner
from cktat.api.store import Store
from cktat.data import Dataset, load
from cktat.errors import CktatError, one_line
from cktat.evaluation import evaluate, load_subject, measured
from cktat.grid.graph import Measurement, graph
from cktat.runs import Busy, RunConfig, RunFolder, Stop, Stopped, code_of, device_of
from cktat.schema import Threat
from cktat.training import Callback
from cktat.usercode import blamed, own

BATCH_SIZE = 500
"""Images at a time in an evaluation. Random starts are drawn per batch, so it is part of a result's protocol."""

Key = tuple[str, Measurement | None]
"""A run's identity, and what is measured of it; None is its training."""


class Task(Protocol):
    """What can be carried out here, or sent to another process or machine and carried out there.

    key: what it is known by; needs: keys of tasks that must be done before. threads: on so many it computes.
    """

    @property
    def key(self) -> Key: ...
    @property
    def label(self) -> str: ...
    @property
    def needs(self) -> tuple[Key, ...]: ...
    @property
    def device(self) -> str: ...
    @property
    def threads(self) -> int: ...

    def on(self, device: str) -> Task:
        """The same, on the device that a worker has."""
        ...

    def carry_out(self, stop: Stop) -> str:
        """Does it, or what is left of it, and says what was done. Raises Busy if another process is at it, and Stopped."""
        ...


@dataclass(frozen=True)
class Ended:
    """How a task ended: `busy` is that another process is at it, `stopped` that it was told to. text: what was done, or why
    it was not."""

    how: Literal["done", "failed", "busy", "stopped"]
    text: str = ""


def work(task: Task, stop: Stop) -> Ended:
    """Carries a task out. Whatever goes wrong is an answer, so that the other tasks of a grid go on."""
    try:
        torch.set_num_threads(task.threads)
        with blamed():
            return Ended("done", task.carry_out(stop))
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


@dataclass(frozen=True)
class RunTask:
    """Trains a run, or measures it. `fingerprint` is that of the data.

    root: the configuration that was asked for; a training may be that of a run it needs. ball: where attacks that measure
    stay; None for a training. trust_code: see `load_subject`.
    """

    key: Key
    label: str
    needs: tuple[Key, ...]
    root: RunConfig
    fingerprint: str
    store: str
    ball: Threat | None = None
    trust_code: bool = False

    @property
    def device(self) -> str:
        return self.root.device

    @property
    def threads(self) -> int:
        return self.root.threads

    def on(self, device: str) -> RunTask:
        return replace(self, root=self.root.model_copy(update={"device": device}))

    def carry_out(self, stop: Stop) -> str:
        identity, measurement = self.key
        for spec in code_of(self.root, None):  # who asked for the grid has named it; this may be another machine
            own(spec)
        data = _data(self.root.data, self.root.root, self.root.size, self.root.examples, self.fingerprint)
        store = Store(self.store, say=lambda text: None)
        if measurement is None:
            run = graph([self.root], data)[identity]
            runner = Runner(store, stop, Callback(), lambda text: None)
            runner.train(run.config, data, design=run.design, ensure=True, wait=False)
            return "trained"
        folder = store.find(identity)
        if folder is None:
            raise CktatError(f"{store.root} does not hold {self.label}; all machines must see the same store")
        self._measure(folder, measurement, data, stop)
        return "measured"

    def _measure(self, folder: RunFolder, measurement: Measurement, data: Dataset, stop: Stop) -> None:
        device = device_of(self.root.device)
        subject = load_subject(folder, measurement.weights, None, device, data, trust_code=self.trust_code)
        images, ball = None if measurement.images == len(data.test) else measurement.images, self.ball
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
def _data(spec: str, root: str | None, size: str | None, examples: int | None, fingerprint: str) -> Dataset:
    data = load(spec, root, size=size).subset(examples)
    if data.fingerprint != fingerprint:
        raise CktatError(f"data {spec!r} is not what the grid began with; its content has changed")
    return data
