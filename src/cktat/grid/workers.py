"""Who carries out tasks: this process, several processes of this machine, or a Ray cluster. All give the same numbers."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol

from cktat.errors import CktatError
from cktat.grid.tasks import Ended, Task, work
from cktat.runs import Stop, device_of

PLACES = ("here", "ray")
GRACE = 60
"""Seconds that a worker whose grid is gone has to save its run."""


class Workers(AbstractContextManager["Workers"], Protocol):
    """Takes up to `slots` tasks at a time. `end` asks those at work to save and stop."""

    slots: int

    def submit(self, task: Task) -> Future[Ended]: ...
    def end(self) -> None: ...


def workers(jobs: int, on: str, stop: Stop) -> Workers:
    """Raises CktatError for an unknown place, or where Ray is not installed."""
    if on not in PLACES:
        raise CktatError(f"a grid runs on {' or '.join(PLACES)}, not on {on!r}")
    return OnRay(jobs, stop) if on == "ray" else Here(stop) if jobs == 1 else Processes(jobs, stop)


class Here:
    """This process: a task is done when `submit` returns."""

    slots = 1

    def __init__(self, stop: Stop) -> None:
        self.stop = stop

    def submit(self, task: Task) -> Future[Ended]:
        done: Future[Ended] = Future()
        done.set_result(work(task, self.stop))
        return done

    def end(self) -> None: ...

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None: ...


class Processes:
    """`jobs` processes of this machine, each a pool of its own: one that is killed takes its own task with it and no other's,
    and is started anew."""

    def __init__(self, jobs: int, stop: Stop) -> None:
        self.slots, self.stop = jobs, stop
        self.others = set(multiprocessing.active_children())
        self.pools: list[tuple[ProcessPoolExecutor, Future[Ended] | None]] = [(_pool(), None) for _ in range(jobs)]

    def submit(self, task: Task) -> Future[Ended]:
        place = next(i for i, (_, at_work) in enumerate(self.pools) if at_work is None or at_work.done())
        pool = self.pools[place][0]
        try:
            future = pool.submit(_work, task, self.stop.left)
        except BrokenProcessPool:
            pool = _pool()
            future = pool.submit(_work, task, self.stop.left)
        self.pools[place] = pool, future
        return future

    def end(self) -> None:
        for process in set(multiprocessing.active_children()) - self.others:
            process.terminate()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.end()
        for pool, _future in self.pools:
            pool.shutdown(cancel_futures=True)


def _pool() -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=_alone, initargs=(os.getpid(),))


class OnRay:
    """A Ray cluster: the one at RAY_ADDRESS, otherwise one of `jobs` workers on this machine. A task has a GPU of its own
    where there are GPUs, as many CPUs as its run has threads, and is begun again where its machine is lost."""

    slots = 10_000  # Ray itself knows when there is room

    def __init__(self, jobs: int, stop: Stop) -> None:
        try:
            import ray
        except ImportError:
            raise CktatError("--on ray needs Ray; install it with: pip install 'cktat[cluster]'") from None
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self.ray, self.stop = ray, stop
        self.refs: list[Any] = []
        address = os.environ.get("RAY_ADDRESS")
        where: dict[str, Any] = {"address": address} if address else {"num_cpus": jobs, "include_dashboard": False}
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
        self.remote = ray.remote(max_retries=3)(_on_ray)

    def submit(self, task: Task) -> Future[Ended]:
        gpus = int(bool(self.ray.cluster_resources().get("GPU")) and task.device != "cpu")
        ref = self.remote.options(num_cpus=task.threads, num_gpus=gpus).remote(task, self.stop.left)
        self.refs.append(ref)
        return ref.future()

    def end(self) -> None:
        for ref in self.refs:
            self.ray.cancel(ref)  # what is at work hears an interrupt

    def __enter__(self) -> OnRay:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.ray.shutdown()


_AT_WORK = threading.Lock()


def _work(task: Task, seconds: float | None) -> Ended:
    with _AT_WORK, Stop(seconds) as stop:
        return work(task, stop)


def _on_ray(task: Task, seconds: float | None) -> Ended:
    device = task.device if task.device == "cpu" else str(device_of("auto"))  # Ray has chosen which one
    return _work(task.on(device), seconds)


def _alone(parent: int) -> None:
    """A worker hears of a stop from its grid alone, not from the terminal too, and does not outlive it for long."""
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # between tasks; a task hears it

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)
        _AT_WORK.acquire(timeout=GRACE)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
