"""From options to a configuration: what is given wins, what is not comes from recipe and data, what is wrong is said."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cktat.api import configure
from cktat.errors import CktatError
from cktat.runs import RunConfig, number
from cktat.schema import OPTIONS, Recipe, Threat


def test_what_is_not_given_comes_from_the_recipe_and_the_data() -> None:
    config, data = configure()
    assert (config.design, config.data, config.model, config.seed, config.set) == ("cktat", "digits", "small", 0, {})
    assert (config.recipe.epochs, config.recipe.lr, config.recipe.batch_size) == (30, 0.1, 128)
    assert (config.threat.eps, config.threat.step, config.threat.steps) == (data.eps, data.eps / 4, 10)
    assert config.threads == torch.get_num_threads() and config.precision in ("fp32", "bf16")


def test_none_is_not_given() -> None:
    assert configure(**dict.fromkeys(OPTIONS))[0] == configure()[0]


CHANGED = {
    "epochs": 7, "batch_size": 9, "lr": 0.3, "momentum": 0.5, "nesterov": False, "weight_decay": 0.0,
    "schedule": "linear", "points": ((0.5, 0.2), (1.0, 0.1)), "rise": 0.4, "warmup_epochs": 2.0, "warmup_factor": 0.5,
    "ema": 0.9, "awp": 0.005, "augment": "none", "eps": 0.2, "step": 0.01, "steps": 3,
    "norm": "L2", "optimiser": "adamw", "optimiser_args": {"dampening": 0.0}, "inputs": "raw",
    "inner": "n-fgsm", "alpha": 0.2, "noise": 1.5, "steps_from": 2, "stop_margin": 1.0, "overfitting": "warn",
}  # fmt: skip


@pytest.mark.parametrize("recipe", ["common", "authors"])
@pytest.mark.parametrize("option", [*Recipe.model_fields, *Threat.model_fields])
def test_an_option_overrides_the_recipe_and_nothing_else(option, recipe) -> None:
    single = {"inner": "n-fgsm"} if option in ("alpha", "noise") else {}  # PGD has none of these
    usual, _ = configure(design="generalist", recipe=recipe, **single)
    changed, _ = configure(design="generalist", recipe=recipe, **single, **{option: CHANGED[option]})
    part = "recipe" if option in Recipe.model_fields else "threat"
    update = {option: CHANGED[option]}
    if option == "eps":
        update["step"] = pytest.approx(usual.threat.step / usual.threat.eps * 0.2)
    if option == "optimiser":  # another than sgd has no momentum of these
        update |= {"momentum": 0.9, "nesterov": True}
    assert getattr(changed, part).model_dump() == getattr(usual, part).model_dump() | update
    other = "threat" if part == "recipe" else "recipe"
    assert changed.model_dump(exclude={part}) == usual.model_dump(exclude={part})
    assert getattr(changed, other) == getattr(usual, other)


def test_the_authors_recipe_is_that_of_the_teachers_too_unless_another_is_asked_for() -> None:
    asked = [{}, {"recipe": "authors"}, {"recipe": "authors", "teacher_recipe": "same"}, {"teacher_recipe": "authors"}]
    found = [configure(design="rslad", **options)[0] for options in asked]
    assert [one.teacher_recipe for one in found] == ["same", "authors", "same", "authors"]
    assert {one.teacher_epochs for one in found} == {None}


def test_hyper_parameters_override_those_of_the_recipe_one_by_one() -> None:
    config, _ = configure(design="generalist", recipe="authors", set={"natural_weight_decay": 0.0})
    assert config.set == {"robust_weight_decay": 3.5e-3, "natural_weight_decay": 0.0}


@pytest.mark.parametrize(
    ("text", "value"), [("8/255", 8 / 255), ("0.031", 0.031), (" 8 / 255 ", 8 / 255), ("1e-2", 0.01), ("0", 0.0)]
)
def test_a_radius_is_kept_as_written(text, value) -> None:
    assert number("eps", text) == value
    assert configure(eps=text)[0].threat.eps == value


@given(st.integers(1, 255), st.integers(1, 255))
def test_a_fraction_is_the_quotient_to_the_last_bit(top, bottom) -> None:
    assert number("eps", f"{top}/{bottom}") == top / bottom


@pytest.mark.parametrize("text", ["eight", "8/0", "8/", "/255", "8//255", "8/255/2", ""])
def test_what_is_no_fraction_is_refused(text) -> None:
    with pytest.raises(CktatError, match="eps must be a finite number, or a fraction such as 8/255, not"):
        configure(eps=text)


def test_the_step_follows_the_radius_in_the_proportion_of_the_recipe() -> None:
    assert configure(eps="4/255")[0].threat.step == pytest.approx(1 / 255)
    assert configure(eps="4/255", step="3/255")[0].threat.step == 3 / 255
    assert configure(design="trades", recipe="authors", eps=0.3)[0].threat.step == pytest.approx(0.3 / 4)


def test_a_radius_of_zero_is_an_adversary_that_stays() -> None:
    threat = configure(eps=0)[0].threat
    assert (threat.eps, threat.step) == (0, 0)


@pytest.mark.parametrize(
    ("name", "near"), [("epoch", "epochs"), ("batchsize", "batch_size"), ("sed", "seed"), ("eqs", "eps")]
)
def test_an_unknown_option_names_the_nearest(name, near) -> None:
    with pytest.raises(CktatError, match=f"unknown option of a run {name!r}; did you mean .*{near!r}"):
        configure(**{name: 1})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"epochs": 0}, "the recipe: epochs: .*greater than or equal to 1, not 0"),
        ({"epochs": -3}, "epochs"),
        ({"epochs": 2.5}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"steps": 0}, "the adversary: steps"),
        ({"steps": -1}, "steps"),
        ({"lr": 0}, "lr"),
        ({"lr": math.nan}, "lr"),
        ({"lr": math.inf}, "lr"),
        ({"weight_decay": -1}, "weight_decay"),
        ({"momentum": 1}, "momentum"),
        ({"schedule": "cyclic"}, "schedule"),
        ({"augment": "mixup"}, "augment"),
        ({"ema": 1}, "ema"),
        ({"awp": -0.1}, "awp"),
        ({"eps": -0.1}, "eps must be 0 or more"),
        ({"eps": math.nan}, "eps must be a finite number"),
        ({"eps": "nan"}, "eps must be a finite number"),
        ({"eps": "inf"}, "eps must be a finite number"),
        ({"eps": 1.5}, r"eps 1.5 is wider than the data's box \[0.0, 1.0\]"),
        ({"eps": 8}, "wider than the data's box"),
        ({"step": 0}, "step must be above 0"),
        ({"step": -0.1}, "step"),
        ({"step": math.nan}, "step"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"threads": 0}, "threads"),
        ({"threads": 100_000}, "threads: input should be less than or equal to 1024"),
        ({"held_out": 0}, "held_out"),
        ({"examples": 0}, "cannot train on 0 images"),
        ({"examples": 10**6}, "cannot train on 1000000 images: there are"),
        ({"precision": "fp16"}, "unknown precision 'fp16'"),
        ({"device": "tpu"}, "device 'tpu'"),
        ({"data": "digit"}, "unknown data 'digit'; did you mean 'digits'"),
        ({"recipe": "commom"}, "unknown recipe 'commom'; did you mean 'common'"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(options, named) -> None:
    with pytest.raises(CktatError, match=named):
        configure(**options)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@settings(max_examples=200)
@given(option=st.sampled_from(list(OPTIONS)), value=anything)
def test_whatever_a_file_holds_gives_a_configuration_or_one_clear_error(option, value) -> None:
    """A YAML file may hold any kind of value under any key."""
    if option == "threads" and isinstance(value, int | float):
        value = min(value, 4)
    try:
        config, _ = configure(**{option: value})
    except CktatError as error:
        assert str(error)
    else:
        assert isinstance(config, RunConfig)
