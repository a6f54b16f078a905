"""Processes that train or evaluate together: who they are, how they speak, and that they end together.

Gradients are averaged in one message after the backward pass, not by DistributedDataParallel: a step passes several
times through a network (its cells), attacks it in eval mode without gradients for weights, trains up to two learners,
copies averages back and takes AWP's gradient outside of `backward`; DDP's hooks on one forward and one backward pass
fit none of these. What DDP hides behind the backward pass is little here: a PGD step computes several times more.
"""

from __future__ import annotations

import atexit
import importlib
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from cktat.errors import CktatError, one_line
from cktat.runs.locks import Busy
from cktat.runs.meeting import Lost, meet
from cktat.runs.stopping import Stop, Stopped, Waiting
from cktat.seeds import Part

T = TypeVar("T")
Say = Callable[[str], None]

TIMEOUT = timedelta(minutes=10)
"""How long a process waits for the others. One that was killed is noticed at once, one that hangs after this."""

PAUSE = 0.5
"""Seconds between two attempts to take a lock."""


@dataclass(frozen=True)
class World:
    """One of `size` processes that compute as one, number `rank`; `local` is its number on its machine.

    The default is a world of one process. It waits for no other, and each method does what its first line says.
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    @classmethod
    def here(cls) -> World:
        """The processes that `torchrun` started, this one among them; a world of one without it. See `join`."""
        named = [os.environ.get(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")]
        if None in named or int(named[1] or 1) == 1:
            return cls()
        return cls(*(int(number or 0) for number in named))

    def join(self, stop: Stop = Stop(), say: Say = lambda text: None) -> World:
        """Connects the processes; to be done before anything else is asked of them. They stay connected until they end.

        CPU tensors travel by gloo, a GPU's by nccl. Raises Stopped when asked to stop while it waits for the others, Lost if
        they do not come, and CktatError where the port that they meet at cannot be had.
        """
        if self.size > 1 and not dist.is_initialized():
            store = meet(self.rank, self.size, TIMEOUT, stop, say)
            cuda = torch.cuda.is_available() and dist.is_nccl_available()
            # Functions there keep the group of their import as a default, and optimisers import them. So kept, the group and
            # its threads outlive their end, and a thread that lets go of a tensor while Python ends aborts the process.
            importlib.import_module("torch.distributed.nn.functional")
            with self._speaking():
                dist.init_process_group(
                    "cpu:gloo,cuda:nccl" if cuda else "gloo",
                    store=store, rank=self.rank, world_size=self.size, timeout=TIMEOUT,
                )  # fmt: skip
            atexit.register(dist.destroy_process_group)
        return self

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files and prints."""
        return self.rank == 0

    @property
    def part(self) -> Part:
        """Which part of a batch is this process's."""
        return self.rank, self.size

    def device(self, name: str) -> torch.device:
        """The device that `name` means here: with several processes, "cuda" is the GPU of this process's number.

        Raises CktatError if there is none.
        """
        device = torch.device(name)
        if self.size == 1 or device.type != "cuda":
            return device
        if device.index is not None:
            raise CktatError(
                f"device {name!r} is one GPU for {self.size} processes; write cuda, and each takes its own"
            )
        if self.local >= torch.cuda.device_count():
            raise CktatError(
                f"process {self.local + 1} of this machine has no GPU ({torch.cuda.device_count()} are here); "
                f"start as many with --nproc-per-node"
            )
        own = torch.device("cuda", self.local)
        torch.cuda.set_device(own)
        return own

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor], *, exact: bool = False) -> None:
        """Replaces tensors by their means over the processes, in place: one message per type of number.

        exact: sums in double precision, so that what is equal everywhere stays as it is, however many processes there are.
        """
        if self.size == 1:
            return
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            same = [tensor for tensor in tensors if tensor.dtype == dtype]
            flat = torch.cat([tensor.reshape(-1) for tensor in same])
            flat = flat.double() if exact else flat
            with self._speaking():
                dist.all_reduce(flat)
            parts = (flat / self.size).to(dtype).split([tensor.numel() for tensor in same])
            torch._foreach_copy_(same, [part.view(like.shape) for part, like in zip(parts, same, strict=True)])

    def any(self, reason: str | None) -> str | None:
        """The reason of one of the processes that have one, the same everywhere. Waits for no GPU."""
        if self.size == 1:
            return reason
        some = torch.tensor(int(reason is not None))
        with self._speaking():
            dist.all_reduce(some, op=dist.ReduceOp.MAX)
        return next(filter(None, self.gather(reason))) if some else None

    def gather(self, own: T) -> list[T]:
        """What every process has, in the order of their ranks, everywhere."""
        if self.size == 1:
            return [own]
        found: list[Any] = [None] * self.size
        with self._speaking():
            dist.all_gather_object(found, own)
        return found

    def together(self, work: Callable[[], T]) -> T:
        """`work()` in every process; a CktatError or OSError in one of them is raised in all."""
        if self.size == 1:
            return work()
        value, error = _tried(work)
        for theirs in self.gather(error):
            if theirs is not None:
                raise theirs
        return value  # type: ignore[return-value]  # there is one where there was no error

    def once(self, work: Callable[[], T]) -> T:
        """`work()` in the first process only, and its value in all; so is a CktatError or OSError. The others wait."""
        if self.size == 1:
            return work()
        found: list[Any] = [_tried(work) if self.first else None]
        with self._speaking():
            dist.broadcast_object_list(found, src=0)
        value, error = found[0]
        if error is not None:
            raise error
        return value

    def patiently(self, take: Callable[[], T], stop: Stop, say: Say) -> T:
        """`take()` in the first process only, again and again while another run holds the lock that it takes.

        All wait together, and nobody inside of a lock, where no signal would be heard. Raises Stopped when asked to stop.
        """
        waiting = Waiting(say)
        while True:
            try:
                return self.once(take)
            except Busy as busy:
                if reason := self.any(stop.now()):
                    stopped = Stopped(f"{reason}: no longer waiting for {busy}; nothing was begun")
                    stopped.shared = True
                    raise stopped from None
                waiting.note(str(busy))
            time.sleep(PAUSE)

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            atexit.unregister(dist.destroy_process_group)  # it might wait for the one that is gone
            reason = re.sub(r"^\[\S+\] ", "", one_line(error)).partition(". ")[0]
            raise Lost(
                f"process {self.rank} of {self.size} lost another process ({reason}); what is saved is "
                f"whole: a training goes on from its last epoch with --resume, an evaluation when started again"
            ) from None


def _tried(work: Callable[[], T]) -> tuple[T | None, CktatError | OSError | None]:
    try:
        return work(), None
    except (CktatError, OSError) as error:
        error.shared = True  # type: ignore[union-attr]
        return None, error
