"""How processes of one run find each other: at one port, where each says that it is here and looks who is missing."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable
from datetime import timedelta

import torch.distributed as dist

from cktat.errors import CktatError, one_line
from cktat.runs.stopping import Stop, Stopped, Waiting

PAUSE = 0.2
"""Seconds between two looks."""


class Lost(CktatError):
    """Another process of the run ended or does not answer."""

    exit_code = 1


def meet(rank: int, size: int, within: timedelta, stop: Stop, say: Callable[[str], None]) -> dist.Store:
    """The store that all `size` processes share, once all are there. torch would wait inside of itself, where no signal is
    heard; here it is done look by look.

    Raises Stopped when asked to stop, Lost if not all come in time, and CktatError if the port is in use or not named.
    """
    host, port = _address()
    where, waiting, until = f"port {port} of {host}", Waiting(say), time.monotonic() + within.total_seconds()

    def pause(missing: str) -> None:
        if reason := stop.now():
            raise Stopped(f"{reason}: process {rank} of {size} no longer waits for {missing}; nothing was begun")
        if time.monotonic() >= until:
            raise Lost(f"process {rank} of {size} waited {within.total_seconds() / 60:.0f} minutes for {missing}")
        waiting.note(missing)
        time.sleep(PAUSE)

    # torchrun keeps the port itself; without it, the first process does
    keeps = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    if keeps:
        _require_free(port)
    else:
        while not _answers(host, port):
            pause(f"process 0, at {where}")
    try:
        store: dist.Store = dist.TCPStore(
            host, port, size, is_master=keeps, timeout=within, wait_for_workers=False, multi_tenant=True
        )
        store = dist.PrefixStore(f"attempt/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
        store.set(f"here/{rank}", "")
        while missing := [other for other in range(size) if not store.check([f"here/{other}"])]:
            pause(f"process {', '.join(map(str, missing[:4]))}{', ...' if missing[4:] else ''} of {size}, at {where}")
    except RuntimeError as error:
        raise Lost(f"process {rank} of {size} lost the others, whom it meets at {where}: {one_line(error)}") from None
    return store


def _address() -> tuple[str, int]:
    try:
        return os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    except (KeyError, ValueError):
        raise CktatError(
            "several processes meet at MASTER_ADDR and MASTER_PORT, a host and a number, which torchrun sets"
        ) from None


def _require_free(port: int) -> None:
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise CktatError(
            f"port {port} of this machine is in use by another program, perhaps another run; choose another one with "
            f"--master-port of torchrun, or MASTER_PORT"
        ) from None


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
