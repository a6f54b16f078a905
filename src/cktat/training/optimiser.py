"""The optimiser of a recipe: any class of torch.optim that takes one gradient a step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import Optimizer

from cktat.errors import CktatError, one_line, unknown
from cktat.schema import Recipe

OPTIMISERS: dict[str, Callable[..., Optimizer]] = {
    name.lower(): found
    for name, found in sorted(vars(torch.optim).items())
    if inspect.isclass(found) and issubclass(found, Optimizer) and name not in ("Optimizer", "LBFGS", "SparseAdam")
}
"""By the class's name in lower case. LBFGS asks for the loss again within a step, and SparseAdam for sparse gradients."""

OWN_OPTIONS = ("lr", "weight_decay")
OWN_OPTIONS_OF_SGD = ("momentum", "nesterov")
"""Arguments that are options of a run by themselves."""


def optimiser_of(recipe: Recipe, groups: Iterable[dict[str, Any]]) -> Optimizer:
    """The optimiser that a recipe asks for.

    Args:
        recipe: its `optimiser`, `optimiser_args` and `lr` count, and `momentum` and `nesterov` for sgd.
        groups: weights, each group with a `weight_decay` of its own, which an optimiser that knows none lets be.

    Returns:
        An optimiser of torch.optim over the groups.

    Raises:
        CktatError: there is no such optimiser, or it does not take these arguments.
    """
    name = recipe.optimiser
    if name not in OPTIMISERS:
        raise unknown("optimiser", name, OPTIMISERS)
    known = [one for one in inspect.signature(OPTIMISERS[name]).parameters if one != "params"]
    own = (*OWN_OPTIONS, *(OWN_OPTIONS_OF_SGD if name == "sgd" else ()))
    arguments = {
        key: tuple(value) if isinstance(value, list) else value for key, value in recipe.optimiser_args.items()
    }
    for key in arguments:
        if key in own:
            raise CktatError(f"optimiser_args: {key} is an option of its own; give --{key.replace('_', '-')}")
        if key not in known:
            raise unknown(f"argument of the optimiser {name}", key, [one for one in known if one not in own])
    if name == "sgd":
        momentum = recipe.momentum
        arguments = {"momentum": momentum, "nesterov": recipe.nesterov and momentum > 0, "fused": True} | arguments
    try:
        return OPTIMISERS[name](list(groups), lr=recipe.lr, **arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CktatError(f"the optimiser {name} does not take {arguments}: {one_line(error)}") from None


def check_optimiser(recipe: Recipe) -> None:
    """Raises CktatError for an optimiser that a recipe cannot have."""
    optimiser_of(recipe, [{"params": [torch.nn.Parameter(torch.zeros(1, 1))], "weight_decay": recipe.weight_decay}])
