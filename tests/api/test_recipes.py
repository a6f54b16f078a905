"""The authors' recipes, number by number, against a table written by hand from their releases."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch

from cktat.api.recipes import AUTHORS, common, setting
from cktat.data import Dataset, Split
from cktat.designs import DESIGNS, make
from cktat.errors import CktatError
from cktat.training.schedule import lr_factor


def dataset(classes: int = 10, eps: float = 8 / 255, images: int = 10) -> Dataset:
    split = Split(torch.zeros(images, 3, 4, 4, dtype=torch.uint8), torch.zeros(images, dtype=torch.int64))
    names = tuple(map(str, range(classes)))
    return Dataset("like-cifar", split, split, split, names, 255, (0.5,) * 3, (0.2,) * 3, (0.0, 1.0), eps, "crop-flip")


@dataclass(frozen=True)
class Row:
    """`lr` in epochs counted from 1, at their beginning; all use momentum 0.9 and 10 attack steps."""

    epochs: int
    lr: dict[int, float]
    weight_decay: float
    eps: float = 8 / 255
    step: float = 2 / 255
    batch: int = 128
    nesterov: bool = False
    set: dict[str, float] = field(default_factory=dict)


RICE = {1: 0.1, 100: 0.1, 101: 0.01, 150: 0.01, 151: 0.001, 200: 0.001}

# trades.py and mart.py count epochs from 1 and drop "from epoch 75"; ARD's and IAD's second drop, at 150, never happens
TABLE = {
    "standard": Row(200, RICE, 5e-4),
    "pgd_at": Row(200, RICE, 5e-4),
    "kd_at_auto": Row(200, RICE, 5e-4),
    "trades": Row(76, {1: 0.1, 74: 0.1, 75: 0.01, 76: 0.01}, 2e-4, 0.031, 0.007),
    "mart": Row(
        120, {1: 0.01, 74: 0.01, 75: 1e-3, 89: 1e-3, 90: 1e-4, 99: 1e-4, 100: 1e-5, 120: 1e-5}, 3.5e-3, 0.031, 0.007
    ),
    "ard": Row(200, {1: 0.1, 100: 0.1, 101: 0.01, 152: 0.01, 200: 0.01}, 2e-4),
    "iad": Row(200, {1: 0.1, 100: 0.1, 101: 0.01, 152: 0.01, 200: 0.01}, 2e-4),
    "rslad": Row(
        300, {1: 0.1, 215: 0.1, 216: 0.01, 260: 0.01, 261: 1e-3, 285: 1e-3, 286: 1e-4, 300: 1e-4}, 2e-4,
        set={"scale": 1.0},
    ),
    "ltd": Row(76, {1: 0.1, 74: 0.1, 75: 0.01, 76: 0.01}, 5e-4, 0.031, 0.007),  # a choice: LTD released none
    "lbgat": Row(
        100, {1: 0.02, 2: 0.1, 75: 0.1, 76: 0.01, 90: 0.01, 91: 1e-3, 100: 1e-3}, 2e-4, 0.031, 0.007
    ),
    # OneCycleLR: from lr / 25 up to lr after a quarter (12.5 of 50 epochs), then down; the middle of the way up is midway
    "hat": Row(50, {1: 0.21 / 25, 7.25: (0.21 + 0.21 / 25) / 2, 13.5: 0.21, 51: 0.21 / 25 * 1e-4}, 5e-4, nesterov=True),
    "generalist": Row(
        120, {1: 0.01, 41: 0.01, 61: 0.0055, 81: 1e-3, 101: 5.5e-4, 121: 1e-4}, 5e-4, 0.031, 0.007,
        set={"robust_weight_decay": 3.5e-3, "natural_weight_decay": 5e-4},
    ),
    "adaad": Row(200, RICE, 5e-4, set={"per_class": True}),
    "adr": Row(200, RICE, 5e-4, nesterov=True),
    "kd_swa": Row(200, {1: 0.1, 50: 0.1, 51: 0.01, 150: 0.01, 151: 1e-3, 200: 1e-3}, 5e-4),
    "ikl": Row(200, {1: 0.2, 101: 0.1}, 5e-4, set={"alpha": 4.0}),  # a cosine, without its AWP and its growing radius
    "uiat": Row(200, RICE, 5e-4),  # a choice, as logit pairing's
    "label_smoothing": Row(110, {1: 0.1, 100: 0.1, 101: 0.01, 105: 0.01, 106: 1e-3, 110: 1e-3}, 5e-4),
    "alp": Row(200, RICE, 5e-4),
    "cktat": Row(110, {1: 0.02, 2: 0.1, 100: 0.1, 101: 0.01, 105: 0.01, 106: 1e-3, 110: 1e-3}, 5e-4),  # a choice
}  # fmt: skip


def test_there_is_a_recipe_for_every_design() -> None:
    assert AUTHORS.keys() == DESIGNS.keys() == TABLE.keys()


@pytest.mark.parametrize("design", DESIGNS)
def test_the_authors_recipe_is_that_of_their_release(design) -> None:
    found, row = setting("authors", design, dataset()), TABLE[design]
    recipe = found.recipe
    assert (recipe.epochs, recipe.batch_size, recipe.weight_decay) == (row.epochs, row.batch, row.weight_decay)
    assert (recipe.momentum, recipe.nesterov, recipe.augment) == (0.9, row.nesterov, "data")
    assert (recipe.ema, recipe.awp) == (None, 0.0)
    assert (found.threat.eps, found.threat.step, found.threat.steps) == (row.eps, pytest.approx(row.step), 10)
    assert found.set == row.set
    for epoch, lr in row.lr.items():
        assert recipe.lr * lr_factor(recipe, epoch - 1) == pytest.approx(lr, rel=1e-6), f"epoch {epoch}"


@pytest.mark.parametrize("design", DESIGNS)
def test_hyper_parameters_of_a_recipe_are_ones_that_the_design_has(design) -> None:
    made = make(design, **setting("authors", design, dataset()).set)
    if design == "generalist":
        assert {n.letter: n.weight_decay for n in made.learners} == {"R": 3.5e-3, "N": 5e-4}


def test_rslad_multiplies_by_ten_and_ard_takes_batches_of_256_on_a_hundred_classes() -> None:
    hundred = dataset(classes=100)
    assert setting("authors", "rslad", hundred).set == {"scale": 10.0}
    assert setting("authors", "ard", hundred).recipe.batch_size == 256
    assert setting("authors", "iad", hundred).recipe.batch_size == 128


def test_later_designs_have_other_constants_on_a_hundred_classes() -> None:
    hundred = dataset(classes=100)
    assert setting("authors", "adaad", hundred).set == {"per_class": False}
    assert setting("authors", "adr", hundred).set == {"tau": 1.5, "last_tau": 1.0}
    assert setting("authors", "ikl", hundred).set == {"alpha": 5.0}


@pytest.mark.parametrize("design", DESIGNS)
def test_other_data_keep_their_own_radius(design) -> None:
    threat = setting("authors", design, dataset(eps=0.15)).threat
    assert (threat.eps, threat.step) == (0.15, pytest.approx(0.15 / 4))


@pytest.mark.parametrize("design", [*DESIGNS, "./mine.py:mine"])
def test_the_common_recipe_is_the_same_for_all(design) -> None:
    assert setting("common", design, dataset()) == common(dataset())


@pytest.mark.parametrize(("images", "epochs", "lr"), [(9_999, 30, 0.1), (10_000, 40, 0.2)])
def test_the_common_recipe_goes_by_the_size_of_the_data(images, epochs, lr) -> None:
    found = common(dataset(images=images))
    assert (found.recipe.epochs, found.recipe.lr, found.recipe.batch_size) == (epochs, lr, 128)
    assert (found.recipe.schedule, found.recipe.nesterov) == ("one-cycle", True)
    assert (found.threat.eps, found.threat.step, found.threat.steps) == (8 / 255, 2 / 255, 10)


def test_an_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(CktatError, match=r"unknown recipe 'author'; did you mean 'authors'.*known: common, authors"):
        setting("author", "trades", dataset())


@pytest.mark.parametrize("design", ["./mine.py:mine", "Mine"])
def test_a_users_own_design_has_no_authors_recipe(design) -> None:
    with pytest.raises(CktatError, match="use --recipe common"):
        setting("authors", design, dataset())
