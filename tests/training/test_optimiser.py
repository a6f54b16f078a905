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
    return optimiser_of(recipe(**fields), [{"params": [torch.nn.Parameter(torch.ones(2, 2))], "weight_decay": 0.25}])


def test_every_class_of_torch_that_takes_one_gradient_a_step_is_there() -> None:
    assert {"sgd", "adam", "adamw", "rmsprop", "nadam", "adagrad"} <= set(OPTIMISERS)
    assert not {"optimizer", "lbfgs", "sparseadam"} & set(OPTIMISERS)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_each_makes_a_step_with_the_rate_and_decay_of_its_group(name) -> None:
    optimiser = made(optimiser=name)
    assert type(optimiser) is next(kind for key, kind in vars(torch.optim).items() if key.lower() == name)
    (group,) = optimiser.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.1, 0.25)
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
