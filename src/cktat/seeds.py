"""Seeds by name: the seed of anything random is a function of what it is for, so no generator state is ever saved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

import torch
from torch import Tensor

Part = tuple[int, int]
"""(which, of how many) equal, consecutive parts of a batch. What is random is drawn for the whole batch and cut, so that
the parts together are the batch that one process would have."""

WHOLE: Part = (0, 1)


def derive(seed: int, *what: int | str) -> int:
    """A 63-bit seed for one purpose, e.g. `derive(seed, "order", epoch)`; the same on every machine, in every version.

    Different purposes give unrelated seeds, so that no two random streams of a run share their draws.
    """
    # JSON keeps 1, "1" and (1, 1), (11,) apart, which joining strings would not.
    text = json.dumps([seed, *what])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *what: int | str) -> torch.Generator:
    """A CPU generator seeded by `derive`. Draw on the CPU and move the draws: a GPU's own generator draws others."""
    return torch.Generator().manual_seed(derive(seed, *what))


def drawn(
    random: Callable[..., Tensor],
    shape: tuple[int, ...],
    dtype: torch.dtype,
    draws: torch.Generator,
    part: Part = WHOLE,
) -> Tensor:
    """`random` numbers (torch.rand, torch.randn) for a part of a batch, cut from the whole batch's.

    shape: the part's, [N / parts, ...]. On the device of `draws`.
    """
    whole = (shape[0] * part[1], *shape[1:])
    return cut(random(whole, generator=draws, device=draws.device, dtype=dtype), part)


def fetched(draws: Tensor, device: torch.device) -> Tensor:
    """`draws` on `device`. A GPU fetches them from pinned memory by itself: the host goes on without waiting."""
    if device.type == "cuda" and draws.device.type == "cpu":
        return draws.pin_memory().to(device, non_blocking=True)
    return draws.to(device)


def cut(whole: Tensor, part: Part) -> Tensor:
    """The rows of `whole` [N, ...] that are of a part [N / parts, ...]."""
    which, parts = part
    own = len(whole) // parts
    return whole[which * own : (which + 1) * own]
