"""Processor time of a PGD-AT step with and without folded BatchNorm in its attack, in turns, and of each convolution.

OMP_NUM_THREADS=1 python results/bench/folding.py MODEL PRECISION BATCH STEPS TURNS > RECORD.json
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from cktat.bench.pieces import random_images, training_of
from cktat.bench.trace import flops
from cktat.training import views


def seconds(work: Callable[[], object]) -> float:
    """Of the processor, whatever else the machine does meanwhile."""
    began = time.process_time()
    work()
    return time.process_time() - began


@contextmanager
def as_it_is(*modules: object) -> Iterator[None]:
    yield


def measured(model: str, precision: str, batch_size: int, steps: int, turns: int) -> dict[str, Any]:
    """Seconds of each turn, and the matrix rate that each reaches as a share of a product's of 2048 x 2048."""
    training = training_of("pgd_at", random_images(batch_size), model, batch_size, "cpu", precision, steps=steps)
    batch, folding = next(training.batches.epoch(0)), views.folding
    found, known = training.attack(batch)
    factor = torch.rand(2048, 2048, dtype=torch.bfloat16 if precision == "bf16" else torch.float32)
    works: dict[str, Callable[[], object]] = {
        "attack, BatchNorm apart": lambda: training.attack(batch),
        "attack": lambda: training.attack(batch),
        "update": lambda: training.update(batch, found, known),
        "matrix product": lambda: factor @ factor,
    }
    spent: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(turns):
        for name, work in works.items():
            views.folding = as_it_is if "apart" in name else folding
            spent[name].append(seconds(work))
    asked = {name: flops(work) for name, work in works.items()}
    rates = {name: asked[name] / statistics.median(took) for name, took in spent.items()}
    ceiling = rates["matrix product"]
    return {
        "model": model, "precision": precision, "batch_size": batch_size, "attack_steps": steps, "threads": 1,
        "torch": torch.__version__, "seconds": spent, "gflop_per_second_of_the_product": ceiling / 1e9,
        "share_of_the_product": {name: rate / ceiling for name, rate in rates.items()},
    }  # fmt: skip


if __name__ == "__main__":
    name, bits, *numbers = sys.argv[1:]
    print(json.dumps(measured(name, bits, *map(int, numbers)), indent=1))
