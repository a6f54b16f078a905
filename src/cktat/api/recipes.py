"""Recipes as functions that change fields of one another: one common recipe, and every method's own.

Sources of the authors' numbers: the files named in each design's docstring, as read in their releases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cktat.data import Dataset
from cktat.errors import unknown
from cktat.runs import Recipe, Threat

CIFAR_EPS = 8 / 255


@dataclass(frozen=True)
class RecipeSetting:
    """What a recipe decides: optimiser and length, the adversary, and hyper-parameters of the design."""

    recipe: Recipe
    threat: Threat
    set: dict[str, Any] = field(default_factory=dict)


def common(data: Dataset) -> RecipeSetting:
    """One recipe for all designs: one cycle, Nesterov, batch 128, PGD-10 at the data's radius with steps of eps / 4.

    40 epochs at lr 0.2, the shape of HAT's short schedule; small data sets (under 10,000 images) take 30 epochs at 0.1.
    """
    small = len(data.train) < 10_000
    recipe = Recipe(epochs=30 if small else 40, batch_size=128, lr=0.1 if small else 0.2)
    return RecipeSetting(recipe, Threat(eps=data.eps, step=data.eps / 4))


def rice(data: Dataset) -> RecipeSetting:
    """PGD-AT of locuslab/robust_overfitting: 200 epochs, lr 0.1 falling tenfold at 1/2 and 3/4 (train_cifar.py L228-255)."""
    recipe = Recipe(
        epochs=200, batch_size=128, lr=0.1, nesterov=False, schedule="piecewise", points=((0.5, 0.1), (0.75, 0.01))
    )
    return RecipeSetting(recipe, Threat(eps=data.eps, step=data.eps / 4))


def _edited(base: RecipeSetting, set: dict[str, Any] | None = None, **fields: Any) -> RecipeSetting:
    return RecipeSetting(base.recipe.model_copy(update=fields), base.threat, set or base.set)


def _rounded_radius(base: RecipeSetting, data: Dataset) -> RecipeSetting:
    """eps 0.031 and step 0.007 on CIFAR, as TRADES and its kin write them; elsewhere the data's radius."""
    if data.eps != CIFAR_EPS:
        return base
    return RecipeSetting(base.recipe, Threat(eps=0.031, step=0.007), base.set)


def _drops(epochs: int, *at: int) -> dict[str, Any]:
    """Tenfold drops after so many epochs."""
    points = tuple((epoch / epochs, 0.1 ** (i + 1)) for i, epoch in enumerate(at))
    return {"epochs": epochs, "schedule": "piecewise", "points": points}


AUTHORS: dict[str, Callable[[Dataset], RecipeSetting]] = {
    "standard": rice,
    "pgd_at": rice,
    "trades": lambda data: _rounded_radius(_edited(rice(data), weight_decay=2e-4, **_drops(76, 74)), data),
    "mart": lambda data: _rounded_radius(
        _edited(rice(data), lr=0.01, weight_decay=3.5e-3, **_drops(120, 74, 89, 99)), data
    ),
    "ard": lambda data: _edited(  # its second drop never happens
        rice(data), batch_size=256 if len(data.classes) == 100 else 128, weight_decay=2e-4, **_drops(200, 100)
    ),
    "iad": lambda data: _edited(rice(data), weight_decay=2e-4, **_drops(200, 100)),  # nor does its
    "rslad": lambda data: _edited(
        rice(data), set={"scale": 10.0 if len(data.classes) == 100 else 1.0}, weight_decay=2e-4,
        **_drops(300, 215, 260, 285),
    ),
    "ltd": lambda data: _rounded_radius(_edited(rice(data), **_drops(76, 74)), data),
    "lbgat": lambda data: _rounded_radius(
        _edited(rice(data), weight_decay=2e-4, warmup_epochs=1, warmup_factor=0.2, **_drops(100, 75, 90)), data
    ),
    "kd_at_auto": rice,
    "hat": lambda data: _edited(
        rice(data), epochs=50, lr=0.21, nesterov=True, schedule="one-cycle", points=()
    ),
    "generalist": lambda data: _rounded_radius(
        _edited(
            rice(data), set={"robust_weight_decay": 3.5e-3, "natural_weight_decay": 5e-4},
            epochs=120, lr=0.01, schedule="linear", points=((1 / 3, 1.0), (2 / 3, 0.1), (1.0, 0.01)),
        ),
        data,
    ),
    "cktat": lambda data: _edited(rice(data), warmup_epochs=1, warmup_factor=0.2, **_drops(110, 100, 105)),
    "adaad": lambda data: _edited(rice(data), set={"per_class": len(data.classes) != 100}),
    "adr": lambda data: _edited(
        rice(data), set={"tau": 1.5, "last_tau": 1.0} if len(data.classes) == 100 else {}, nesterov=True
    ),
    "kd_swa": lambda data: _edited(rice(data), **_drops(200, 50, 150)),
    "ikl": lambda data: _edited(
        rice(data), set={"alpha": 5.0 if len(data.classes) == 100 else 4.0}, lr=0.2, schedule="cosine", points=()
    ),
    "uiat": rice,
    "label_smoothing": lambda data: _edited(rice(data), **_drops(110, 100, 105)),
    "alp": rice,
}  # fmt: skip
"""Every method's own recipe for a ResNet-18 on CIFAR. CKTAT and LTD state none, UIAT's could not be read, and logit pairing's
is for ImageNet: theirs are choices."""

RECIPES = ("common", "authors")


def setting(recipe: str, design: str, data: Dataset) -> RecipeSetting:
    """The setting called `recipe` for a design on a data set. Raises CktatError for an unknown recipe, or where a design
    of a user's own is asked for its authors' recipe."""
    if recipe == "common":
        return common(data)
    if recipe == "authors":
        if design not in AUTHORS:
            raise unknown("design with a recipe of its authors", design, AUTHORS, "use --recipe common")
        return AUTHORS[design](data)
    raise unknown("recipe", recipe, RECIPES)
