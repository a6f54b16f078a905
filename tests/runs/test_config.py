"""The configuration of a run: what its identity is made from, and errors that say what is wrong and where."""

from __future__ import annotations

import hashlib
import json
from typing import get_args

import pytest
from pydantic import BaseModel

from cktat.designs import make
from cktat.labels.walk import canonical
from cktat.runs import Recipe, RunConfig, Threat, checked, identity, read_yaml

RECIPE = {"epochs": 3, "batch_size": 8, "lr": 0.1}
FIELDS = {
    "design": "trades",
    "data": "digits",
    "model": "small",
    "recipe": RECIPE,
    "threat": {"eps": 0.1, "step": 0.025},
}

# Another value for every field of every schema; a field without a line here fails the first test below.
OTHER = {
    "design": "mart",
    "set": {"beta": 3.0},
    "data": "cifar10",
    "root": "elsewhere",
    "size": "48x64",
    "strict": True,
    "examples": 100,
    "held_out": 50,
    "model": "resnet18",
    "seed": 1,
    "precision": "bf16",
    "threads": 7,
    "device": "cuda",
    "compile": True,
    "recipe.epochs": 4,
    "recipe.batch_size": 9,
    "recipe.lr": 0.11,
    "recipe.optimiser": "adamw",
    "recipe.optimiser_args": {"eps": 1e-6},
    "recipe.momentum": 0.8,
    "recipe.nesterov": False,
    "recipe.weight_decay": 1e-4,
    "recipe.schedule": "cosine",
    "recipe.points": ((0.5, 0.1),),
    "recipe.rise": 0.3,
    "recipe.warmup_epochs": 1.0,
    "recipe.warmup_factor": 0.3,
    "recipe.ema": 0.99,
    "recipe.awp": 0.005,
    "recipe.augment": "none",
    "recipe.inputs": "raw",
    "teacher_recipe": "authors",
    "teacher_epochs": 40,
    "threat.eps": 0.2,
    "threat.step": 0.03,
    "threat.steps": 11,
    "threat.norm": "L2",
    "threat.inner": "rs-fgsm",
    "threat.alpha": 0.05,
    "threat.noise": 1.5,
    "threat.steps_from": 1,
    "threat.stop_margin": 0.0,
    "threat.overfitting": "warn",
}
BESIDE = {"threat.alpha": {"threat.inner": "rs-fgsm"}, "threat.noise": {"threat.inner": "n-fgsm"}}
"""What a field is nothing without."""
NO_PART = {
    "design", "set", "data", "root", "size", "strict", "teacher_recipe", "teacher_epochs", "threads", "device", "compile",
    "threat.overfitting",
}  # fmt: skip


def leaves(schema: type[BaseModel], prefix: str = "") -> list[str]:
    found = []
    for name, field in schema.model_fields.items():
        inner = [t for t in (field.annotation, *get_args(field.annotation)) if isinstance(t, type)]
        part = next((t for t in inner if issubclass(t, BaseModel)), None)
        found += leaves(part, f"{name}.") if part else [prefix + name]
    return found


def config(**changes) -> RunConfig:
    """A configuration with some fields changed; `recipe.lr` is one of the recipe."""
    fields = {key: dict(value) if isinstance(value, dict) else value for key, value in FIELDS.items()}
    for name, value in changes.items():
        outer, _, inner = name.rpartition(".")
        (fields[outer] if outer else fields)[inner] = value
    return RunConfig(**fields)


def name_of(run: RunConfig, design: str = "trades", fingerprint: str = "f", **hyper) -> str:
    made = make(design, **hyper)
    return identity(run, canonical(made), fingerprint, adversarial=made.adversarial)


def test_every_field_has_another_value_here() -> None:
    assert set(leaves(RunConfig)) == set(OTHER)
    for name, value in OTHER.items():
        beside = BESIDE.get(name, {})
        assert config(**beside, **{name: value}) != config(**beside), name


@pytest.mark.parametrize("field", sorted(set(OTHER) - NO_PART))
def test_identity_changes_with_what_changes_the_result(field: str) -> None:
    beside = BESIDE.get(field, {})
    assert name_of(config(**beside, **{field: OTHER[field]})) != name_of(config(**beside))


@pytest.mark.parametrize("field", sorted(NO_PART))
def test_identity_does_not_change_with_names_places_and_machines(field: str) -> None:
    assert name_of(config(**{field: OTHER[field]})) == name_of(config())


def test_a_field_that_came_later_leaves_the_identities_of_earlier_runs_as_they_are() -> None:
    fields = config().model_dump(mode="json", exclude=NO_PART)
    fields |= {"design": canonical(make("trades")), "data": "f"}
    fields["recipe"] = {k: v for k, v in fields["recipe"].items() if k not in ("optimiser", "optimiser_args", "inputs")}
    fields["threat"] = {k: v for k, v in fields["threat"].items() if k in ("eps", "step", "steps", "norm")}
    text = json.dumps(json.loads(json.dumps(fields)), sort_keys=True)
    assert name_of(config()) == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_other_runs_are_a_part_by_their_letter() -> None:
    declared = canonical(make("trades"))
    found = {
        identity(config(), declared, "f", adversarial=True, others=others)
        for others in (None, {}, {"T": "a"}, {"T": "b"}, {"S": "a"})
    }
    assert len(found) == 4 and name_of(config()) in found


def test_identity_is_of_the_design_as_declared_and_of_the_content_of_the_data() -> None:
    names = {
        name_of(config()),
        name_of(config(), "mart"),
        name_of(config(), beta=3.0),
        name_of(config(), start="standard"),
        name_of(config(), fingerprint="g"),
    }
    assert len(names) == 5
    assert name_of(config(), beta=6.0) == name_of(config())  # the default, written out
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in names)


def test_a_whole_number_is_the_same_hyper_parameter_with_and_without_its_point() -> None:
    # `--set beta=6` must not train again what beta 6.0 has trained
    assert make("trades", beta=6) == make("trades", beta=6.0)
    assert name_of(config(), beta=6) == name_of(config(), beta=6.0)
    assert name_of(config(**{"recipe.lr": 1})) == name_of(config(**{"recipe.lr": 1.0}))


@pytest.mark.parametrize("field", ["threat.eps", "threat.step", "threat.steps"])
def test_a_design_without_an_adversary_is_the_same_run_at_every_radius(field: str) -> None:
    other = config(**{field: OTHER[field]})
    assert name_of(other, "standard") == name_of(config(), "standard")
    assert name_of(other, "pgd_at") != name_of(config(), "pgd_at")
    changed = config(**{"recipe.lr": 0.2})
    assert name_of(changed, "standard") != name_of(config(), "standard")


def test_a_configuration_is_frozen_and_comes_back_from_json() -> None:
    run = config(set={"beta": 3.0}, **{"recipe.points": ((0.5, 0.1),), "recipe.schedule": "piecewise"})
    assert checked(RunConfig, json.loads(json.dumps(run.model_dump(mode="json"))), "here") == run
    assert name_of(checked(RunConfig, json.loads(json.dumps(run.model_dump(mode="json"))), "here")) == name_of(run)
    with pytest.raises(Exception, match="frozen"):
        run.seed = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("schema", "changes", "message"),
    [
        (Recipe, {"epochs": 0}, r"^the recipe: epochs: .*greater than or equal to 1, not 0$"),
        (Recipe, {"epochs": 1.5}, r"^the recipe: epochs: .*integer.*not 1\.5$"),
        (Recipe, {"lr": 0}, r"^the recipe: lr: .*greater than 0, not 0$"),
        (Recipe, {"lr": float("nan")}, "^the recipe: lr: .*not nan$"),
        (Recipe, {"lr": float("inf")}, "^the recipe: lr: .*not inf$"),
        (Recipe, {"lr": "fast"}, "^the recipe: lr: .*number.*not 'fast'$"),
        (Recipe, {"momentum": 1}, "^the recipe: momentum: .*less than 1, not 1$"),
        (Recipe, {"weight_decay": -1e-4}, "^the recipe: weight_decay: .*not -0.0001$"),
        (Recipe, {"schedule": "step"}, "^the recipe: schedule: .*'one-cycle'.*'constant', not 'step'$"),
        (Recipe, {"rise": 1.5}, r"^the recipe: rise: .*not 1\.5$"),
        (Recipe, {"points": [[0.5]]}, r"^the recipe: points\.0\.1"),
        (Recipe, {"points": [[1.5, 0.1]]}, r"^the recipe: points\.0\.0: .*not 1\.5$"),
        (Recipe, {"augment": "flip"}, "^the recipe: augment: .*not 'flip'$"),
        (Recipe, {"wait_decay": 1}, "^unknown key in the recipe 'wait_decay'; did you mean 'weight_decay'"),
        (Recipe, {"epoch": 1}, "^unknown key in the recipe 'epoch'; did you mean 'epochs'.* known: epochs, batch_size"),
        (Threat, {"eps": -1, "step": 1}, "^the recipe: eps: .*greater than or equal to 0, not -1$"),
        (Threat, {"eps": 0.1, "step": 0.1, "steps": 0}, "^the recipe: steps: .*not 0$"),
        (Threat, {"eps": 0.1, "step": 0.1, "alpha": 0.1}, "alpha is the length of the one step .* pgd have step$"),
        (Threat, {"eps": 0.1, "step": 0.1, "noise": 1.0, "inner": "rs-fgsm"}, "noise is that of n-fgsm, .* rs-fgsm$"),
        (Threat, {"eps": 0.1, "step": 0.1, "steps_from": 1, "inner": "n-fgsm"}, "steps_from is for .* makes one$"),
        (Threat, {"eps": 0.1, "step": 0.1, "stop_margin": 0.0, "inner": "rs-fgsm"}, "stop_margin is for .* makes one$"),
        (Threat, {"eps": 0.1, "step": 0.1, "steps": 3, "steps_from": 4}, "steps_from must be at most steps, 3, not 4$"),
        (Threat, {"eps": 0.1, "step": 0.1, "stop_margin": -0.1}, "stop_margin: .*0, not -0.1$"),
        (
            RunConfig,
            FIELDS | {"compile": True, "threat": {"eps": 0.1, "step": 0.1, "stop_margin": 1.0}},
            "stop_margin makes batches of many sizes, .*; leave one out$",
        ),
    ],
)
def test_values_that_make_no_sense_are_refused_by_name(schema, changes: dict, message: str, one_line) -> None:
    with one_line(message):
        checked(schema, (RECIPE if schema is Recipe else {}) | changes, "the recipe")


def test_a_missing_key_is_named_without_everything_else(one_line) -> None:
    with one_line("^the recipe: batch_size.*(missing|required)(?!.*epochs)"):
        checked(Recipe, {"epochs": 3, "lr": 0.1}, "the recipe")


def test_an_unknown_key_of_a_part_is_compared_with_the_keys_of_that_part(one_line) -> None:
    with one_line(r"unknown key in run\.json '(recipe\.)?epoch'; did you mean 'epochs'"):
        checked(RunConfig, FIELDS | {"recipe": RECIPE | {"epoch": 2}}, "run.json")
    with one_line(r"unknown key in run\.json '(threat\.)?stepz'; did you mean 'step"):
        checked(RunConfig, FIELDS | {"threat": {"eps": 0.1, "step": 0.1, "stepz": 3}}, "run.json")


def test_a_key_that_is_no_text_is_refused_too(one_line) -> None:
    with one_line("unknown key in the recipe '?1'?"):
        checked(Recipe, {**RECIPE, 1: 2}, "the recipe")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "is not valid YAML at line 1, column 6: "),
        ("a: 1\nb:\n  c: 2\n d: 3", "is not valid YAML at line 4, column 2: "),
        ("a: 1\n\tb: 2", "is not valid YAML at line 2, column 1: "),
        ("a: *b", "at line 1, column 4: anchors and aliases"),
        ("a: !!python/object/apply:os.getcwd []", "at line 1, column 4: the tag .* is not read"),
        ("- 1\n- 2", "must hold keys and values, not list"),
        ("trades", "must hold keys and values, not str"),
        ("", "must hold keys and values, not NoneType"),
        ("a: \x01", "is not valid YAML.*unacceptable character"),
        ("a: 2020-13-40", "at line 1, column 4: '2020-13-40' is refused: there are no dates here"),
    ],
)
def test_broken_yaml_is_one_line_with_its_place(text: str, message: str, tmp_path, one_line) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    with one_line(rf"run\.yaml {message}"):
        read_yaml(path)


def test_yaml_that_is_no_text_or_not_there(tmp_path, one_line) -> None:
    path = tmp_path / "run.yaml"
    with one_line(r"there is no file .*run\.yaml"):
        read_yaml(path)
    path.write_bytes(b"a: \xff\xfe")
    with one_line(r"run\.yaml is not valid YAML: .*decode"):
        read_yaml(path)
    path.write_text("lr: 1e-1\nset:\n  tau: 3\n", encoding="utf-8")
    fields = read_yaml(path)
    assert fields["set"] == {"tau": 3}
    assert checked(Recipe, RECIPE | {"lr": fields["lr"]}, "the recipe").lr == 0.1
