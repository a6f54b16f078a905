"""What is computed for devices that are not here, against closed forms and against what two processes of a CPU took."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cktat.bench.projection import Machine, bound, step_seconds
from cktat.bench.trace import Counts

RECORD = Path(__file__).parents[2] / "results" / "bench" / "scale-cpu.json"


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [
        (Counts(600.0, 1, 1.0), (6.0, "flops")),
        (Counts(100.0, 1, 80.0), (8.0, "bytes")),
        (Counts(100.0, 7, 10.0), (3.5, "launches")),
    ],
)
def test_the_slowest_of_three_is_the_bound(counts: Counts, wanted: tuple[float, str]) -> None:
    assert bound(counts, Machine(flops=100.0, bandwidth=10.0, launch=0.5)) == wanted


def test_devices_share_images_but_not_launches_and_exchange_gradients_in_a_ring() -> None:
    fixed, each = Counts(0.0, 10, 0.0), Counts(50.0, 0, 0.0)
    machine = Machine(flops=100.0, bandwidth=1.0, launch=0.1, link=4.0)
    assert step_seconds(fixed, each, 8, 16.0, 1, machine) == 4.0
    assert step_seconds(fixed, each, 8, 16.0, 2, machine) == 2.0 + 4.0
    assert step_seconds(fixed, each, 8, 16.0, 8, machine) == 1.0 + 7.0, "ten launches remain"


def test_two_processes_of_a_cpu_took_what_is_computed() -> None:
    record = json.loads(RECORD.read_text())
    rows = {row["name"]: row for row in record["rows"]}
    each = Counts(flops=rows["batch size: 32"]["gflop"] * 1e9 / 32)
    measured = {p: rows[f"processes: {p}"]["seconds"] for p in (1, 2)}

    def computed(processes: int, rate_at: int) -> float:
        machine = Machine(rows[f"batch size: {rate_at}"]["gflop_per_second"] * 1e9, float("inf"), link=1e9)
        return step_seconds(Counts(), each, 32, 0.7e6, processes, machine)

    assert computed(1, 32) == pytest.approx(measured[1], rel=0.05)
    # each process works on half of the batch, at the rate that half a batch has
    assert computed(2, 16) == pytest.approx(measured[2], rel=0.1)
    assert computed(2, 32) < measured[2], "the rate of the whole batch is a bound"
