"""The files that a report draws from: the accuracy curve and the adversarial pictures of a run's weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator
from torch import Tensor

from cktat.errors import CktatError
from cktat.runs import Kept, read_sealed, read_tensors, write_tensors

CURVE, PICTURES = "an accuracy curve of `cktat evaluate`", "pictures of `cktat evaluate`"
TOTAL = "pictures_sha256"


class CurveKept(Kept):
    """Right images at several radii, of the first `images` test images."""

    attack: str
    images: Annotated[int, Field(ge=1)]
    eps: list[Annotated[float, Field(ge=0)]]
    correct: list[Annotated[int, Field(ge=0)]]
    weights_sha256: str

    @model_validator(mode="after")
    def _fits(self) -> CurveKept:
        if len(self.eps) != len(self.correct) or max(self.correct, default=0) > self.images:
            raise ValueError("it needs one number of right images, of all at most, for each radius")
        return self


class PicturesKept(Kept):
    """What pictures are of."""

    weights_sha256: str
    pictures_sha256: str


def read_curve(path: Path) -> dict[str, Any]:
    """The fields of a curve. Raises CktatError if the file is broken or was edited."""
    return read_sealed(path, CurveKept, CURVE)


def write_pictures(path: Path, tensors: Mapping[str, Tensor], weights: str) -> None:
    """Images [n, C, H, W] `x`, `x_adv`; classes [n] `y`, `before`, `after`; places [n] `index`; the sum of the weights."""
    write_tensors(path, tensors, {"weights_sha256": weights}, TOTAL)


def read_pictures(path: Path, classes: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_pictures` wrote. Raises CktatError if the file is broken, was edited, or holds no such pictures."""
    tensors, about = read_tensors(path, PicturesKept, TOTAL, PICTURES)
    images, numbers = ("x", "x_adv"), ("y", "before", "after", "index")
    if missing := [name for name in (*images, *numbers) if name not in tensors]:
        raise CktatError(f"{path} is not {PICTURES}: it lacks {missing[0]}")
    x = tensors["x"]
    fits = all(tensors[name].is_floating_point() and tensors[name].shape == x.shape for name in images) and x.dim() == 4
    counted = all(tensors[name].dtype == tensors["y"].dtype and tensors[name].shape == x.shape[:1] for name in numbers)
    if not (fits and counted and not tensors["y"].is_floating_point() and not tensors["y"].is_complex()):
        raise CktatError(f"{path} is not {PICTURES}: its images and numbers do not fit each other")
    for name in ("y", "before", "after"):
        if len(x) and not 0 <= int(tensors[name].min()) <= int(tensors[name].max()) < classes:
            raise CktatError(f"{path} is not {PICTURES}: {name} has classes beyond the {classes} of the card")
    return tensors, about
