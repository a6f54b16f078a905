"""What needs what, counted by hand; and what it costs, against hand counts and against counted operations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cktat.api.configure import configure
from cktat.attacks import autoattack
from cktat.bench.trace import flops
from cktat.data import load
from cktat.designs import DESIGNS, make
from cktat.grid import Grid, Measurement, configured
from cktat.grid.cost import forward, of_attack, of_measurement, of_step, of_training
from cktat.grid.plan import plan, summary
from cktat.labels import Frozen, Learner
from cktat.models import build
from cktat.training import Training

PGD = Measurement("best", ("pgd10",))


def grid(tiny: Any, store: Path, *entries: tuple[str, dict[str, Any]], seeds: int = 1, **options: Any) -> Grid:
    asked = [
        (f"{design} {hyper} s{seed}", {**tiny.options, **options, "design": design, "set": hyper, "seed": seed}, (PGD,))
        for seed in range(seeds)
        for design, hyper in entries
    ]
    return Grid(*configured(asked), store)


def test_every_run_is_in_the_graph_once_and_after_what_it_needs(tiny: Any, tmp_path: Path) -> None:
    it = grid(
        tiny, tmp_path, ("cktat", {"beta": 0.0}), ("cktat", {}), ("kd_at_auto", {}), ("iad", {"variant": "II"}),
        ("pgd_at", {}), ("ard", {"teacher": "standard"}), seeds=2,
    )  # fmt: skip
    # by hand, per seed: standard and pgd_at, once each, and the five that need them
    assert len(it.runs) == 2 * 7
    needs = {
        (run.config.design, run.config.set.get("beta"), run.config.seed): {
            it.runs[need].config.design for need in run.needs
        }
        for run in it.runs.values()
    }
    for seed in (0, 1):
        assert needs["standard", None, seed] == set()
        assert needs["pgd_at", None, seed] == set()
        assert needs["cktat", 0.0, seed] == needs["cktat", None, seed] == {"standard"}
        assert needs["kd_at_auto", None, seed] == {"pgd_at"}
        assert needs["iad", None, seed] == {"pgd_at", "standard"}
        assert needs["ard", None, seed] == {"standard"}
    order = list(it.runs)
    for run in it.runs.values():
        assert all(it.runs[need].config.seed == run.config.seed for need in run.needs)
        assert all(order.index(need) < order.index(run.identity) for need in run.needs)


def test_tasks_are_the_runs_and_what_is_measured_of_those_that_were_asked_for(tiny: Any, tmp_path: Path) -> None:
    it = grid(tiny, tmp_path, ("cktat", {}), ("pgd_at", {}))
    tasks, faults = it.left()
    assert faults == {}
    assert [(task.label, task.key[1]) for task in tasks] == [
        (
            str(
                it.runs[it.identities["cktat {} s0"]].needs and it.runs[it.runs[it.identities["cktat {} s0"]].needs[0]]
            ),
            None,
        ),
        ("cktat {} s0", None),
        ("cktat {} s0", PGD),
        ("pgd_at {} s0", None),
        ("pgd_at {} s0", PGD),
    ]
    assert [len(task.needs) for task in tasks] == [0, 1, 1, 0, 1]


@pytest.mark.parametrize(
    ("design", "passes"),
    [
        ("standard", {"S": 3}),
        ("pgd_at", {"S": 20 + 3}),
        ("trades", {"S": 20 + 1 + 6}),
        ("mart", {"S": 20 + 6}),
        ("lbgat", {"S": 20 + 1 + 6, "T": 3}),
        ("hat", {"S": 20 + 1 + 9, "H": 1}),
        ("rslad", {"S": 20 + 6, "T": 1}),
        ("iad", {"S": 20 + 6, "T": 2}),
        ("ard", {"S": 20 + 3 + 1, "T": 1}),  # S(x) serves BatchNorm alone
        ("generalist", {"R": 20 + 3, "N": 3}),
        ("cktat", {"S": 20 + 6, "T": 1}),
    ],
)
def test_passes_of_a_step_are_those_counted_by_hand(design: str, passes: dict[str, int]) -> None:
    assert {str(network): number for network, number in of_step(make(design), 10).items()} == passes


@pytest.mark.parametrize("design", DESIGNS)
def test_the_estimate_is_what_a_step_really_computes(design: str) -> None:
    made = make(design)
    made = made.settle(**dict.fromkeys(made.open, 0.5))
    config, data = configure(design=design, data="digits", model="small", batch_size=8, precision="fp32", steps=3)

    def network(model: str | None, number: int) -> torch.nn.Module:
        return build(model or "small", classes=10, channels=1, mean=(0.5,), std=(0.5,), seed=number)

    others: list[Frozen | Learner] = [*made.frozen, *(n for n in made.learners if isinstance(n.start, str))]
    training = Training(made, config, data, network, {n: network(None, 1).state_dict() for n in others})
    batch = next(training.batches.epoch(0))
    counted = flops(lambda: training.step(batch))
    work = sum(of_step(made, 3).values()) * forward("small", data) * 8
    assert work == pytest.approx(counted, rel=0.03)


def test_a_training_is_its_steps_and_its_scores(tiny: Any, tmp_path: Path) -> None:
    it = grid(tiny, tmp_path, ("pgd_at", {}), model="small", batch_size=20)
    (run,) = it.runs.values()
    one = forward("small", it.data)
    steps, score = 2 * 20 * (2 * 2 + 3), 12 * (2 + 2 * 2)  # 48 images are two whole batches; 12 are held out
    assert of_training(run, it.data) == 2 * (steps + score) * one
    assert of_training(run, it.data, 1) == (steps + score) * one


@pytest.mark.parametrize(("design", "more"), [("pgd_at", 3), ("trades", 6), ("generalist", 6), ("cktat", 7)])
def test_weight_perturbation_costs_the_loss_once_more(tiny: Any, tmp_path: Path, design: str, more: int) -> None:
    asked = ((design, {}),)
    plain, perturbed = (
        list(grid(tiny, tmp_path, *asked, model="small", batch_size=20, awp=awp).runs.values())[-1]
        for awp in (None, 0.01)
    )
    data = load(tiny.data)
    difference = of_training(perturbed, data, 1) - of_training(plain, data, 1)
    assert difference == 2 * 20 * more * forward("small", data)


def test_an_evaluation_is_a_pass_before_one_after_and_two_a_step(tiny: Any) -> None:
    assert (of_attack("clean"), of_attack("pgd20"), of_attack("cw")) == (1, 42, 62)
    data = load(tiny.data)
    assert of_measurement(Measurement("best", ("pgd20",), 10), "small", data) == 10 * 43 * forward("small", data)


@pytest.mark.parametrize("attack", ["apgd-ce", "apgd-t", "fab-t", "square"])
def test_autoattack_asks_as_often_of_an_image_that_stands(attack: str) -> None:
    passes = 0

    def model(x: torch.Tensor) -> torch.Tensor:  # class 0, however x is moved
        nonlocal passes
        passes += len(x) * (1 + x.requires_grad)
        return x.flatten(1) @ weights + 50 * torch.eye(10)[0]

    weights = torch.randn(16, 10, generator=torch.Generator().manual_seed(0)) / 100
    outcome = autoattack(
        model, torch.full((1, 1, 4, 4), 0.5), torch.tensor([0]), eps=0.1, attacks=[attack],
        mode="exact" if attack == "square" else "packed",  # packed Square passes over guesses that change nothing
    )  # fmt: skip
    assert outcome.robust.all()
    assert passes == pytest.approx(of_attack(attack), rel=0.01)
    assert of_attack("aa-fast") < of_attack("aa") == sum(map(of_attack, ("apgd-ce", "apgd-t", "fab-t", "square")))


def test_the_cost_of_the_usual_network_is_the_known_one() -> None:
    assert forward("resnet18", load("digits")) == pytest.approx(1.11e9 / 16, rel=0.01)


def test_a_plan_says_what_is_left_and_its_time_by_what_was_run(tiny: Any, tmp_path: Path) -> None:
    it = grid(tiny, tmp_path, ("cktat", {}), ("trades", {}))
    before = plan(it)
    assert [step.state for step in before] == ["2 epochs to do"] * 3
    assert [step.seconds for step in before] == [None] * 3
    assert before[1].needs == (before[0].run,)
    assert "3 of 3 runs to train" in summary(before) and "no earlier run" in summary(before)
    assert list(tmp_path.iterdir()) == []
    first = grid(tiny, tmp_path, ("cktat", {}))
    first.run()
    after = plan(it)
    assert [step.state for step in after] == ["finished", "finished", "2 epochs to do"]
    assert [step.training > 0 for step in after] == [False, False, True]
    assert after[2].seconds is not None and after[2].seconds > 0 and after[0].seconds == 0
    assert "1 of 3 runs to train" in summary(after) and "of one worker" in summary(after)
    (other,) = plan(grid(tiny, tmp_path, ("mart", {}), threads=2))
    assert other.seconds is None, "one thread does not say how fast two are"
