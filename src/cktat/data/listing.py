"""Image files with their labels, as a folder or a table lists them, before any is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cktat.data.held_out import WHOLE
from cktat.errors import CktatError

VALIDATION = ("val", "valid", "validation")
NAMES = (
    {WHOLE: WHOLE, "held_out": "held_out", "train": "train", "training": "train", "test": "test", "testing": "test"}
    | dict.fromkeys(VALIDATION, "validation")
)  # fmt: skip
"""What people call the parts of a data set, in small letters."""


@dataclass(frozen=True)
class Listing:
    """files and labels int64 [N]: by part, "whole" alone or "train", "test" and perhaps "held_out". notes: what is to be
    said of how they were found."""

    files: dict[str, list[Path]]
    labels: dict[str, npt.NDArray[np.int64]]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def in_order(names: Iterable[str]) -> list[str]:
    """Names of classes in alphabetical order; if all are whole numbers, in that of the numbers.

    >>> in_order(["10", "9", "1"]), in_order(["bee", "ant"])
    (['1', '9', '10'], ['ant', 'bee'])
    """
    names = list(names)
    if all(name.isascii() and name.isdigit() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def in_turns(of_class: Sequence[Sequence[Path]]) -> tuple[list[Path], npt.NDArray[np.int64]]:
    """The files of all classes, the classes in turn, and the label of each, int64 [N]: the first n hold all alike."""
    places = sorted((place, label) for label, files in enumerate(of_class) for place in range(len(files)))
    return [of_class[label][place] for place, label in places], np.array([label for _, label in places], dtype=np.int64)


def meant(name: str, given: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Which part (train, held_out, test) each of the names `given` is, and what is to be said of it.

    Validation images are the test images where there are no others, and held out where there are. name: the data's.
    CktatError if two names mean one part, or training or test images are missing. Test images alone are enough to judge a
    network.
    """
    given = list(given)
    kinds = {each: NAMES[each.lower()] for each in given}
    notes = []
    for each, kind in kinds.items():
        if kind == "validation":
            kinds[each] = "held_out" if "test" in kinds.values() else "test"
            notes.append(
                f"the images of {each} are held out" if "test" in kinds.values() and kinds[each] == "held_out"
                else f"there are no test images: those of {each} are tested on"
            )  # fmt: skip
    for part in set(kinds.values()):
        if len(same := [each for each in given if kinds[each] == part]) > 1:
            raise CktatError(f"data {name!r}: {' and '.join(same)} are one part twice; keep one of them")
    if set(kinds.values()) == {"test"} and not notes:
        return kinds, ["test images alone: networks are judged on them, and none is trained"]
    if missing := [part for part in ("train", "test") if part not in kinds.values()]:
        raise CktatError(
            f"data {name!r} has {' and '.join(given)} but no {' and no '.join(missing)}; it needs train and test (or val), "
            "or images that are not divided: then this program divides them"
        )
    return kinds, notes
