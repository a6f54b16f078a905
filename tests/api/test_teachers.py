"""How the networks that a run needs are trained: as itself, each by its authors' recipe, or for a length of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cktat.api import Store, configure
from cktat.api.needs import needed, of_other_runs
from cktat.api.records import identity_of
from cktat.data import Dataset, Split
from cktat.designs import DESIGNS, make
from cktat.labels import Design, Frozen, Learner, Term, clean
from cktat.training.schedule import lr_factor


@pytest.fixture(scope="module")
def cifar() -> Dataset:
    split = Split(torch.zeros(10, 3, 4, 4, dtype=torch.uint8), torch.zeros(10, dtype=torch.int64))
    names = tuple(map(str, range(10)))
    return Dataset(
        "like-cifar", split, split, split, names, 255, (0.5,) * 3, (0.2,) * 3, (0.0, 1.0), 8 / 255, "crop-flip"
    )


def theirs(design: str, data: Dataset, hyper: Any = (), **options: Any) -> dict[str, Any]:
    """The configuration of each network that a run of the design needs, by its letter."""
    hyper = dict(hyper)
    config, _ = configure(data, design=design, set=hyper, **options)
    made = make(design, **config.set)
    return {network.letter: needed(config, network, data)[0] for network in of_other_runs(made)}


# epochs, weight decay, eps and inputs of the teacher that a release names, and its rate in epochs counted from 1
RICE = (200, 5e-4, 8 / 255, "data", {100: 0.1, 101: 0.01, 151: 0.001})
TRADES = (76, 2e-4, 0.031, "raw", {74: 0.1, 75: 0.01})
IAD = (200, 2e-4, 8 / 255, "raw", {99: 0.1, 100: 0.01, 149: 0.01, 150: 0.001})  # lr_schedule(epoch + 1)


@pytest.mark.parametrize(
    ("design", "hyper", "letter", "wanted"),
    [
        ("ard", {}, "T", TRADES),
        ("rslad", {}, "T", TRADES),
        ("iad", {}, "T", IAD),
        ("iad", {"variant": "II"}, "C", IAD),
        ("kd_at_auto", {}, "T", RICE),
        ("hat", {}, "H", (50, 5e-4, 8 / 255, "raw", {13.5: 0.21})),
        ("ltd", {}, "T", RICE),
        ("cktat", {}, "T", RICE),
        ("cktat", {}, "S", RICE),
    ],
)
def test_each_teacher_has_the_recipe_of_the_release(design, hyper, letter, wanted, cifar) -> None:
    config = theirs(design, cifar, hyper, recipe="authors")[letter]
    recipe = config.recipe
    epochs, decay, eps, inputs, rates = wanted
    assert (recipe.epochs, recipe.weight_decay, recipe.inputs) == (epochs, decay, inputs)
    assert config.threat.eps == (eps if config.design != "standard" else config.threat.eps)
    for epoch, lr in rates.items():
        assert recipe.lr * lr_factor(recipe, epoch - 1) == pytest.approx(lr), f"epoch {epoch}"


def test_a_teacher_of_a_teacher_has_its_own_recipe_too(cifar) -> None:
    config, _ = configure(cifar, design="rslad", recipe="authors", set={"teacher": "ard"})
    (network,) = of_other_runs(make("rslad", teacher="ard"))
    ard, made = needed(config, network, cifar)
    (inner,) = of_other_runs(made)
    assert (ard.recipe.epochs, needed(ard, inner, cifar)[0].recipe.epochs) == (200, 76)


def test_a_design_that_was_made_keeps_what_it_was_made_with(cifar) -> None:
    S, T = Learner("S"), Frozen("T", of=DESIGNS["trades"](beta=1.0))
    config, _ = configure(cifar, design="rslad", recipe="authors")
    theirs, made = needed(config, Design("own", (Term(S(clean), T(clean)),)).frozen[0], cifar)
    assert theirs.recipe.epochs == 76 and made == DESIGNS["trades"](beta=1.0)


def test_hyper_parameters_of_the_teachers_recipe_are_its_own(cifar) -> None:
    config, _ = configure(cifar, design="rslad", recipe="authors", model="wrn34-10", set={"teacher": "mart"})
    _, made = needed(config, make("rslad", teacher="mart").frozen[0], cifar)
    assert made == DESIGNS["mart"](beta=6.0)


def test_a_radius_that_was_asked_for_is_the_teachers_too(cifar) -> None:
    assert theirs("rslad", cifar, recipe="authors", eps=4 / 255)["T"].threat.eps == 4 / 255
    assert theirs("rslad", cifar, recipe="authors")["T"].threat.eps == 0.031


def test_images_are_the_same_for_a_run_and_its_teachers(cifar) -> None:
    found = theirs("cktat", cifar, recipe="authors", inputs="raw", augment="none")
    assert {(one.recipe.inputs, one.recipe.augment) for one in found.values()} == {("raw", "none")}


def test_under_the_common_recipe_a_teacher_is_trained_as_the_run_is(cifar) -> None:
    config, _ = configure(cifar, design="rslad", epochs=7, lr=0.3)
    found = needed(config, make("rslad").frozen[0], cifar)[0]
    assert (found.recipe, found.threat) == (config.recipe, config.threat)


# Identities


def name(data: Dataset, design: str, **options: Any) -> str:
    config, _ = configure(data, design=design, **options)
    return identity_of(config, data, make(design, **config.set))


@pytest.mark.parametrize("design", ["trades", "standard", "generalist"])
def test_a_run_without_teachers_does_not_know_of_their_length(design, cifar) -> None:
    assert name(cifar, design) == name(cifar, design, teacher_epochs=3) == name(cifar, design, teacher_recipe="authors")


@pytest.mark.parametrize("design", ["cktat", "rslad", "hat", "kd_at_auto"])
def test_a_run_with_a_teacher_is_another_if_the_teacher_is(design, cifar) -> None:
    usual = name(cifar, design, epochs=5)
    assert name(cifar, design, epochs=5, teacher_epochs=5) == usual
    assert len({usual, *(name(cifar, design, epochs=5, teacher_epochs=epochs) for epochs in (6, 7))}) == 3
    assert name(cifar, design, epochs=5, teacher_recipe="authors") != usual


def test_a_helper_that_is_trained_as_the_student_is_makes_no_difference(cifar) -> None:
    assert name(cifar, "hat", recipe="authors") == name(cifar, "hat", recipe="authors", teacher_recipe="same")


def test_the_teachers_length_reaches_its_run_and_no_other(runs, tiny, tmp_path: Path) -> None:
    steps = runs.Steps()
    run = runs.train("cktat", tmp_path, steps=steps, epochs=1, teacher_epochs=3)
    lengths = {one.read()["design"]["name"]: len(one.history()) for one in Store(tmp_path).runs()}
    assert lengths == {"CKTAT": 1, "Standard": 3}
    alone = runs.train("standard", tmp_path, epochs=3, ensure=True)
    assert run.read()["inputs"]["T"]["run"] == alone.read()["identity"], "it is the run that anybody would train"
    assert len(Store(tmp_path).runs()) == 2
    again = runs.train("cktat", tmp_path, epochs=1, teacher_epochs=3, ensure=True)
    assert again.path == run.path
