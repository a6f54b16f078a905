"""Optimisers by the names of their classes, and arguments that are checked before anything is trained."""

from __future__ import annotations

import pytest
import torch

from cktat.api import configure
from cktat.schema import Recipe
from cktat.training.optimiser import OPTIMISERS, check_optimiser, optimiser_of


def recipe(**fields) -> Recipe:
    return Recipe(**({"epochs": 2, "batch_size": 2, "lr": 0.1} | fields))


def made(**fields) -> torch.optim.Optimizer:
    weights = [torch.nn.Parameter(torch.ones(2, 2))]
    return optimiser_of(recipe(**fields), [{"params": weights, "lr": 0.2, "lr_factor": 2.0, "weight_decay": 0.25}])


def test_every_class_of_torch_that_takes_one_gradient_a_step_is_there() -> None:
    assert {"sgd", "adam", "adamw", "rmsprop", "nadam", "adagrad"} <= set(OPTIMISERS)
    assert not {"optimizer", "lbfgs", "sparseadam", "muon"} & set(OPTIMISERS)
    for name in OPTIMISERS:
        check_optimiser(recipe(optimiser=name, nesterov=False))


@pytest.mark.parametrize("name", OPTIMISERS)
def test_each_makes_a_step_with_the_rate_and_decay_of_its_group(name) -> None:
    optimiser = made(optimiser=name)
    assert type(optimiser) is next(kind for key, kind in vars(torch.optim).items() if key.lower() == name)
    (group,) = optimiser.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.2, 0.25)
    (weight,) = group["params"]
    weight.grad = torch.ones(2, 2)
    optimiser.step()
    assert bool((weight < 1).all())


def test_sgd_has_its_options_and_its_arguments() -> None:
    (group,) = made(momentum=0.5, nesterov=False, optimiser_args={"dampening": 0.25}).param_groups
    assert (group["momentum"], group["nesterov"], group["dampening"]) == (0.5, False, 0.25)
    assert made(momentum=0.0).param_groups[0]["nesterov"] is False  # which has no momentum to look ahead by


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"optimiser": "adamww"}, "^unknown optimiser 'adamww'; did you mean .*'adamw'"),
        ({"optimiser": "AdamW"}, "^unknown optimiser 'AdamW'; did you mean 'adam'.* known: .*, adamw,"),
        ({"optimiser": "lbfgs"}, "^unknown optimiser 'lbfgs'"),
        ({"optimiser": "adamw", "optimiser_args": {"bates": 1}}, "^unknown argument of the optimiser adamw 'bates'; .*'betas'"),
        ({"optimiser": "adamw", "optimiser_args": {"params": 1}}, "^unknown argument of the optimiser adamw 'params'"),
        ({"optimiser": "adamw", "optimiser_args": {"lr": 1}}, "^optimiser_args: lr is an option of its own; give --lr"),
        ({"optimiser_args": {"momentum": 0.5}}, "^optimiser_args: momentum is an option of its own; give --momentum"),
        ({"optimiser": "adamw", "optimiser_args": {"eps": -1.0}}, "^the optimiser adamw does not take .*eps"),
        ({"optimiser": "adamw", "optimiser_args": {"betas": 3}}, "^the optimiser adamw does not take"),
        ({"optimiser_args": {"dampening": 0.5}}, "^the optimiser sgd does not take .*Nesterov"),
    ],
)  # fmt: skip
def test_what_an_optimiser_does_not_take_is_refused_before_the_run(fields, said, one_line) -> None:
    with one_line(said):
        check_optimiser(recipe(**fields))
    with one_line(said):
        configure(**fields)


OWN = """
import torch


class Halving(torch.optim.SGD):
    def step(self, closure=None):
        super().step()
        super().step()


def two(groups, dampening=0.0):
    return Halving(groups, momentum=0.5, dampening=dampening)


def any_of(groups, **settings):
    return torch.optim.AdamW(groups, **settings)


def nothing(groups): ...
def flat(groups): return torch.optim.SGD([weight for group in groups for weight in group["params"]])
def broken(groups): return 1 / 0
def search(groups): return torch.optim.LBFGS([w for group in groups for w in group["params"]])
def late(groups): return Late(groups)


class Late(torch.optim.SGD):
    def step(self): raise ValueError("oh")
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)


def test_a_function_of_a_user_gets_the_groups_and_its_arguments(own) -> None:
    optimiser = made(optimiser="own.py:two", optimiser_args={"dampening": 0.25})
    (group,) = optimiser.param_groups
    assert {key: group[key] for key in ("lr", "lr_factor", "weight_decay", "momentum", "dampening")} == {
        "lr": 0.2, "lr_factor": 2.0, "weight_decay": 0.25, "momentum": 0.5, "dampening": 0.25
    }  # fmt: skip
    assert type(optimiser).__name__ == "Halving"
    assert made(optimiser="own.py:any_of", optimiser_args={"eps": 1e-4}).param_groups[0]["eps"] == 1e-4


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("none.py:two", {}, r"none\.py"),
        ("own.py:tow", {}, "^unknown function in .*'tow'; did you mean 'two'"),
        ("own.py:two", {"lr": 0.1}, "^unknown argument of the optimiser own.py:two 'lr'; known: dampening$"),
        ("own.py:nothing", {}, "^optimiser 'own.py:nothing' must answer with a torch.optim.Optimizer, not a NoneType"),
        ("own.py:nothing", {"a": 1}, r"^unknown argument of the optimiser own.py:nothing 'a'; known: \(none\)"),
        ("own.py:any_of", {"esp": 1}, "^optimiser 'own.py:any_of': the function failed: TypeError: .*'esp'"),
        ("own.py:flat", {}, r"^optimiser 'own.py:flat' must hand the groups on .*torch.optim.AdamW\(groups\)"),
        ("own.py:broken", {}, "^optimiser 'own.py:broken': the function failed: ZeroDivisionError"),
        ("own.py:late", {}, r"^the optimiser own.py:late failed in its first step: ValueError: oh \(own.py, line"),
    ],
)
def test_what_a_function_of_a_user_cannot_do_is_one_line(name, arguments, said, own, one_line) -> None:
    with one_line(said):
        configure(optimiser=name, optimiser_args=arguments)


def test_momentum_is_sgds_alone(one_line) -> None:
    with one_line("^momentum is sgd's; give the optimiser rmsprop its own with --optimiser-args"):
        configure(optimiser="rmsprop", momentum=0.5)
    with one_line("^nesterov is sgd's"):
        configure(optimiser="adam", nesterov=False)
    authors = configure(design="ltd", recipe="authors", optimiser="adamw")[0].recipe
    assert configure(design="ltd", recipe="authors")[0].recipe.nesterov is False
    assert (authors.momentum, authors.nesterov) == (0.9, True), "what adamw lets be makes no other run"
