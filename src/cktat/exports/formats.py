"""The formats by name, and the function that writes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cktat.api.run import Run
from cktat.errors import CktatError, unknown
from cktat.exports.hub import write_hub
from cktat.exports.leaving import Leaving
from cktat.exports.onnx_model import write_onnx
from cktat.exports.program import write_program
from cktat.exports.robustbench import write_entry
from cktat.exports.tensors import write_safetensors
from cktat.runs import RunFolder
from cktat.usercode import blamed


@dataclass(frozen=True)
class Format:
    """A format: what writes it, how its name ends ("" for a folder), and which options it takes."""

    write: Callable[..., None]
    ending: str
    takes: tuple[str, ...] = ()


FORMATS = {
    "safetensors": Format(write_safetensors, ".safetensors"),
    "torch-export": Format(write_program, ".pt2"),
    "onnx": Format(write_onnx, ".onnx"),
    "hub": Format(write_hub, "", ("licence",)),
    "robustbench": Format(write_entry, "", ("name",)),
}


@blamed()
def export(
    run: RunFolder | str | Path,
    to: str,
    out: str | Path | None = None,
    *,
    weights: str = "best",
    licence: str | None = None,
    name: str | None = None,
    store: str | Path | None = None,
    trust_code: bool = False,
) -> Path:
    """Writes a trained network for other programs. It takes images in [0, 1] in any batch size, the normalisation inside.

    Every file says the classes, the size of images, eps, norm, the design and the sum of the weights. Programs (torch-export,
    onnx) are compared with the network before they are written.

    Args:
        run: a run, by its folder or its name in the store.
        to: "safetensors", "torch-export", "onnx", "hub" (a folder for the Hugging Face Hub) or "robustbench" (a folder with
            model entry, weights and JSON).
        out: the file or folder; None is one beside you, named as the run. What is there is written anew.
        weights: "best" on held-out images, or "last".
        licence: of a Hub folder, the licence you give, such as "mit"; None says that none was stated.
        name: of a RobustBench entry, None is made of design, year and model.
        store: where runs lie; None is CKTAT_STORE or ./runs.
        trust_code: see `Run.model`.

    Returns:
        The file or folder.

    Raises:
        CktatError: there is no such run or format, or the network or its results are not what the format wants.

    Example:
        >>> import cktat
        >>> run = cktat.train("pgd_at", data="digits", epochs=1, show=False, ensure=True)
        >>> cktat.export(run, "safetensors", "digits.safetensors").name
        'digits.safetensors'
    """
    if to not in FORMATS:
        raise unknown("format", to, FORMATS)
    form, given = FORMATS[to], {"licence": licence, "name": name}
    for option, value in given.items():
        if value is not None and option not in form.takes:
            raise CktatError(
                f"{option} is not for {to}; it is for {next(k for k, f in FORMATS.items() if option in f.takes)}"
            )
    leaving = Leaving.of(Run.open(run, store), weights, trust_code)
    path = Path(out) if out is not None else Path(f"{leaving.run.path.resolve().name}{form.ending or f'-{to}'}")
    path = path.expanduser()
    if form.ending and path.is_dir():
        raise CktatError(
            f"{path} is a folder; --to {to} writes a file: name it, such as {path / f'network{form.ending}'}"
        )
    if not form.ending and path.exists() and not path.is_dir():
        raise CktatError(f"{path} is a file; --to {to} writes a folder: give another name")
    if (path / "run.json").exists():
        raise CktatError(f"{path} is the folder of a run; give another name with --out")
    options: dict[str, Any] = {option: given[option] for option in form.takes}
    form.write(leaving, path, **options)
    return path
