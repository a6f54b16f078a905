"""Networks that a user already has: they enter the store under the sum of their weights, with a card like any other."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from cktat.api.records import card_of, located
from cktat.api.store import Store
from cktat.data import Dataset
from cktat.designs import make
from cktat.errors import CktatError, named_file, one_line
from cktat.labels.walk import canonical
from cktat.models import build, check, require_types
from cktat.runs import RunConfig, RunFolder, by_content, code_of, commit, digest, looks_like, save_weights, versions
from cktat.runs.files import load_tensors


def import_network(path: Path, config: RunConfig, data: Dataset, store: Store) -> tuple[RunFolder, str]:
    """Puts the weights in `path` (safetensors, or a state dict of torch.save) into the store; returns folder and name.

    The name is `DESIGN@HASH`, DESIGN being how the network was trained (`config.design`) and HASH the sum of its weights, of
    the text of a user's own architecture and of the data: what `--set teacher=` and `start=` take. The recipe's `inputs`
    say what the network was trained on; weights that carry a mean and std keep theirs.

    Raises CktatError for a file that is no state dict, or one of another architecture. Runs no code from the file.
    """
    design = make(config.design)
    mean, std = data.normalisation(config.recipe.inputs)
    module = build(config.model, classes=len(data.classes), channels=data.channels, mean=mean, std=std)
    _fill(module, _read(path), path, config.model)
    check(module, (data.channels, *data.size), len(data.classes))
    tensors = module.state_dict()
    code = code_of(config, canonical(design))
    content = [digest(tensors), by_content(config.model), data.content]
    name = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
    folder = store.named("imported", config.design, name[:8])
    card = card_of(config, data, design, name, code) | {
        "mean": module.mean.flatten().tolist(),
        "std": module.std.flatten().tolist(),
        "epoch": None,
    }
    for weights in ("last", "best"):
        save_weights(folder.weights(weights), tensors, card)
    folder.begin(
        identity=name,
        design={"name": design.name, "declared": canonical(design)},
        config=located(config).model_dump(mode="json"),
        code=code,
        data={"name": data.name, "fingerprint": data.fingerprint, "training_images": len(data.train)},
        imported=path.name,
        commit=commit(),
        versions=versions(),
        hardware=None,
        started=None,
        finished={"imported": True},
    )
    return folder, f"{config.design}@{name[:8]}"


def _read(path: Path) -> dict[str, Tensor]:
    with named_file(path, "read"), path.open("rb"):
        pass
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = load_tensors(path)
    except pickle.UnpicklingError:  # whose text advises to run what is in it
        raise CktatError(
            f"{path} holds no weights that can be read safely ({looks_like(path)}): it must hold tensors only, as "
            f"torch.save(model.state_dict(), FILE) writes them"
        ) from None
    except Exception as error:  # torch raises many kinds for damaged or hostile files
        raise CktatError(
            f"{path} holds no weights that can be read safely ({looks_like(path)}): {one_line(error)}"
        ) from None
    for key in ("state_dict", "model_state_dict", "model", "net"):  # how training scripts wrap a state dict
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()) or not content:
        raise CktatError(f"{path} holds no state dict: it must map names to tensors")
    return content


def _fill(module: torch.nn.Module, weights: dict[str, Tensor], path: Path, model: str) -> None:
    weights = {name.removeprefix("module."): value for name, value in weights.items()}  # DataParallel's prefix
    own = module.state_dict()
    if not any(name.startswith("body.") for name in weights):
        weights = {f"body.{name}": value for name, value in weights.items()}
    weights = {name: own[name] for name in ("mean", "std")} | weights
    missing = [name for name in own if name not in weights]
    foreign = [name for name in weights if name not in own]
    shaped = [name for name in own if name in weights and own[name].shape != weights[name].shape]
    if missing or foreign or shaped:
        parts = [
            f"{what} {names[0].removeprefix('body.')}{f' and {len(names) - 1} more' if names[1:] else ''}"
            for what, names in (("it lacks", missing), ("it has", foreign), ("it has another shape of", shaped))
            if names
        ]
        raise CktatError(
            f"{path} is not of architecture {model!r}: {', '.join(parts)}; give yours with --model file.py:function"
        )
    require_types(module, weights, str(path))
    module.load_state_dict(weights)
