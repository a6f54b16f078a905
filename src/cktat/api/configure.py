"""From what a user asks for to the configuration of a run."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import torch

from cktat.api.recipes import setting
from cktat.attacks import Ball
from cktat.data import Dataset, load
from cktat.errors import CktatError, unknown
from cktat.runs import checked, device_of, number, precision_of, yaml_text
from cktat.schema import OPTIONS, Recipe, RunConfig, Threat
from cktat.training import OF_SGD, check_optimiser


def configure(loaded: Dataset | None = None, **options: Any) -> tuple[RunConfig, Dataset]:
    """The configuration that `options` (names of `cktat.schema.OPTIONS`, None for "not given") ask for, and its data set.

    loaded: that data set, if it is there already. What is not given comes from the recipe, and its radius from the data
    set. Raises CktatError for an unknown option or a value that makes no sense, in one line.

    Example:
        >>> config, data = configure(design="trades", epochs=3)
        >>> config.recipe.epochs, data.name
        (3, 'digits')
    """
    for name in options:
        if name not in OPTIONS:
            raise unknown("option of a run", name, OPTIONS)
    # a NumPy number is one, though the schema takes Python's only
    given = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in options.items()
        if value is not None
    }
    for name, value in given.items():
        if OPTIONS[name].part is RunConfig:  # these are used before the schema is asked
            OPTIONS[name].require_kind(value)
    spec, root = given.get("data", "digits"), given.get("root")
    size, strict = given.get("size"), given.get("strict", False)
    data = loaded or load(spec, root, size=size, strict=strict).subset(given.get("examples"))
    design = given.get("design", "cktat")
    base = setting(given.get("recipe", "common"), design, data, given.get("model", "small"))
    fields = base.recipe.model_dump() | {k: v for k, v in given.items() if k in Recipe.model_fields}
    threat = base.threat.model_dump() | {
        k: number(k, v) if k in ("eps", "step", "alpha") else v for k, v in given.items() if k in Threat.model_fields
    }
    Ball(threat["eps"], data.box, threat["norm"])
    if "eps" in given and "step" not in given:
        threat["step"] = threat["eps"] * base.threat.step / base.threat.eps
    adversary = checked(Threat, threat, "the adversary")
    if adversary.step <= 0 < adversary.eps:
        raise CktatError(f"step must be above 0, not {adversary.step}")
    recipe = checked(Recipe, fields | _of_sgd(fields, given), "the recipe")
    check_optimiser(recipe)
    device = device_of(given.get("device", "auto"))
    return checked(
        RunConfig,
        {
            "design": design,
            "set": base.set | given.get("set", {}),
            "data": spec,
            "root": None if root is None else str(root),
            "size": None if size is None else str(size),
            "strict": strict,
            "examples": given.get("examples"),
            "held_out": given.get("held_out"),
            "model": given.get("model", "small"),
            "recipe": recipe,
            "teacher_recipe": given.get("teacher_recipe", "authors" if given.get("recipe") == "authors" else "same"),
            "teacher_epochs": given.get("teacher_epochs"),
            "threat": adversary,
            "seed": given.get("seed", 0),
            "precision": precision_of(given.get("precision", "auto"), device),
            "threads": given.get("threads", torch.get_num_threads()),
            "device": str(device),
            "compile": given.get("compile", False),
        },
        "the run",
    ), data


def _of_sgd(fields: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Momentum and nesterov for an optimiser that lets them be: what the schema says, whatever a recipe has for sgd, so that
    one training has one identity. Raises CktatError for others that are given."""
    if fields["optimiser"] == "sgd":
        return {}
    usual = {name: Recipe.model_fields[name].default for name in OF_SGD}
    for name, value in usual.items():
        if given.get(name, value) != value:
            raise CktatError(
                f"{name} is sgd's; give the optimiser {fields['optimiser']} its own with --optimiser-args NAME=VALUE"
            )
    return usual


def settings_text(without: Collection[str] = (), /, **options: Any) -> str:
    """The whole configuration that `options` ask for, as YAML that asks for the same: every option of a run under its
    heading, but for what has no value and what is in `without`. Raises as `configure` does."""
    config, _ = configure(**options)
    fields = config.model_dump(mode="json", exclude_none=True)
    values = fields | fields.pop("recipe") | fields.pop("threat")
    groups: dict[str, dict[str, Any]] = {}
    for name, option in OPTIONS.items():
        if name in values and name not in without:
            groups.setdefault(option.group, {})[name] = values[name]
    return "\n".join(f"# {group}\n{yaml_text(of)}" for group, of in groups.items())
