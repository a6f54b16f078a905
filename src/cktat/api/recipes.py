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


def _raw(data: Dataset, set: dict[str, Any] | None = None, **fields: Any) -> RecipeSetting:
    """Edits of `rice` for releases that train on images in [0, 1] as they are."""
    return _edited(rice(data), set, inputs="raw", **fields)


def _rounded_radius(base: RecipeSetting, data: Dataset) -> RecipeSetting:
    """eps 0.031 and step 0.007 on CIFAR, as TRADES and its kin write them; elsewhere the data's radius."""
    if data.eps != CIFAR_EPS:
        return base
    return RecipeSetting(base.recipe, Threat(eps=0.031, step=0.007), base.set)


def _drops(epochs: int, *at: int) -> dict[str, Any]:
    """Tenfold drops after so many epochs."""
    points = tuple((epoch / epochs, 0.1 ** (i + 1)) for i, epoch in enumerate(at))
    return {"epochs": epochs, "schedule": "piecewise", "points": points}


def _mart(data: Dataset, wide: bool) -> RecipeSetting:
    """train_resnet.py L20-45 and train_wideresnet.py L20-45, whose 90 epochs end with the second drop's first."""
    if wide:
        return _rounded_radius(_raw(data, {"beta": 6.0}, weight_decay=7e-4, **_drops(90, 74, 89)), data)
    return _rounded_radius(_raw(data, lr=0.01, weight_decay=3.5e-3, **_drops(120, 74, 89, 99)), data)


def _generalist(data: Dataset, wide: bool) -> RecipeSetting:
    """main.py L41, L114-117, L304-305; for wide networks the rate ends at a twentieth."""
    points = ((1 / 3, 1.0), (2 / 3, 0.1), (1.0, 0.05 if wide else 0.01))
    decays = {"robust_weight_decay": 7e-4 if wide else 3.5e-3, "natural_weight_decay": 5e-4}
    return _rounded_radius(
        _raw(data, decays, epochs=120, lr=0.1 if wide else 0.01, schedule="linear", points=points), data
    )


def _hat(data: Dataset, wide: bool) -> RecipeSetting:
    """core/utils/train.py L80-110; train.py trains the helper by it, too."""
    return _raw(data, epochs=50, lr=0.21, nesterov=True, schedule="one-cycle", points=())


def _teacher_of_iad(data: Dataset, wide: bool) -> RecipeSetting:
    """pre_train/AT.py and ST.py L65-76, L123, which look an epoch ahead for the rate."""
    return _raw(data, weight_decay=2e-4, **_drops(200, 99, 149))


AUTHORS: dict[str, Callable[[Dataset, bool], RecipeSetting]] = {
    "standard": lambda data, wide: rice(data),
    "pgd_at": lambda data, wide: rice(data),
    "trades": lambda data, wide: _rounded_radius(_raw(data, weight_decay=2e-4, **_drops(76, 74)), data),
    "mart": _mart,
    "ard": lambda data, wide: _raw(  # its second drop never happens
        data, batch_size=256 if len(data.classes) == 100 else 128, weight_decay=2e-4, **_drops(200, 100)
    ),
    "iad": lambda data, wide: _raw(data, weight_decay=2e-4, **_drops(200, 100)),  # nor does its
    "rslad": lambda data, wide: _raw(
        data, {"scale": 10.0 if len(data.classes) == 100 else 1.0}, weight_decay=2e-4, **_drops(300, 215, 260, 285)
    ),
    "ltd": lambda data, wide: _rounded_radius(_edited(rice(data), **_drops(76, 74)), data),
    "lbgat": lambda data, wide: _rounded_radius(
        _raw(data, weight_decay=2e-4, warmup_epochs=1, warmup_factor=0.2, **_drops(100, 75, 90)), data
    ),
    "kd_at_auto": lambda data, wide: rice(data),
    "hat": _hat,
    "generalist": _generalist,
    "cktat": lambda data, wide: _edited(rice(data), warmup_epochs=1, warmup_factor=0.2, **_drops(110, 100, 105)),
    "adaad": lambda data, wide: _edited(rice(data), set={"per_class": len(data.classes) != 100}),
    "adr": lambda data, wide: _edited(
        rice(data), set={"tau": 1.5, "last_tau": 1.0} if len(data.classes) == 100 else {}, nesterov=True
    ),
    "kd_swa": lambda data, wide: _edited(rice(data), **_drops(200, 50, 150)),
    "ikl": lambda data, wide: _edited(
        rice(data), set={"alpha": 5.0 if len(data.classes) == 100 else 4.0}, lr=0.2, schedule="cosine", points=()
    ),
    "uiat": lambda data, wide: rice(data),
    "label_smoothing": lambda data, wide: _edited(rice(data), **_drops(110, 100, 105)),
    "alp": lambda data, wide: rice(data),
}
"""Every method's own recipe on CIFAR, for a ResNet-18 or a wide network. CKTAT and LTD state none, UIAT's could not be
read, and logit pairing's is for ImageNet: theirs are choices."""

TEACHERS: dict[tuple[str, str], Callable[[Dataset, bool], RecipeSetting]] = {
    ("hat", "standard"): _hat,
    ("iad", "pgd_at"): _teacher_of_iad,
    ("iad", "standard"): _teacher_of_iad,
}
"""Recipes of a (design, teacher) pair where the release trains the teacher otherwise than that design's own authors do."""

RECIPES = ("common", "authors")

WIDE = {"wrn34-10"}
"""The models that releases have a second recipe for. Any other gets that of a ResNet-18."""


def setting(recipe: str, design: str, data: Dataset, model: str = "") -> RecipeSetting:
    """The setting called `recipe` for a design, a data set and a model. Raises CktatError for an unknown recipe, or where a
    design of a user's own is asked for its authors' recipe."""
    if recipe == "common":
        return common(data)
    if recipe == "authors":
        if design not in AUTHORS:
            raise unknown("design with a recipe of its authors", design, AUTHORS, "use --recipe common")
        return AUTHORS[design](data, model in WIDE)
    raise unknown("recipe", recipe, RECIPES)


def setting_of_teacher(design: str, teacher: str, data: Dataset, model: str, threat: Threat) -> RecipeSetting | None:
    """How the authors of `design` train the network of design `teacher` that theirs needs; None for one of a user's own.

    threat: that of the run of `design`. Where it is not its authors' the teacher meets it, too.
    """
    found = TEACHERS.get((design, teacher)) or AUTHORS.get(teacher)
    if found is None:
        return None
    theirs = found(data, model in WIDE)
    own = design in AUTHORS and threat == setting("authors", design, data).threat
    return theirs if own else RecipeSetting(theirs.recipe, threat, theirs.set)
