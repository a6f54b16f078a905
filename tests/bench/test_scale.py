"""What a step costs in passes is what is counted when it runs, and the record of a measurement adds up."""

from __future__ import annotations

from typing import Any

import pytest

from cktat.bench import scale as scaled
from cktat.bench.pieces import network_of, random_images, training_of
from cktat.bench.scale import scale
from cktat.bench.steps import flops
from cktat.designs import DESIGNS
from cktat.grid.cost import of_step


@pytest.mark.parametrize("name", DESIGNS)
def test_the_passes_are_those_that_are_counted(name: str) -> None:
    training = training_of(name, random_images(4), "small", 2, "cpu", "fp32", steps=3)
    batch = next(training.batches.epoch(0))
    counted = flops(lambda: training.update(batch, *training.attack(batch)))
    per_pass = {
        network: flops(lambda n=network: training.team.modules[n](batch.x)) for network in of_step(training.design, 3)
    }
    wanted = sum(times * per_pass[network] for network, times in of_step(training.design, 3).items())
    assert counted == pytest.approx(
        wanted, rel=0.02
    )  # the first layer's gradient of the image is not needed in an update


def test_the_record_of_a_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaled, "MODELS", {"small": 2})
    monkeypatch.setattr(scaled, "STEPS", (1, 2, 4))
    monkeypatch.setattr(scaled, "BATCHES", (2, 4))
    monkeypatch.setattr(scaled, "STEPS_OF_A_RUN", ((1, 1), (2, 2)))
    monkeypatch.setattr(scaled, "PROCESSES", ())
    record: dict[str, Any] = scale("pgd_at", batch_size=2, trials=1, device="cpu", precision="fp32")
    rows = {row["name"]: row for row in record["rows"]}
    cost = {name: row["gflop"] for name, row in rows.items()}
    assert cost["attack steps: 4"] - cost["attack steps: 2"] == pytest.approx(
        2 * (cost["attack steps: 2"] - cost["attack steps: 1"])
    )
    assert cost["batch size: 4"] == pytest.approx(2 * cost["batch size: 2"])
    assert cost["images x epochs: 4 x 2"] == pytest.approx(4 * cost["images x epochs: 2 x 1"])
    assert all(row["seconds"] > 0 and len(row["trials"]) == 1 for row in rows.values())
    network = network_of("small", 0)
    assert record["forward_gflop_per_image"]["small"] == pytest.approx(
        flops(lambda: network.eval()(random_images(2).train.images[:1] / 255.0)) / 1e9
    )


@pytest.mark.slow
def test_processes_share_a_batch() -> None:
    times = dict(scaled._processes("pgd_at", "small", 4, "fp32", 2))
    assert {size: len(seconds) for size, seconds in times.items()} == {1: 2, 2: 2}
    assert all(taken > 0 for seconds in times.values() for taken in seconds)
