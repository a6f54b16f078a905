"""Measuring a run: every attack is one result file, and what is measured already is not measured again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch

from cktat.attacks import ATTACKS, SUITES, Attack, Mode, Standing, check_names, check_seed, named
from cktat.data import Split, ordered
from cktat.errors import CktatError, unknown
from cktat.evaluation import place
from cktat.evaluation.drawn import read_curve, write_pictures
from cktat.evaluation.measure import flags, predict, true_fp32
from cktat.evaluation.result import CLEAN, Result, ending
from cktat.evaluation.subject import Subject
from cktat.evaluation.suite import SuiteWatch, fallen
from cktat.runs import Stop, Stopped, World, commit, hardware, versions, write_sealed

STANDARD_ATTACKS = ("pgd20", "pgd100", "mim", "cw")

CURVE = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Radii of the accuracy curve, as multiples of eps."""

BATCH_SIZE = 250
"""Images at a time where nothing else is asked for."""

AttackWatch = Callable[[str, int, int, int], None]
"""(attack, images done, images right so far, images in all)."""


def evaluate(
    subject: Subject,
    attacks: Sequence[str] = STANDARD_ATTACKS,
    *,
    test_images: int | None = None,
    eps: float | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    mode: Mode | None = None,
    watch: AttackWatch = lambda *_: None,
    watch_suite: SuiteWatch = lambda name, standing: None,
    say: Callable[[str], None] = lambda text: None,
    stop: Stop = Stop(),
    wait: bool = True,
    world: World = World(),
) -> list[Result]:
    """Clean accuracy and accuracy under every attack on the first `test_images` of the test images (None: all), in that order.

    eps None is the radius the run was trained for. mode: how AutoAttack and its parts run. Each result is written to the
    run's results/ as soon as it is there; one that is there already for the same weights is read instead, and AutoAttack
    goes on where it was stopped. batch_size, seed and mode: None is what a result that is there was measured with, otherwise
    BATCH_SIZE, 0 and exact. Of several processes the first writes.
    Another evaluation that is at the same file is waited for, and its result read; wait False raises Busy then.
    Raises CktatError for unknown attacks, for files that were edited, and before anything is measured where a result would
    take the place of one of the same weights that was measured in another way; Stopped when asked to stop, after a batch.
    """
    given = {name for name, value in (("batch_size", batch_size), ("seed", seed), ("mode", mode)) if value is not None}
    batch_size, seed, mode = batch_size or BATCH_SIZE, seed or 0, mode or "exact"
    # all names are known before the first minute is spent
    by_name = world.together(lambda: known_attacks(attacks))
    world.together(lambda: check_seed(seed))
    data = subject.data
    if test_images is not None and not 1 <= test_images <= len(data.test):
        raise CktatError(f"cannot evaluate {test_images} images: the test set of {data.name!r} has {len(data.test)}")
    if data.box != (0.0, 1.0) and (suites := [name for name in by_name if name in SUITES]):
        raise CktatError(f"{suites[0]} is for images in [0, 1]; data {data.name!r} have no such box")
    split = data.test if test_images is None else data.test.first(test_images)
    radius = subject.card["eps"] if eps is None else eps
    results = []

    def heed(attack: str, done: int, images: int) -> None:
        if done < images and (reason := stop.now()):  # a result that is whole is written first
            raise Stopped(
                f"{reason}: stopped measuring {attack} of {subject.run.path}; results that are whole are kept, and the same "
                f"command goes on"
            )

    def seen(attack: str, done: int, right: int, images: int) -> None:
        watch(attack, done, right, images)
        heed(attack, done, images)

    def told(suite: str, standing: Standing) -> None:
        watch_suite(suite, standing)
        heed(suite, 0, 1)

    usual = {"test_images": len(split), "batch_size": batch_size, "seed": seed, "precision": "fp32"}
    usual |= {"code": subject.code} if subject.code else {}
    protocols = {
        name: usual | _protocol(by_name.get(name), subject.norm, radius, mode, world) for name in (CLEAN, *by_name)
    }
    paths = {
        name: subject.run.results / f"{subject.weights}-{name}{ending_of(subject, eps, test_images)}.json"
        for name in protocols
    }
    looks = {name: partial(place.measured, paths[name], protocols[name], given, subject) for name in protocols}
    if None in [world.once(look) for look in looks.values()]:  # all are looked at before the first is measured
        world.once(lambda: place.require_writable(subject.run.results))
    for name, protocol in protocols.items():
        attack, path, look = by_name.get(name), paths[name], looks[name]
        world.together(partial(heed, name, 0, 1))
        with ExitStack() as held:
            result = world.once(look)
            if result is None:
                take = partial(place.lock, held, path, subject)
                world.patiently(take, stop, say) if wait else world.once(take)
                result = world.once(look)  # by whom this one waited for
            if result is not None:
                say(f"{name}: measured already{place.otherwise(result, protocol)}, in {path}")
                world.once(partial(place.tidy, path, protocol, subject))
            else:
                if world.once(path.is_file):
                    say(f"{name}: in the place of what other weights of this run had, in {path}")
                result = _measure(subject, name, attack, split, protocol, path, seen, told, world)
                world.once(partial(place.keep, result, path, subject))
        results.append(result)
    return results


def known_attacks(names: Sequence[str]) -> dict[str, Attack | tuple[str, ...]]:
    """The attacks by their names, a suite as the names of its own. Raises CktatError for one that there is not."""
    check_names(names, "attacks")
    known: dict[str, Attack | tuple[str, ...]] = {**ATTACKS, **SUITES}
    for name in names:
        if name not in known:
            raise unknown("attack", name, known)
    return {name: known[name] for name in names}


def _measure(
    subject: Subject,
    name: str,
    attack: Attack | tuple[str, ...] | None,
    split: Split,
    protocol: dict[str, Any],
    path: Path,
    watch: AttackWatch,
    watch_suite: SuiteWatch,
    world: World,
) -> Result:
    data, device = subject.data, next(subject.module.parameters()).device
    common: dict[str, Any] = {
        "eps": protocol.get("eps", 0.0), "levels": data.levels, "norm": subject.norm,
        "batch_size": protocol["batch_size"], "seed": protocol["seed"], "world": world,
    }  # fmt: skip
    started = time.perf_counter()
    evidence: dict[str, Any] = {}
    if isinstance(attack, tuple):
        told = fallen(
            subject.module, split, name, mode=protocol["mode"], folder=place.unfinished(path),
            identity=place.owner(protocol, subject), watch_suite=watch_suite, **common,
        )  # fmt: skip
        right, evidence = told.robust, {"broken_by": told.broken_by, "seconds_by_attack": told.seconds}
        watch(name, len(split), int(right.sum()), len(split))
    else:
        seen = partial(watch, name)
        right = flags(
            subject.module, split, attack, box=data.box, device=device,
            watch=lambda done, ok: seen(done, ok, len(split)), **common,
        )  # fmt: skip
    provenance = subject.provenance() | {
        "commit": commit(),
        "versions": versions(),
        "hardware": hardware(device, world.size),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(max(time.perf_counter() - started, sum(evidence.get("seconds_by_attack", {}).values())), 3),
    }
    text = "".join("1" if flag else "0" for flag in right.tolist())
    return Result(name, text, tuple(split.labels.tolist()), data.classes, protocol, provenance | evidence)


def ending_of(subject: Subject, eps: float | None, test_images: int | None) -> str:
    """How names of files end: a run's plain ones are of its own radius and all test images, others say what differs."""
    own, all_ = eps in (None, subject.card["eps"]), test_images in (None, len(subject.data.test))
    return ending(None if own else eps, None if all_ else test_images)


def _protocol(
    attack: Attack | tuple[str, ...] | None, norm: str, eps: float, mode: Mode, world: World
) -> dict[str, Any]:
    if attack is None:
        return {}
    where = {"norm": norm, "eps": eps}
    if isinstance(attack, tuple):
        # draws are those of a batch, so that how images are shared among processes is part of the protocol
        shared = {"processes": world.size} if world.size > 1 else {}
        return where | {"attacks": list(attack), "steps": 100, "queries": 5000, "targets": 9, "mode": mode} | shared
    return where | {
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
    batch_size: int = BATCH_SIZE,
    seed: int = 0,
    world: World = World(),
) -> None:
    """Writes what the report draws into results/: accuracy at several radii on the first `images`, and `shown` pictures.

    Both are left alone where they are there for the same weights.
    """
    path, weights = subject.run.results / f"{subject.weights}-curve.json", subject.card["weights_sha256"]
    if world.once(lambda: path.exists() and read_curve(path)["weights_sha256"] == weights):
        return
    world.once(lambda: _pictures(subject, shown, seed))
    curve = _curve(subject, images, batch_size, seed, world)
    world.once(subject.run.require_begun)
    world.once(lambda: write_sealed(path, curve))  # last, because its presence says that all is there


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
    subject.run.require_begun()
    write_pictures(
        subject.run.results / f"{subject.weights}-pictures.safetensors", tensors, subject.card["weights_sha256"]
    )
