"""How fast training is, against the machine's own ceiling and a plain step in the style of the released scripts.

What is compared is timed in turns - A B A B - and judged by ratios of medians, so that a machine that slows down slows
down both. Nothing here decides anything about how a run computes.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from cktat.attacks import named
from cktat.bench.pieces import Piece, loop_of_a_user, plain_step, random_images, training_of
from cktat.bench.plain import PLAIN
from cktat.data import Batch, Batches
from cktat.runs import commit, device_of, hardware, versions
from cktat.runs.provenance import has_bf16
from cktat.training import Training


def bench(
    designs: Sequence[str] = ("pgd_at", "trades", "cktat"),
    *,
    model: str = "resnet18",
    batch_size: int = 64,
    trials: int = 5,
    attacks: Sequence[str] = ("pgd20", "cw"),
    device: str = "auto",
    precision: str = "auto",
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Times the attack and the update of one training step per design, plain steps, evaluation attacks, the data path and
    the machine's ceiling, in `trials` turns after one that does not count. Random images of CIFAR's shape.

    Returns a record of JSON values: medians in seconds, images per second, share of the ceiling, ratios to the plain step.
    """
    where = device_of(device)
    data = random_images(batch_size * 2)
    trainings = {name: training_of(name, data, model, batch_size, str(where), precision) for name in designs}
    some = next(iter(trainings.values()))
    batch = next(some.batches.epoch(0))
    pieces = _ceiling(where)
    for name, training in trainings.items():
        pieces += _steps(name, training, batch)
        pieces.append(loop_of_a_user(name, training, batch))
        if name in PLAIN:
            pieces.append(plain_step(name, training, batch))
    module = some.team.deployed.float()
    for name in attacks:
        attack = named(name)
        pieces.append(
            Piece(f"{name}, evaluation", lambda a=attack: a(module, batch.x, batch.y, eps=8 / 255), batch_size)  # type: ignore[misc]
        )
    loader = Batches(data.train, batch_size, augment="crop-flip", device=where)
    pieces.append(Piece("data path", lambda: next(loader.epoch(0)), batch_size))
    in_turns(pieces, trials, where, say)
    return _record(pieces, designs, model, batch_size, trials, where, some.config.precision)


def _steps(name: str, training: Training, batch: Batch) -> list[Piece]:
    views, known = training.attack(batch)
    attack = flops(lambda: training.attack(batch))
    update = flops(lambda: training.update(batch, views, known))
    images, precision = len(batch.y), training.config.precision

    def next_attack() -> None:  # of the next step, as in a training, where its starts may be drawn ahead
        training.steps = (training.steps + 1) % training.total_steps
        training.attack(batch)

    return [
        Piece(f"{name}, attack", next_attack, images, attack, precision),
        Piece(f"{name}, update", lambda: training.update(batch, views, known), images, update, precision),
        Piece(f"{name}, step", lambda: _step(training, batch), images, attack + update, precision),
    ]


def _step(training: Training, batch: Batch) -> None:
    training.steps %= training.total_steps - 1
    training.step(batch)


def in_turns(pieces: Sequence[Piece], trials: int, where: torch.device, say: Callable[[str], None]) -> None:
    """Times every piece once per turn, A B A B, so that what else the machine does meets them all; one turn does not count."""
    for trial in range(trials + 1):
        for piece in pieces:
            seconds = timed(piece.work, where)
            if trial:
                piece.seconds.append(seconds)
        say(f"turn {trial + 1} of {trials + 1}")


def flops(work: Callable[[], object]) -> float:
    """Floating-point operations of the matrix products and convolutions in `work`, forward and backward.

    PyTorch's own FlopCounterMode follows modules with hooks that do not allow `autograd.grad`, so its formulas are summed
    here without them.
    """
    counter = _Flops()
    with counter:
        work()
    return counter.total


class _Flops(TorchDispatchMode):
    total = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


def _ceiling(device: torch.device) -> list[Piece]:
    size = 8192 if device.type == "cuda" else 2048
    pieces = []
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))[: 1 + has_bf16(device)]:
        a = torch.randn(size, size, device=device).to(dtype)
        pieces.append(Piece(f"matrix product, {name}", lambda a=a: a @ a, 0, 2.0 * size**3, name))  # type: ignore[misc]
    return pieces


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that `work` takes, the GPU's part of it included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def _record(
    pieces: Sequence[Piece],
    designs: Sequence[str],
    model: str,
    batch_size: int,
    trials: int,
    device: torch.device,
    precision: str,
) -> dict[str, Any]:
    by_name = {piece.name: piece for piece in pieces}
    ceiling = [piece for piece in pieces if piece.name.startswith("matrix product")]
    best = {piece.precision: (piece.flops or 0.0) / piece.median for piece in ceiling}
    rows = []
    for piece in pieces:
        rate = piece.flops / piece.median if piece.flops else None
        rows.append(
            {
                "name": piece.name,
                "seconds": piece.median,
                "trials": piece.seconds,
                "images_per_second": piece.images / piece.median if piece.images else None,
                "gflop_per_second": rate and rate / 1e9,
                "share_of_ceiling": rate / best[piece.precision] if rate and piece.precision in best else None,
            }
        )
    ratios, of_users = {}, {}
    for name in designs:
        theirs, own = (by_name[f"{name}, {what}"].median for what in ("loss in a loop of your own", "step"))
        of_users[name] = theirs / own
        if f"{name}, plain step" in by_name:
            pairs = zip(
                by_name[f"{name}, plain step"].seconds,
                by_name[f"{name}, attack"].seconds,
                by_name[f"{name}, update"].seconds,
                strict=True,
            )
            turns = [(plain, attack + update) for plain, attack, update in pairs]
            ratios[name] = statistics.median(p for p, _ in turns) / statistics.median(f for _, f in turns)
    memory = (
        torch.cuda.max_memory_allocated(device)
        if device.type == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    return {
        "model": model,
        "batch_size": batch_size,
        "precision": precision,
        "trials": trials,
        "rows": rows,
        "plain_over_ours": ratios,
        "loop_of_your_own_over_ours": of_users,
        "peak_memory_bytes": memory,
        "hardware": hardware(device),
        "versions": versions(),
        "commit": commit(),
    }
