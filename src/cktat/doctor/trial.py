"""A short trial on digits: a few training steps, an attack, and a training that is stopped and goes on."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cktat.doctor.diagnosis import Diagnosis

TOPICS = ("training", "attack", "resuming")

DESIGN, EPS, ATTACK_STEPS = "trades", 0.1, 5
OPTIONS: dict[str, Any] = {
    "data": "digits", "model": "small", "examples": 96, "held_out": 32, "epochs": 2, "batch_size": 32, "eps": EPS,
    "steps": 2,
}  # fmt: skip
STOPPED_AFTER = 4
"""Steps of six: in the middle of the second epoch."""


def tried(device: str = "auto") -> Iterator[Diagnosis]:
    """Trains, attacks and resumes, in a folder that is removed afterwards. device: auto, cpu, cuda or cuda:0."""
    import torch

    before = torch.get_num_threads()  # a run sets them
    try:
        with tempfile.TemporaryDirectory(prefix="cktat-doctor-") as folder:
            yield from _tried(Path(folder), device)
    finally:
        torch.set_num_threads(before)


def _tried(folder: Path, device: str) -> Iterator[Diagnosis]:
    from cktat.api import configure
    from cktat.runs import RunFolder, load_weights

    config, _ = configure(design=DESIGN, device=device, **OPTIONS)
    where = f"on {config.device} in {config.precision}"
    whole = _train(folder / "whole", device)
    losses = [line["loss"] for line in RunFolder(whole).history()]
    steps = f"two epochs of {DESIGN} {where}"
    if not all(map(math.isfinite, losses)):
        yield Diagnosis(
            "training",
            "fail",
            f"{steps}: the loss is {losses[-1]}",
            "try --device cpu; it may be the GPU or its driver",
        )
        return
    yield Diagnosis(
        "training", "ok", f"{steps}: loss {losses[0]:.2f}, then {losses[-1]:.2f}", values={"losses": losses}
    )
    yield _attacked(RunFolder(whole), config.device)
    stopped = _train(folder / "stopped", device, STOPPED_AFTER)
    apart = differing(*(load_weights(path / "last.safetensors")[0] for path in (whole, stopped)))
    if apart:
        yield Diagnosis(
            "resuming", "fail",
            f"a training {where} that was stopped and went on has other weights than one that ran through: "
            f"{apart[0]} and {len(apart) - 1} more",
            "runs that go on after a stop stay valid here, but nobody can repeat them bit for bit",
        )  # fmt: skip
    else:
        yield Diagnosis(
            "resuming", "ok", f"stopped after {STOPPED_AFTER} steps and gone on: the same weights, bit for bit"
        )


def _train(store: Path, device: str, until: int | None = None) -> Path:
    """The folder of the finished run; stopped after `until` steps and gone on, if given."""
    from cktat.api import Runner, Store, configure
    from cktat.runs import Stop, Stopped
    from cktat.training import Callback

    class Steps(Callback):
        taken = 0

        def step(self, step: int, losses: object) -> None:
            self.taken += 1

    class AfterSteps(Stop):
        def now(self) -> str | None:
            return "a trial" if steps.taken == until else super().now()

    steps = Steps()
    config, data = configure(design=DESIGN, device=device, **OPTIONS)

    def run(stop: Stop) -> Path:
        return Runner(Store(store), stop, steps, lambda text: None).train(config, data, ensure=True).path

    if until is None:
        return run(Stop())
    try:
        run(AfterSteps())
    except Stopped:
        return run(Stop())
    raise RuntimeError("a training that was told to stop ran through")


def _attacked(run: Any, device: str) -> Diagnosis:
    """Attacks the network with PGD and holds what it found against what an attack must not do."""
    import torch
    from torch.nn.functional import cross_entropy

    from cktat.api.run import Run
    from cktat.attacks import pgd
    from cktat.data import load

    network = Run(run.path).model("last", device=device)
    images = load("digits").test.first(64).to(device)
    x, y = images.images.float() / 255, images.labels
    moved = pgd(network, x, y, EPS, steps=ATTACK_STEPS)
    with torch.no_grad():
        clean, attacked = (cross_entropy(network(one), y).item() for one in (x, moved))
    reach = (moved - x).abs().max().item()
    values = {"loss": clean, "loss_attacked": attacked, "reach": reach}
    outside = reach > EPS * (1 + 1e-5) or moved.min() < 0 or moved.max() > 1
    text = f"PGD-{ATTACK_STEPS} at eps {EPS} raises the loss from {clean:.2f} to {attacked:.2f}"
    advice = "numbers under attack cannot be trusted here; report it with what `cktat doctor --json` prints"
    if outside:
        return Diagnosis("attack", "fail", f"{text}, but left its ball: {reach:.4f}", advice, values)
    if not attacked > clean:
        return Diagnosis(
            "attack", "fail", f"PGD-{ATTACK_STEPS} did not raise the loss: {clean:.2f}, {attacked:.2f}", advice, values
        )
    return Diagnosis("attack", "ok", text, values=values)


def differing(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """The names of tensors that are not the same to the last bit."""
    import torch

    return [
        name
        for name in sorted({*ours, *theirs})
        if name not in ours or name not in theirs or not torch.equal(ours[name], theirs[name])
    ]
