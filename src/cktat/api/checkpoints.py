"""Files of weights that people have: read without running code, and taken out of what training programs wrap them into."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from torch import Tensor
from torch.serialization import safe_globals

from cktat.errors import CktatError, named_file, one_line, unknown
from cktat.models.layouts import Normal
from cktat.runs import looks_like, read_json
from cktat.runs.files import is_safetensors, known_as, load_tensors

OF_HUB = ("model.safetensors", "pytorch_model.bin")
"""Names of weights in a folder as Hugging Face's libraries write it."""

NOT_NETWORKS = ("optim", "sched", "scaler", "amp", "rng")
"""How names begin that training programs give to what is no network."""

NETWORKS = (
    "student", "teacher", "model", "net", "network", "ema", "model_ema", "ema_model", "natural", "robust", "target",
)  # fmt: skip
"""Under which names several networks stand in one state dict."""

SAVE = "torch.save(model.state_dict(), FILE)"


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds. normal: what a configuration beside it says of its images. part: the weights' name in the file."""

    file: Path
    weights: dict[str, Tensor]
    normal: Normal | None
    part: str


def weights_in(path: Path) -> Path:
    """The file of weights that a path names: itself, or of a folder as Hugging Face's libraries write it the one in there."""
    if not path.is_dir():
        return path
    file = next((path / name for name in OF_HUB if (path / name).is_file()), None)
    if file is None:
        shards = sorted(one.name for one in path.glob("*.index.json"))
        why = f"its weights are in several files ({shards[0]}); put them into one" if shards else "it holds neither"
        raise CktatError(f"{path} is neither a run nor a folder with {' or '.join(OF_HUB)}: {why}")
    return file


def read_checkpoint(file: Path, part: str | None = None) -> Checkpoint:
    """The weights in a file, whatever its suffix: safetensors, or what torch.save wrote.

    Args:
        file: The file.
        part: Which of several networks, by its name in the file.

    Raises:
        CktatError: It holds no state dict, or several where none was named. No code from it runs.
    """
    content = _content(file)
    if isinstance(content, list | tuple) and content:
        raise CktatError(f"{file} holds no state dict but a list, whose parts have no names; {_of_list(content)}")
    there = state_dicts(content)
    if not there:
        raise CktatError(f"{file} holds no state dict: it must map names to tensors, as {SAVE} writes them")
    if part is None and len(there) > 1:
        several = ", ".join(f"{name} ({len(weights)} tensors)" for name, weights in there.items())
        raise CktatError(f"{file} holds {len(there)} networks: {several}; say which with --part NAME")
    named = [name for name in there if part in (None, name, name.rpartition(".")[2])]
    if len(named) != 1:
        raise unknown(f"part of {file}", part, there)
    return Checkpoint(file, there[named[0]], _configured(file), named[0])


def state_dicts(content: Any, name: str = "") -> dict[str, dict[str, Tensor]]:
    """The state dicts of networks in what a file holds, by the names that lead to them, such as "student" or "model.ema"."""
    if not isinstance(content, Mapping):
        return {}
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in content.items():
        if isinstance(key, str) and not key.lower().startswith(NOT_NETWORKS):
            found |= state_dicts(value, f"{name}.{key}" if name else key)
    weights = {
        key: value.detach() for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)
    }
    if found or not weights:
        return found
    return {f"{name}.{key}" if name and key else name or key: value for key, value in _divided(weights).items()}


def _divided(weights: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The networks in one state dict, by the first part of their weights' names; as one without a name where it is one."""
    shared = ""
    while len(first := {name.removeprefix(shared).partition(".")[0] for name in weights}) == 1:
        shared += f"{first.pop()}."
        if not all(name.startswith(shared) for name in weights):
            return {"": weights}
    several = [name for name in NETWORKS if name in first]
    if len(several) < 2:
        return {"": weights}
    return {
        part: {name: value for name, value in weights.items() if name.startswith(f"{shared}{part}.")}
        for part in several
    }


class Passed:
    """Stands for every value of BESIDE that a file holds: nothing is made of it, and nothing of it is run."""

    def __new__(cls, *args: Any, **named: Any) -> Passed:
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None: ...


BESIDE = (
    "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype", "argparse.Namespace",
    "pathlib.PosixPath", "pathlib.WindowsPath",
)  # fmt: skip
"""What training programs leave beside weights: accuracies, and the options that they were called with."""


def _content(path: Path) -> Any:
    with named_file(path, "read"), path.open("rb"):
        pass
    if known := known_as(path):
        raise CktatError(f"{path} holds no weights: {known}")
    try:
        if is_safetensors(path):
            with safe_open(str(path), framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        with safe_globals([(Passed, name) for name in BESIDE]):
            return load_tensors(path)
    except Exception as error:  # torch raises many kinds for damaged or hostile files
        raise CktatError(
            f"{path} holds no weights that can be read safely ({looks_like(path)}): {_why(error)}"
        ) from None


def _why(error: Exception) -> str:
    if "TorchScript" in str(error):
        return "it is a TorchScript archive; save its weights alone: torch.save(torch.jit.load(OLD).state_dict(), FILE)"
    if not isinstance(error, pickle.UnpicklingError):
        return one_line(error)
    # the text of this error advises to run what is in the file
    code = re.search(r"GLOBAL ([\w.]+)", str(error))
    holds = f"it holds {code[1]}, and to load that is to run code; " if code else ""
    return f"{holds}it must hold tensors only, as {SAVE} writes them, where the network is at home"


def _of_list(content: Sequence[Any]) -> str:
    if all(isinstance(one, Tensor) for one in content):
        return "with the network that they are of: torch.save(dict(zip(model.state_dict(), torch.load(OLD))), FILE)"
    if all(isinstance(one, list | tuple) and len(one) == 2 and isinstance(one[0], str) for one in content):
        return "they are pairs: torch.save(dict(torch.load(OLD)), FILE)"
    return f"save the weights alone: {SAVE}"


def _configured(file: Path) -> Normal | None:
    """The normalisation that a configuration beside a file of a Hugging Face folder names."""
    if file.name not in OF_HUB:
        return None
    for name in ("preprocessor_config.json", "config.json"):
        said = read_json(file.with_name(name)) if file.with_name(name).is_file() else {}
        for place in (said, said.get("pretrained_cfg")) if isinstance(said, dict) else ():
            for mean, std in (("image_mean", "image_std"), ("mean", "std")):
                if isinstance(place, dict) and _numbers(place.get(mean)) and _numbers(place.get(std)):
                    return tuple(map(float, place[mean])), tuple(map(float, place[std]))
    return None


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, int | float) for one in value)
