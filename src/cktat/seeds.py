"""Seeds by name: the seed of anything random is a function of what it is for, so no generator state is ever saved."""

from __future__ import annotations

import hashlib
import json

import torch


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
