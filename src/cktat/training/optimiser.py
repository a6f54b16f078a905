"""The optimiser of a recipe: any class of torch.optim that takes one gradient a step, or a function of a user's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.optim import Optimizer

from cktat.errors import CktatError, one_line, unknown
from cktat.schema import Recipe
from cktat.usercode import FAILURES, function_of, is_own, said

OPTIMISERS: dict[str, Callable[..., Optimizer]] = {
    name.lower(): found
    for name, found in sorted(vars(torch.optim).items())
    if inspect.isclass(found)
    and issubclass(found, Optimizer)
    and name not in ("Optimizer", "LBFGS", "SparseAdam", "Muon")
}
"""By the class's name in lower case. LBFGS asks for the loss again within a step, SparseAdam for sparse gradients, and Muon
takes matrices only."""

OWN_OPTIONS = ("lr", "weight_decay")
OF_SGD = ("momentum", "nesterov")
"""Arguments that are options of a run by themselves."""

Groups = Sequence[dict[str, Any]]


def optimiser_of(recipe: Recipe, groups: Groups) -> Optimizer:
    """The optimiser that a recipe asks for.

    Args:
        recipe: its `optimiser`, `optimiser_args` and `lr` count, and `momentum` and `nesterov` for sgd.
        groups: weights, as `torch.optim` takes them; each group has an `lr`, an `lr_factor` and a `weight_decay` of its own,
            which an optimiser that knows none lets be.

    Returns:
        An optimiser over the groups.

    Raises:
        CktatError: there is no such optimiser, it does not take these arguments, or a function of a user's makes none.
    """
    name, arguments = recipe.optimiser, dict(recipe.optimiser_args)
    if is_own(name):
        return _of_user(name, groups, arguments)
    if name not in OPTIMISERS:
        raise unknown("optimiser", name, OPTIMISERS, "or give your own as file.py:function")
    own = (*OWN_OPTIONS, *(OF_SGD if name == "sgd" else ()))
    for key in arguments:
        if key in own:
            raise CktatError(f"optimiser_args: {key} is an option of its own; give --{key.replace('_', '-')}")
    _require_arguments(name, OPTIMISERS[name], arguments, own)
    arguments = {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}
    if name == "sgd":
        momentum = recipe.momentum
        arguments = {"momentum": momentum, "nesterov": recipe.nesterov and momentum > 0, "fused": True} | arguments
    try:
        return OPTIMISERS[name](groups, lr=recipe.lr, **arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CktatError(f"the optimiser {name} does not take {arguments}: {one_line(error)}") from None


def _of_user(name: str, groups: Groups, arguments: dict[str, Any]) -> Optimizer:
    function = function_of(name, "optimiser")
    _require_arguments(name, function, arguments)
    found = function(groups, **arguments)
    if not isinstance(found, Optimizer):
        raise CktatError(f"optimiser {name!r} must answer with a torch.optim.Optimizer, not a {type(found).__name__}")
    if not all("lr_factor" in group for group in found.param_groups):
        raise CktatError(
            f"optimiser {name!r} must hand the groups on that it is given, which hold the rate and decay of each learner, as "
            f"in torch.optim.AdamW(groups)"
        )
    return found


def _require_arguments(
    name: str, of: Callable[..., Optimizer], arguments: dict[str, Any], without: Sequence[str] = ()
) -> None:
    _, *parameters = inspect.signature(of).parameters.values()  # the first takes the weights
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return
    known = [one.name for one in parameters if one.name not in without]
    for key in arguments:
        if key not in known:
            raise unknown(f"argument of the optimiser {name}", key, known or ["(none)"])


def check_optimiser(recipe: Recipe) -> None:
    """Makes the optimiser of a recipe, and a step with it.

    Args:
        recipe: see `optimiser_of`.

    Raises:
        CktatError: see `optimiser_of`; or it cannot make a step from gradients alone.
    """
    weights = [torch.nn.Parameter(torch.ones(shape)) for shape in ((2,), (2, 2), (2, 2, 1, 1))]
    group = {"params": weights, "lr": recipe.lr, "lr_factor": 1.0, "weight_decay": recipe.weight_decay}
    optimiser = optimiser_of(recipe, [group])
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    try:
        optimiser.step()
    except FAILURES as error:
        raise CktatError(f"the optimiser {recipe.optimiser} failed in its first step: {said(error)}") from error
