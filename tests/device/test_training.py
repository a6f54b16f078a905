"""A step of every design, its options, its score and its calibration on a device: no device is forgotten, nobody waits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from cktat.api.configure import configure
from cktat.attacks import Ball
from cktat.bench.pieces import network_of, random_images
from cktat.data import Batch, Dataset
from cktat.designs import DESIGNS, make
from cktat.labels import Learner
from cktat.schema import Threat
from cktat.training import AdversarialLoss, Training, views
from cktat.training.calibrate import calibrate
from tests.device.room import Room

AFTER_AN_EPOCH = {
    "training.loop.Training.require_finite": "weights are looked at once an epoch, before they are saved",
    "training.score.not_finite": "so are the answers to one held-out batch",
    "training.score._right": "the accuracy of an epoch is read once, after all batches",
    "training.loop.Training.end_epoch": "the mean losses of an epoch are read once",
}
AT_THE_FIRST_LOSS = {
    "training.given.check_values": "the range of the images and labels is looked at once",
    "training.loss.AdversarialLoss._checked": "the highest label is read once",
}
BEFORE_TRAINING = {
    "data.batches.ordered": "held-out images lie in the host's memory before training and are moved batch by batch",
    "training.calibrate.calibrate": "so are their labels",
    "training.calibrate.best_point": "the best of a hundred points is read point by point, once a run",
}


def images(count: int) -> Dataset:
    """So many random images of 8 x 8 pixels in three channels, in every part."""
    data = random_images(count)
    parts = [replace(part, images=part.images[..., :8, :8]) for part in (data.train, data.held_out, data.test)]
    return replace(data, train=parts[0], held_out=parts[1], test=parts[2])


def training_on(name: str, device: str, **options: Any) -> Training:
    config, _ = configure(
        design=name, data="digits", model="small", batch_size=4, eps=8 / 255, device="cpu", precision="fp32",
        threads=1, ema=0.9, **{"steps": 2} | options,
    )  # fmt: skip
    design = make(name)
    design = design.settle(**dict.fromkeys(design.open, 0.5)).averaged(0.9)
    started = [learner for learner in design.learners if isinstance(learner.start, str)]
    given: Any = {n: network_of(n.model or "small", 1).state_dict() for n in (*design.frozen, *started)}
    config = config.model_copy(update={"device": device})
    return Training(design, config, images(8), lambda m, n: network_of(m or "small", n), given)


@pytest.mark.parametrize("name", DESIGNS)
def test_a_step_of_every_design_with_averages_and_perturbed_weights(name: str, room: Room) -> None:
    there, here = (training_on(name, device, awp=0.01) for device in (str(room.device), "cpu"))
    batches = there.batches.epoch(0)
    batch = next(batches)
    with room.waits() as places:
        there.step(batch)
        there.step(next(batches))
    assert not places
    for mine in here.batches.epoch(0):
        here.step(mine)
    assert room.tree_holds(there.state()["team"], here.state()["team"])
    with room.waits() as places:
        record = there.end_epoch()
    assert places == set(AFTER_AN_EPOCH)
    wanted = here.end_epoch()
    if room.pretends:
        assert {key: record[key] for key in ("loss", "held_out")} == {key: wanted[key] for key in ("loss", "held_out")}


@pytest.mark.parametrize("name", ["pgd_at", "trades", "adaad"])
@pytest.mark.parametrize("inner", ["rs-fgsm", "n-fgsm"])
def test_a_single_step_waits_for_nothing(inner: str, name: str, room: Room) -> None:
    there, here = (training_on(name, device, inner=inner) for device in (str(room.device), "cpu"))
    batch = next(there.batches.epoch(0))
    with room.waits() as places:
        there.step(batch)
    assert not places
    here.step(next(here.batches.epoch(0)))
    assert room.tree_holds(there.state()["team"], here.state()["team"])
    with room.waits() as places:
        there.end_epoch()
    assert places == set(AFTER_AN_EPOCH)


def test_packing_waits_once_a_step_for_who_is_done(room: Room) -> None:
    there, here = (training_on("trades", device, stop_margin=0.0, steps=3) for device in (str(room.device), "cpu"))
    batch = next(there.batches.epoch(0))
    with room.waits() as places:
        there.step(batch)
    assert places == {"attacks.ascent.ascend_packed"}
    here.step(next(here.batches.epoch(0)))
    assert room.tree_holds(there.state()["team"], here.state()["team"])


@pytest.mark.parametrize("name", DESIGNS)
def test_the_loss_in_a_loop_of_a_user(name: str, room: Room) -> None:
    x, y = torch.rand(4, 3, 8, 8), torch.randint(0, 10, (4,))

    def run(device: torch.device) -> tuple[list[set[str]], list[Tensor]]:
        design = make(name)
        design = design.settle(**dict.fromkeys(design.open, 0.5))
        networks = [network_of(one.model or "small", number).to(device) for number, one in enumerate(design.learners)]
        loss = AdversarialLoss(
            design,
            learners={one.letter: net.train() for one, net in zip(design.learners, networks, strict=True)},
            teachers={one.letter: network_of(one.model or "small", 7) for one in design.frozen},
            start=False, eps=8 / 255, steps=2, epochs=2,
        )  # fmt: skip
        optimiser = torch.optim.SGD(loss.param_groups(0.1), momentum=0.9)
        waited, values = [], []
        for _ in range(2):
            on = x.to(device), y.to(device)
            loss.progress = 0.5
            with room.waits() as places:
                value = loss(*on)
                value.backward()
                optimiser.step()
                optimiser.zero_grad()
                loss.follow()
            waited.append(places)
            values.append(value.detach())
        return waited, values

    (first, second), found = run(room.device)
    teachers = {"training.team.Team.require_device"} if make(name).frozen else set()
    assert first - teachers == set(AT_THE_FIRST_LOSS) and not second
    assert all(room.holds(one, wanted) for one, wanted in zip(found, run(torch.device("cpu"))[1], strict=True))


def test_calibration(room: Room) -> None:
    design, split = make("kd_at_auto"), images(8).held_out

    def values(device: str | torch.device) -> tuple[dict[str, float], set[str]]:
        teacher, last = (network_of("small", seed).to(device).eval() for seed in (1, 2))
        with room.waits() as places:
            found = calibrate(
                design, teacher, last, split, levels=255, batch_size=4, seed=0,
                threat=Threat(eps=8 / 255, step=2 / 255, steps=2), ball=Ball(8 / 255),
            )  # fmt: skip
        return found, places

    found, places = values(room.device)
    assert places == set(BEFORE_TRAINING)
    assert set(found) == set(design.open)
    if room.pretends:
        assert found == values("cpu")[0]


def planted(room: Room, monkeypatch: pytest.MonkeyPatch, fault: Any) -> set[str]:
    training = training_on("pgd_at", str(room.device))
    batch: Batch = next(training.batches.epoch(0))
    kept = views.kl

    def faulty(output: Any, label: Any) -> Tensor:
        return fault(kept(output, label))

    monkeypatch.setattr(views, "kl", faulty)
    with room.waits() as places:
        training.step(batch)
    return places


def test_a_number_that_is_read_inside_a_step_is_seen(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not planted(room, monkeypatch, lambda value: value)
    assert planted(room, monkeypatch, lambda value: value / value.max().item()) == {"training.views._attack"}
    assert planted(room, monkeypatch, lambda value: value * len(value.nonzero())) == {"training.views._attack"}


def test_a_tensor_that_stayed_on_the_cpu_is_seen(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="same device"):
        planted(room, monkeypatch, lambda value: value + torch.zeros(4))


def test_no_learner_is_left_behind(room: Room) -> None:
    training = training_on("lbgat", str(room.device))
    assert sum(isinstance(network, Learner) for network in training.team.modules) == 2
    for module in training.team.modules.values():
        for tensor in (*module.parameters(), *module.buffers()):
            assert tensor.device.type == room.device.type
