"""Carries tasks out in an order that their needs allow. A failure stays where it is, and a stop leaves the rest for later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass

from cktat.errors import CktatError, one_line
from cktat.grid.tasks import Ended, Key, Task
from cktat.grid.workers import workers
from cktat.runs import Stop, Stopped, Waiting

ATTEMPTS = 3
"""How often a task is begun whose worker was killed."""


@dataclass(frozen=True)
class GridOutcome:
    """failures: why a task failed, also for want of another; stopped: why the grid ended early, None if it did not."""

    failures: dict[Key, str]
    stopped: str | None = None

    def require_all(self, tasks: int, what: str = "runs") -> None:
        """Raises CktatError if one of so many tasks failed, naming the first, and Stopped if the grid was asked to stop."""
        if self.failures:
            (label, _), why = next(iter(self.failures.items()))
            raise CktatError(f"{len(self.failures)} of {tasks} {what} failed: {label}: {why}")
        if self.stopped:
            raise Stopped(f"{self.stopped}; the same command goes on")


def execute(
    tasks: Iterable[Task],
    *,
    jobs: int = 1,
    on: str = "here",
    stop_after: float | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> GridOutcome:
    """Carries out tasks, given in an order in which each comes after its needs, on `jobs` workers.

    on: "here", or "ray". stop_after: seconds. Raises CktatError for a place that there is not.
    """
    waiting = {task.key: task for task in tasks}
    total, finished = len(waiting), 0
    running: dict[Future[Ended], Task] = {}
    failures: dict[Key, str] = {}
    deaths: Counter[Key] = Counter()
    waits: dict[Key, Waiting] = {}
    reason: str | None = None
    if not waiting:
        return GridOutcome({})
    with Stop(stop_after) as stop, workers(jobs, on, stop) as them:
        while waiting or running:
            if reason is None and (reason := stop.now()):
                them.end()
            if reason is not None:
                waiting.clear()
            for task in _ready(waiting, running, failures, them.slots):
                running[them.submit(task)] = task
            for task in _in_vain(waiting, failures):
                finished += 1
                if task.key[1] is None:  # of measurements that fail with their run, the run has been spoken of
                    say(f"{finished}/{total} {task.label}: {failures[task.key]}")
            for future in wait(running, timeout=1, return_when=FIRST_COMPLETED).done:
                task = running.pop(future)
                ended = _ended(future, task, deaths)
                if ended.how == "stopped":
                    reason = reason or stop.now() or ended.text
                elif ended.how == "busy":
                    waiting[task.key] = task  # after all the others
                    if ended.text:
                        waits.setdefault(task.key, Waiting(say)).note(f"{ended.text} ({task.label})")
                else:
                    finished += 1
                    if ended.how == "failed":
                        failures[task.key] = ended.text
                    say(f"{finished}/{total} {task.label}: {ended.text}")
    return GridOutcome(failures, reason)


def _ready(
    waiting: dict[Key, Task], running: dict[Future[Ended], Task], failures: dict[Key, str], slots: int
) -> list[Task]:
    """Takes out of `waiting` the tasks that can begin now, as many as there is room for."""
    open_ = {*waiting, *(task.key for task in running.values()), *failures}
    free = [task for task in waiting.values() if not open_.intersection(task.needs)][: max(slots - len(running), 0)]
    return [waiting.pop(task.key) for task in free]


def _in_vain(waiting: dict[Key, Task], failures: dict[Key, str]) -> list[Task]:
    """Takes out of `waiting` the tasks that need one that failed, and notes why they fail, too."""
    lost = []
    for key, task in list(waiting.items()):
        broken = next((need for need in task.needs if need in failures), None)
        if broken is not None:
            own = broken[0] == key[0]
            failures[key] = failures[broken] if own else f"it needs a run that failed: {failures[broken]}"
            lost.append(waiting.pop(key))
    return lost


def _ended(future: Future[Ended], task: Task, deaths: Counter[Key]) -> Ended:
    try:
        return future.result()
    except Exception as error:  # its process was killed, or its machine is gone
        deaths[task.key] += 1
        if deaths[task.key] < ATTEMPTS:
            return Ended("busy")
        why = f"{type(error).__name__}: {one_line(error)}"
        return Ended("failed", f"its worker ended {ATTEMPTS} times without an answer ({why})")
