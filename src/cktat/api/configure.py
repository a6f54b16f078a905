"""From what a user asks for to the configuration of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from cktat.api.recipes import setting
from cktat.attacks import Ball
from cktat.data import Dataset, load
from cktat.errors import CktatError, unknown
from cktat.runs import Recipe, RunConfig, Threat, checked, device_of, number, precision_of

RUN_OPTIONS = (
    "design",
    "set",
    "data",
    "root",
    "size",
    "strict",
    "examples",
    "held_out",
    "model",
    "recipe",
    "seed",
    "precision",
    "threads",
    "device",
    "compile",
)
THREAT_OPTIONS = tuple(Threat.model_fields)
RECIPE_OPTIONS = tuple(Recipe.model_fields)
OPTIONS = (*RUN_OPTIONS, *THREAT_OPTIONS, *RECIPE_OPTIONS)

KINDS: dict[str, tuple[type, ...]] = {
    "set": (dict,),
    "examples": (int,),
    "root": (str, Path),
    "size": (str, int),
    "strict": (bool,),
} | dict.fromkeys(("design", "data", "model", "recipe", "precision", "device"), (str,))
"""What an option must be, where the schema is not asked before the option is used."""


def configure(loaded: Dataset | None = None, **options: Any) -> tuple[RunConfig, Dataset]:
    """The configuration that `options` (names of OPTIONS, None for "not given") ask for, and its data set.

    loaded: that data set, if it is there already. What is not given comes from the recipe, and its radius from the data
    set. Raises CktatError for an unknown option or a value that makes no sense, in one line.
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
    for name, kinds in KINDS.items():
        if name in given and not isinstance(given[name], kinds):
            wanted = {str: "text", int: "a whole number", dict: "names and values", bool: "true or false"}[kinds[0]]
            raise CktatError(f"{name} must be {wanted}, not {given[name]!r}")
    spec, root = given.get("data", "digits"), given.get("root")
    size, strict = given.get("size"), given.get("strict", False)
    data = loaded or load(spec, root, size=size, strict=strict).subset(given.get("examples"))
    design = given.get("design", "cktat")
    base = setting(given.get("recipe", "common"), design, data)
    recipe = base.recipe.model_dump() | {k: v for k, v in given.items() if k in RECIPE_OPTIONS}
    threat = base.threat.model_dump() | {
        k: number(k, v) if k in ("eps", "step") else v for k, v in given.items() if k in THREAT_OPTIONS
    }
    Ball(threat["eps"], data.box, threat["norm"])
    if "eps" in given and "step" not in given:
        threat["step"] = threat["eps"] * base.threat.step / base.threat.eps
    adversary = checked(Threat, threat, "the adversary")
    if adversary.step <= 0 < adversary.eps:
        raise CktatError(f"step must be above 0, not {adversary.step}")
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
            "recipe": checked(Recipe, recipe, "the recipe"),
            "threat": adversary,
            "seed": given.get("seed", 0),
            "precision": precision_of(given.get("precision", "auto"), device),
            "threads": given.get("threads", torch.get_num_threads()),
            "device": str(device),
            "compile": given.get("compile", False),
        },
        "the run",
    ), data
