"""What a run writes about itself, and what is asked of a folder before anything is written into it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from cktat.api.needs import needed, of_other_runs
from cktat.data import DATASETS, Dataset
from cktat.data.loading import located as data_located
from cktat.designs import DESIGNS
from cktat.errors import CktatError
from cktat.labels import Design
from cktat.labels.walk import canonical
from cktat.models import MODELS
from cktat.registry import Registry
from cktat.runs import RunConfig, RunFolder, World, commit, hardware, identity, versions
from cktat.runs.files import Card
from cktat.usercode import absolute, is_file_function


def identity_of(config: RunConfig, data: Dataset, design: Design) -> str:
    """The identity of the run that trains `design` so. How its teachers and starts are trained is part of it where they are
    not trained as it is."""
    alike = config.model_copy(update={"teacher_recipe": "same", "teacher_epochs": None})
    others: dict[str, str] = {}
    for network in of_other_runs(design) if alike != config else ():
        (theirs, made), (usual, _) = needed(config, network, data), needed(alike, network, data)
        if made is not None and (name := identity_of(theirs, data, made)) != identity_of(usual, data, made):
            others[network.letter] = name
    return identity(config, canonical(design), data.content, adversarial=design.adversarial, others=others)


def located(config: RunConfig) -> RunConfig:
    """The same with whole paths, so that what is written of a run means the same in any working directory."""

    def whole(text: Any) -> Any:
        return absolute(text) if isinstance(text, str) and is_file_function(text) else text

    root = config.root and str(Path(config.root).expanduser().resolve())
    own = {
        "design": whole(config.design),
        "model": whole(config.model),
        "data": data_located(config.data),
        "root": root,
    }
    recipe = config.recipe.model_copy(
        update={name: whole(getattr(config.recipe, name)) for name in ("optimiser", "schedule", "augment")}
    )
    return config.model_copy(
        update=own | {"recipe": recipe, "set": {key: whole(value) for key, value in config.set.items()}}
    )


def card_of(config: RunConfig, data: Dataset, design: Design, name: str, code: Mapping[str, str]) -> Card:
    """What the weights of a run are, for whoever finds the file. code: see `code_of`."""
    config = located(config)
    mean, std = data.normalisation(config.recipe.inputs)
    return {
        "model": config.model,
        "classes": list(data.classes),
        "channels": data.channels,
        "size": list(data.size),
        "mean": list(mean),
        "std": list(std),
        "eps": config.threat.eps,
        "norm": config.threat.norm,
        "data": {"name": config.data, "fingerprint": data.fingerprint} | notes_of(data),
        "design": design.name,
        "seed": config.seed,
        "run": name,
        "code": dict(code),
    }


def begin(
    folder: RunFolder,
    config: RunConfig,
    design: Design,
    data: Dataset,
    name: str,
    code: Mapping[str, str],
    world: World,
) -> None:
    folder.begin(
        identity=name,
        design={"name": design.name, "declared": canonical(design)},
        config=located(config).model_dump(mode="json"),
        code=dict(code),
        data={"name": data.name, "fingerprint": data.fingerprint, "training_images": len(data.train)} | notes_of(data),
        commit=commit(),
        versions=versions() | packages_of(config),
        hardware=hardware(torch.device(config.device), world.size),
        started=now(),
        finished=None,
    )


def packages_of(config: RunConfig) -> dict[str, str]:
    """The versions of the packages that bring the run's design, data or network by name."""
    named: tuple[tuple[Registry[Any], str], ...] = (
        (DESIGNS, config.design),
        (DATASETS, config.data.partition(":")[0]),
        (MODELS, config.model),
    )
    brought = [registry.brought().get(name) for registry, name in named if name not in registry.own]
    return dict(package.rsplit(" ", 1) for package in brought if package)


def notes_of(data: Dataset) -> dict[str, Any]:
    """What is to be said of how the data were read, as a field of a record; nothing where there is nothing."""
    return {"notes": list(data.notes)} if data.notes else {}


def go_on_with(folder: RunFolder, inputs: dict[str, Any]) -> dict[str, float] | None:
    """Notes the networks that a run is given; returns what was calibrated before, if it was."""
    there = folder.read()
    if there.get("inputs") not in (None, inputs):
        raise CktatError(f"{folder.path} began with other teachers than the store holds now; train anew with --out")
    folder.write(inputs=inputs)
    return there.get("calibrated")


def kept(folder: RunFolder, calibrated: dict[str, float]) -> dict[str, float]:
    folder.write(calibrated=calibrated)
    return calibrated


def require_free(folder: RunFolder) -> None:
    # What a run leaves that was killed before its run.json was there does not count, nor one that begins just now.
    left = (".lock", f".{folder.run_json.name}.")
    there = folder.path.is_dir() and any(not path.name.startswith(left) for path in folder.path.iterdir())
    if there and not folder.exists:
        raise CktatError(f"{folder.path} exists and holds no run; choose another --out")


def require_same(folder: RunFolder, config: RunConfig, name: str, code: Mapping[str, str]) -> None:
    there = folder.read()
    if there.get("identity") == name:
        return
    different = [
        f"{key} is {old!r} there, {new!r} here" for key, old, new in differing(there.get("config", {}), located(config))
    ]
    sums = there.get("code") or {}
    different += [f"the text of {spec} was changed" for spec in code if sums.get(spec, code[spec]) != code[spec]]
    raise CktatError(
        f"{folder.path} holds another run ({there.get('identity')}): "
        f"{'; '.join(different[:3]) or 'its design or data differ'}; choose another --out"
    )


def differing(there: dict[str, Any], config: RunConfig) -> list[tuple[str, Any, Any]]:
    """(setting, its value in the recorded configuration `there`, its value in `config`) where the two are not the same."""
    old, new = _flat(there), _flat(config.model_dump(mode="json"))
    return [(key, old.get(key), new[key]) for key in new if old.get(key) != new[key]]


def _flat(fields: dict[str, Any]) -> dict[str, Any]:
    inner = {k: v for name in ("recipe", "threat") for k, v in fields.get(name, {}).items()}
    return {name: value for name, value in fields.items() if name not in ("recipe", "threat")} | inner


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
