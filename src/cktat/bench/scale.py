"""How the cost of training grows: with the attack's steps, network, batch, images, epochs and processes.

Each axis is measured in turns, one training step after the other, so that a machine that slows down slows all of them.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import statistics
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from cktat.bench.pieces import Piece, network_of, random_images, training_of
from cktat.bench.steps import flops, in_turns, timed
from cktat.data import Batch
from cktat.runs import World, commit, device_of, hardware, versions
from cktat.training import Training

STEPS = (5, 10, 20)
BATCHES = (16, 32, 64, 128)
STEPS_OF_A_RUN = ((1, 1), (2, 1), (4, 1), (2, 2))
"""(batches of an epoch, epochs)."""
MODELS = {"small": 64, "resnet18": 8, "preactresnet18": 8, "wrn34-10": 2}
"""Architectures, each with images per step."""
PROCESSES = (1, 2)


def scale(
    design: str = "cktat",
    *,
    model: str = "small",
    batch_size: int = 64,
    trials: int = 3,
    device: str = "auto",
    precision: str = "auto",
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Times training steps of `design` along every axis, in `trials` turns after one that does not count.

    What is not varied is `model`, `batch_size` and 10 attack steps. Returns a record of JSON values; the processes of the
    last axis share one batch of `batch_size` images, each on one thread.
    """
    where = device_of(device)

    def step(
        axis: str, value: object, model: str, batch_size: int, run: tuple[int, int] = (1, 1), **options: Any
    ) -> Piece:
        batches, epochs = run
        training = training_of(
            design,
            random_images(batch_size * batches),
            model,
            batch_size,
            str(where),
            precision,
            epochs=epochs,
            **options,
        )
        batch = next(training.batches.epoch(0))
        cost = flops(lambda: training.update(batch, *training.attack(batch))) * batches * epochs
        found = training.config.precision
        work = _repeated(training)
        return Piece(f"{axis}: {value}", work, batch_size * batches * epochs, cost, found)

    pieces = [
        *(step("attack steps", steps, model, batch_size, steps=steps) for steps in STEPS),
        *(step("batch size", size, model, size) for size in BATCHES),
        *(step("images x epochs", f"{n * batch_size} x {e}", model, batch_size, (n, e)) for n, e in STEPS_OF_A_RUN),
        *(step("network", f"{name}, batch {size}", name, size) for name, size in MODELS.items()),
    ]
    in_turns(pieces, trials, where, say)
    rows = [_row(piece.name, piece.seconds, piece.images, piece.flops) for piece in pieces]
    if where.type == "cpu":
        for processes, seconds in _processes(design, model, batch_size, precision, trials):
            rows.append(_row(f"processes: {processes}", seconds, batch_size, None))
            say(f"{processes} processes")
    return {
        "design": design,
        "model": model,
        "batch_size": batch_size,
        "precision": pieces[0].precision,
        "trials": trials,
        "rows": rows,
        "forward_gflop_per_image": {name: _forward(name) / 1e9 for name in MODELS},
        "hardware": hardware(where),
        "versions": versions(),
        "commit": commit(),
    }


def _repeated(training: Training) -> Callable[[], None]:
    def work() -> None:
        for epoch in range(training.config.recipe.epochs):
            for batch in training.batches.epoch(epoch):
                training.step(batch)
        training.steps = 0

    return work


def _row(name: str, seconds: list[float], images: int, cost: float | None) -> dict[str, Any]:
    median = statistics.median(seconds)
    return {
        "name": name,
        "seconds": median,
        "trials": seconds,
        "images_per_second": images / median,
        "gflop": cost and cost / 1e9,
        "gflop_per_second": cost and cost / median / 1e9,
    }


def _forward(model: str) -> float:
    """FLOPs of one image's forward pass (2 per multiply-add)."""
    network = network_of(model, 0).eval()
    with torch.no_grad():
        return flops(lambda: network(torch.zeros(1, 3, 32, 32)))


def _processes(
    design: str, model: str, batch_size: int, precision: str, trials: int
) -> Iterator[tuple[int, list[float]]]:
    spawn = multiprocessing.get_context("spawn")
    for size in PROCESSES:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        results = spawn.Queue()
        arguments = (size, port, results, design, model, batch_size, precision, trials)
        together = [spawn.Process(target=_one_of, args=(rank, *arguments)) for rank in range(size)]
        for process in together:
            process.start()
        yield size, max((results.get() for _ in together), key=statistics.median)
        for process in together:
            process.join()


def _one_of(
    rank: int, size: int, port: int, results: Any, design: str, model: str, batch_size: int, precision: str, trials: int
) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    training = training_of(
        design, random_images(batch_size), model, batch_size, "cpu", precision, World.here().join(), threads=1
    )
    batches: Iterable[Batch] = (batch for epoch in range(trials + 1) for batch in training.batches.epoch(epoch))
    seconds = [timed(lambda batch=batch: training.step(batch), training.device) for batch in batches]  # type: ignore[misc]
    results.put(seconds[1:])
