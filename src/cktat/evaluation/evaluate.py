"""Measuring a run: every attack is one result file, and what is measured already is not measured again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_safetensors

from cktat.attacks import Attack, named
from cktat.data import ordered
from cktat.errors import CktatError
from cktat.evaluation.measure import flags, predict, true_fp32
from cktat.evaluation.result import CLEAN, Result
from cktat.evaluation.subject import Subject
from cktat.training import World, commit, hardware, read_json, versions, write_atomic, write_json

STANDARD_ATTACKS = ("pgd20", "pgd100", "mim", "cw")

CURVE = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Radii of the accuracy curve, as multiples of eps."""

Watch = Callable[[str, int, int, int], None]
"""(attack, images done, images right so far, images in all)."""


def evaluate(
    subject: Subject,
    attacks: Sequence[str] = STANDARD_ATTACKS,
    *,
    examples: int | None = None,
    eps: float | None = None,
    batch_size: int = 250,
    seed: int = 0,
    watch: Watch = lambda *_: None,
    say: Callable[[str], None] = lambda text: None,
    world: World = World(),
) -> list[Result]:
    """Clean accuracy and accuracy under every attack on the first `examples` test images (None: all), in that order.

    eps None is the radius the run was trained for. Each result is written to the run's results/ as soon as it is there;
    one that is there already for the same weights and protocol is read instead. Of several processes the first writes.
    Raises CktatError for unknown attacks.
    """
    # all names are known before the first minute is spent
    found = world.together(lambda: {name: named(name) for name in attacks})
    data, device = subject.data, next(subject.module.parameters()).device
    if examples is not None and not 1 <= examples <= len(data.test):
        raise CktatError(f"cannot evaluate {examples} images: the test set of {data.name!r} has {len(data.test)}")
    split = data.test if examples is None else data.test.first(examples)
    radius = subject.card["eps"] if eps is None else eps
    results = []
    for name in (CLEAN, *found):
        attack = found.get(name)
        protocol = _protocol(attack, subject.norm, radius, len(split), batch_size, seed)
        path = subject.run.results / f"{subject.pick}-{name}{suffix(subject, eps, examples)}.json"
        old = world.once(partial(_measured, path, protocol, subject))
        if old is not None:
            say(f"{name}: measured already, in {path}")
            results.append(old)
            continue
        started = time.perf_counter()
        right = flags(
            subject.module,
            split,
            attack,
            eps=radius,
            levels=data.levels,
            box=data.box,
            norm=subject.norm,
            batch_size=batch_size,
            seed=seed,
            device=device,
            say=lambda done, ok, name=name: watch(name, done, ok, len(split)),  # type: ignore[misc]
            world=world,
        )
        provenance = subject.provenance() | {
            "commit": commit(),
            "versions": versions(),
            "hardware": hardware(device, world.size),
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": round(time.perf_counter() - started, 3),
        }
        text = "".join("1" if flag else "0" for flag in right.tolist())
        result = Result(name, text, tuple(split.labels.tolist()), data.classes, protocol, provenance)
        world.once(partial(result.write, path))
        results.append(result)
    return results


def _measured(path: Path, protocol: dict[str, Any], subject: Subject) -> Result | None:
    if not path.is_file():
        return None
    old = Result.read(path)
    same = old.protocol == protocol and old.provenance["weights_sha256"] == subject.card["weights_sha256"]
    return old if same else None


def suffix(subject: Subject, eps: float | None, examples: int | None) -> str:
    """How names of files end: a run's plain ones are of its own radius and all test images, others say what differs."""
    own, all_ = eps in (None, subject.card["eps"]), examples in (None, len(subject.data.test))
    return ("" if own else f"-eps{eps:.5f}") + ("" if all_ else f"-first{examples}")


def _protocol(attack: Attack | None, norm: str, eps: float, images: int, batch_size: int, seed: int) -> dict[str, Any]:
    common = {"test_images": images, "batch_size": batch_size, "seed": seed, "precision": "fp32"}
    if attack is None:
        return common
    return common | {
        "norm": norm,
        "eps": eps,
        "step": attack.step * eps,
        "steps": attack.steps,
        "start": attack.start,
        "restarts": attack.restarts,
    }


def for_report(
    subject: Subject,
    *,
    images: int = 500,
    shown: int = 8,
    batch_size: int = 250,
    seed: int = 0,
    world: World = World(),
) -> None:
    """Writes what the report draws into results/: accuracy at several radii on the first `images`, and `shown` pictures.

    Both are left alone where they are there for the same weights.
    """
    path, weights = subject.run.results / f"{subject.pick}-curve.json", subject.card["weights_sha256"]
    if world.once(lambda: path.is_file() and read_json(path).get("weights_sha256") == weights):
        return
    world.once(lambda: _pictures(subject, shown, seed))
    curve = _curve(subject, images, batch_size, seed, world)
    world.once(lambda: write_json(path, curve))  # last, because its presence says that all is there


def _curve(subject: Subject, images: int, batch_size: int, seed: int, world: World) -> dict[str, Any]:
    data = subject.data
    split = data.test.first(min(images, len(data.test)))
    device = next(subject.module.parameters()).device
    widest = data.box[1] - data.box[0] if data.box and subject.norm == "Linf" else math.inf
    radii = [factor * subject.card["eps"] for factor in CURVE if factor * subject.card["eps"] <= widest]
    right = [
        flags(
            subject.module,
            split,
            named("pgd20") if eps else None,
            eps=eps,
            levels=data.levels,
            box=data.box,
            norm=subject.norm,
            batch_size=batch_size,
            seed=seed,
            device=device,
            world=world,
        )
        for eps in radii
    ]
    correct = [int(flag.sum()) for flag in right]
    return {"attack": "pgd20", "images": len(split), "eps": radii, "correct": correct} | subject.provenance()


def _pictures(subject: Subject, shown: int, seed: int) -> None:
    """The first test images that are classified rightly (the first of all, where none is), with their PGD-20 examples."""
    data, device = subject.data, next(subject.module.parameters()).device
    batch = next(iter(ordered(data.test, min(500, len(data.test)), levels=data.levels, device=device)))
    with true_fp32():
        right = (predict(subject.module, batch.x) == batch.y).nonzero().flatten()
        chosen = (right if len(right) else torch.arange(len(batch.y), device=device))[:shown]
        x, y = batch.x[chosen], batch.y[chosen]
        moved = named("pgd20")(
            subject.module, x, y, eps=subject.card["eps"], box=data.box, norm=subject.norm, seed=seed
        )
        before, after = predict(subject.module, x), predict(subject.module, moved)
    tensors = {"x": x, "x_adv": moved, "y": y, "before": before, "after": after, "index": batch.index[chosen]}
    content = to_safetensors(
        {name: tensor.cpu().contiguous() for name, tensor in tensors.items()},
        {"weights_sha256": subject.card["weights_sha256"]},
    )
    write_atomic(subject.run.results / f"{subject.pick}-pictures.safetensors", content)
