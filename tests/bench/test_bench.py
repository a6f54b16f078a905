"""The benchmark's plain step is the same computation as the training loop in fp32, and its record adds up."""

from typing import Any

import pytest
import torch

from cktat.bench.pieces import network_of, random_images, training_of
from cktat.bench.plain import PLAIN
from cktat.bench.steps import bench, flops
from cktat.data import Batch


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-9), (torch.float32, 5e-3)])
def test_without_half_precision_the_fast_step_is_the_plain_step(name: str, dtype: torch.dtype, near: float) -> None:
    """Weights after one step from the same start and noise. In fp32, channels-last kernels round otherwise, and a gradient
    near 0 may then have another sign; in float64 nothing of that is left."""
    training = training_of(name, random_images(16), "small", 8, "cpu", "fp32")
    for module in training.team.modules.values():
        module.to(dtype)
    x, y, index = next(training.batches.epoch(0))
    batch = Batch(x.to(dtype), y, index)
    student, teacher = network_of("small", 0).to(dtype), network_of("small", 1).to(dtype).eval().requires_grad_(False)
    student.load_state_dict(training.team.deployed.state_dict())
    threat, recipe = training.config.threat, training.config.recipe
    optimiser = torch.optim.SGD(
        student.parameters(),
        lr=recipe.lr / 25,
        momentum=recipe.momentum,
        nesterov=True,
        weight_decay=recipe.weight_decay,
    )  # one cycle begins at a 25th
    (start,) = training.starts.at(0, batch.x).values()
    PLAIN[name](student, teacher, optimiser, batch.x, batch.y, start, threat.eps, threat.step, threat.steps)
    before = {key: value.clone() for key, value in training.team.deployed.state_dict().items()}
    training.step(batch)
    ours = training.team.deployed.state_dict()
    for key, wanted in student.state_dict().items():
        if wanted.is_floating_point():
            assert float((ours[key] - wanted).norm()) <= near * float(wanted.norm() + 1), key
    moved = sum(float((ours[key].float() - before[key].float()).norm()) for key in ours)
    assert moved > 1e-2, "the step did something"


def test_flops_are_two_per_multiply_add_forward_and_backward() -> None:
    layer = torch.nn.Linear(7, 5, bias=False)
    x = torch.randn(3, 7, requires_grad=True)
    assert flops(lambda: layer(x)) == 2 * 3 * 7 * 5
    assert flops(lambda: layer(x).sum().backward()) == 3 * 2 * 3 * 7 * 5
    assert flops(lambda: torch.autograd.grad(layer(x).sum(), x)) >= 2 * 2 * 3 * 7 * 5


def test_the_record_holds_what_the_table_shows() -> None:
    record: dict[str, Any] = bench(("trades",), model="small", batch_size=4, trials=1, attacks=("fgsm",))
    rows = {row["name"]: row for row in record["rows"]}
    assert {"trades, attack", "trades, update", "trades, plain step", "fgsm, evaluation", "data path"} <= set(rows)
    for row in rows.values():
        assert row["seconds"] > 0 and len(row["trials"]) == 1
    plain, ours = rows["trades, plain step"], rows["trades, attack"]["seconds"] + rows["trades, update"]["seconds"]
    assert record["plain_over_ours"]["trades"] == pytest.approx(plain["seconds"] / ours)
    # TRADES: a clean target once, then ten times forward and backward to the input
    forward = 53_314_816 * 4
    assert rows["trades, attack"]["gflop_per_second"] * rows["trades, attack"]["seconds"] * 1e9 == pytest.approx(
        21 * forward, rel=0.02
    )
    own, theirs = rows["trades, step"]["seconds"], rows["trades, loss in a loop of your own"]["seconds"]
    assert record["loop_of_your_own_over_ours"]["trades"] == pytest.approx(theirs / own)
    assert rows["matrix product, fp32"]["share_of_ceiling"] == 1.0
    assert record["peak_memory_bytes"] > 0
