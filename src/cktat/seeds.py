"""Seeds by name: the seed of anything random is a function of what it is for, so no generator state is ever saved."""

from __future__ import annotations

import hashlib
import json

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


def cut(whole: Tensor, part: Part) -> Tensor:
    """The rows of `whole` [N, ...] that are of a part [N / parts, ...]."""
    which, parts = part
    own = len(whole) // parts
    return whole[which * own : (which + 1) * own]
