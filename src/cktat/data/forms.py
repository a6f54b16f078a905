"""The forms in which people keep images and labels as arrays: read where their meaning is plain, refused with the way out
where it is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cktat.data.held_out import WHOLE
from cktat.data.listing import NAMES, in_order, meant
from cktat.errors import CktatError, unknown

NEEDED = ("x_train", "y_train", "x_test", "y_test")
KEYS = (*NEEDED, "x_held_out", "y_held_out", "classes", "x", "y", "train_images", "train_labels")
"""Names to suggest; see `named` for all."""
AT_ONCE = 256
"""Images that are converted at a time."""

Array = npt.NDArray[Any]


def named(name: str, arrays: Mapping[str, Any]) -> tuple[dict[str, Array], list[str]]:
    """The arrays as x_PART and y_PART (train, test, held_out, or whole alone) and classes, and what is to be said of it.

    Understood are x_PART and y_PART (Keras), PART_images and PART_labels (MedMNIST), x and y, images and labels, in any
    capitals. CktatError for a name that is none of these, one that is missing, and two that mean the same.
    """
    found: dict[str, tuple[str, str]] = {}  # by key: "x" or "y", and the part as it is called
    for key in arrays:
        if key.lower() == "classes":
            continue
        if (role := _role(key)) is None:
            raise unknown(f"array in data {name!r}:", key, KEYS)
        found[key] = role
    called = list(dict.fromkeys(part for _, part in found.values()))
    if called == [WHOLE]:
        kinds, notes, needed = {WHOLE: WHOLE}, list[str](), ["x", "y"]
    else:
        needed = _needed(name, called)
        _require_all(name, [f"{kind}_{_usual(part)}" for kind, part in found.values()], needed)
        kinds, notes = meant(name, called)
    known: dict[str, Array] = {}
    for key, (kind, part) in found.items():
        known_as = f"{kind}_{kinds[part]}"
        if known_as in known:
            raise CktatError(f"data {name!r}: two arrays mean {known_as}, one of them {key}; keep one")
        known[known_as] = _array(name, key, arrays)
    if called == [WHOLE]:
        _require_all(name, [key.removesuffix(f"_{WHOLE}") for key in known], needed)
    for key in arrays:
        if key.lower() == "classes":
            known["classes"] = _array(name, key, arrays)
    return known, notes


def _role(key: str) -> tuple[str, str] | None:
    """("x", "val") for val_images: what an array is and of which part, as it is called."""
    small = key.lower()
    for image, label in (("x", "y"), ("images", "labels")):
        for kind, word in (("x", image), ("y", label)):
            if small == word:
                return kind, WHOLE
            for part in (small.removeprefix(f"{word}_"), small.removesuffix(f"_{word}")):
                if part != small and part in NAMES and part != WHOLE:
                    return kind, part
    return None


def _usual(part: str) -> str:
    return "held_out" if NAMES[part] == "validation" else NAMES[part]


def _needed(name: str, called: list[str]) -> list[str]:
    """The arrays that there must be beside those of the parts that are called so."""
    if WHOLE in called:
        part = _usual(next(part for part in called if part != WHOLE))
        raise CktatError(f"data {name!r} has arrays of all images (x, y) and of parts (x_{part}); keep one kind")
    if set(map(_usual, called)) == {"test"}:
        return ["x_test", "y_test"]
    parts = ["train", "test", "held_out"] if "held_out" in map(_usual, called) else ["train", "test"]
    if "held_out" in parts and "test" not in map(_usual, called):  # then validation images are the test images
        parts.remove("test")
    return [f"{kind}_{part}" for part in parts for kind in "xy"]


def _require_all(name: str, there: list[str], needed: list[str]) -> None:
    if missing := [key for key in needed if key not in there]:
        raise CktatError(f"data {name!r} lacks {', '.join(missing)}; it needs {', '.join(needed)}")


def images_of(name: str, images: Mapping[str, Array]) -> tuple[dict[str, npt.NDArray[np.uint8]], list[str]]:
    """The images of all parts as uint8 [N, C, H, W] in memory order, and what was converted.

    CktatError if their shape or range does not say plainly what they are.
    """
    for part, array in images.items():
        _require_shape(name, f"x_{part}", array)
    first = next(iter(images))
    for part, array in images.items():
        if array.dtype.kind != images[first].dtype.kind or (array.dtype == np.uint8) != (
            images[first].dtype == np.uint8
        ):
            raise CktatError(
                f"data {name!r}: x_{first} is {images[first].dtype} and x_{part} {array.dtype}; all must be of one type, "
                "uint8 at best"
            )
    convert, said = _to_bytes(name, images)
    made = {part: _channels_first(name, f"x_{part}", _in_pieces(array, convert)) for part, array in images.items()}
    for part in made:
        if made[part].shape[1:] != made[first].shape[1:]:
            raise CktatError(
                f"data {name!r}: images of x_{part} are {_shape(made[part])} (channels x height x width), those of "
                f"x_{first} {_shape(made[first])}; all must have one size"
            )
    return made, said


def _to_bytes(
    name: str, images: Mapping[str, Array]
) -> tuple[Callable[[Array], npt.NDArray[np.uint8]] | None, list[str]]:
    """How numbers of this range become 0..255 (None: they are), and what is to be said. CktatError if that is not plain."""
    types = {str(array.dtype) for array in images.values()}
    kind, dtype = next(iter(images.values())).dtype.kind, " and ".join(sorted(types))
    if types == {"uint8"}:
        return None, []
    if kind == "b":
        return lambda x: x.astype(np.uint8) * np.uint8(255), ["images of bool: true is white (255)"]
    if kind not in "iuf":
        raise CktatError(f"data {name!r}: images are {dtype}; they must be numbers, uint8 at best")
    low, high = _range(name, images)
    reach = f"images of {dtype} from {low:g} to {high:g}"
    if low < 0:
        raise CktatError(
            f"data {name!r}: {reach}: they look normalised; undo that: x = x * std + mean, then "
            "(x * 255).round().clip(0, 255).astype('uint8')"
        )
    if kind == "f" and 0 < high <= 1:
        return lambda x: np.rint(x * 255).astype(np.uint8), [f"{reach} are read as 0..1, to the nearest of 256 levels"]
    if 127.5 < high <= 255:
        return lambda x: np.rint(x).astype(np.uint8), [f"{reach} are read as 0..255, to the nearest whole number"]
    if kind in "iu" and 32767 < high <= 65535:
        return lambda x: ((x.astype(np.int64) * 255 + 32767) // 65535).astype(np.uint8), [
            f"{reach} are read as 16 bits, scaled to 8"
        ]
    raise CktatError(
        f"data {name!r}: {reach}: that is no range of images (0..1, 0..255); write what is white as 255: "
        f"x = (x / {high:g} * 255).round().astype('uint8') if {high:g} is white"
    )


def _range(name: str, images: Mapping[str, Array]) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for part, array in images.items():
        least, most = float(array.min()), float(array.max())
        if not (np.isfinite(least) and np.isfinite(most)):
            first = next(i for i, image in enumerate(array) if not np.isfinite(image).all())
            raise CktatError(f"data {name!r}: image {first} of x_{part} has a pixel that is no finite number")
        low, high = min(low, least), max(high, most)
    return low, high


def _in_pieces(array: Array, convert: Callable[[Array], npt.NDArray[np.uint8]] | None) -> npt.NDArray[np.uint8]:
    """All images converted, some at a time: a copy of all of them in float would take eight times their memory."""
    if convert is None:
        return array
    made = np.empty(array.shape, dtype=np.uint8)
    for first in range(0, len(array), AT_ONCE):
        made[first : first + AT_ONCE] = convert(array[first : first + AT_ONCE])
    return made


def _require_shape(name: str, key: str, images: Array) -> None:
    if images.ndim not in (3, 4) or images.size == 0:
        flat = ""
        if images.ndim == 2 and images.size and (side := round(images.shape[1] ** 0.5)) ** 2 == images.shape[1]:
            flat = f"; if these are rows of pixels: {key}.reshape(-1, {side}, {side})"
        raise CktatError(
            f"data {name!r}: {key} has shape {list(images.shape)}; it must be [N, H, W], [N, C, H, W] or [N, H, W, C], "
            f"with at least one image{flat}"
        )
    if images.ndim == 4 and (first := images.shape[1] <= 4) == (images.shape[3] <= 4):
        what = "two axes" if first else "no axis"
        raise CktatError(
            f"data {name!r}: {key} has shape {list(images.shape)}: {what} could hold 1 to 4 channels; channels must be "
            "the second or the last axis, height and width more than 4 (or no channel axis, for grey images)"
        )


def _channels_first(name: str, key: str, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    if images.ndim == 3:
        return np.require(images[:, None], requirements=["C", "W"])
    first = images.shape[1] <= 4
    return np.require(images if first else images.transpose(0, 3, 1, 2), requirements=["C", "W"])


def labels_of(
    name: str, labels: Mapping[str, Array], images: Mapping[str, int], classes: Array | None
) -> tuple[dict[str, npt.NDArray[np.int64]], tuple[str, ...], list[str]]:
    """The labels of all parts as int64 [N] in 0..K-1, the names of the K classes, and what is to be said of it.

    images: how many there are of each part; classes: the names if they are given. CktatError if what they mean is not plain.
    """
    flat, said, width = {}, list[str](), 0
    for part, array in labels.items():
        flat[part], how, wide = _flat(name, f"y_{part}", array)
        width = max(width, wide)
        said += [how] if how and how not in said else []
        if len(flat[part]) != images[part]:
            raise CktatError(f"data {name!r}: y_{part} has {len(flat[part])} labels for {images[part]} images")
    names = None if classes is None else _names(name, classes)
    first = next((part for part in flat if part in ("train", WHOLE)), "test")
    if any(array.dtype.kind == "U" for array in flat.values()):
        return *_of_names(name, flat, first, names), said
    numbers = {part: array.astype(np.int64) for part, array in flat.items()}
    top = int(numbers[first].max())
    if names is None and top >= len(numbers[first]) + 1:
        raise CktatError(
            f"data {name!r}: y_{first} has label {top} but only {len(numbers[first])} images; labels must be 0..K-1: "
            "np.unique(y, return_inverse=True) gives them"
        )
    least = min(int(array.min()) for array in numbers.values())
    if least == 1 and set(numbers[first].tolist()) == set(range(1, top + 1)) and len(names or range(top)) == top:
        numbers = {part: array - 1 for part, array in numbers.items()}
        said.append(f"labels 1..{top} are read as classes 0..{top - 1}" + ("" if names else f", named 1..{top}"))
        names = names or tuple(str(k) for k in range(1, top + 1))
    names = names or tuple(str(k) for k in range(max(top + 1, width)))
    for part, array in numbers.items():
        if (wrong := np.flatnonzero((array < 0) | (array >= len(names)))).size:
            raise CktatError(
                f"data {name!r}: y_{part}[{wrong[0]}] is {array[wrong[0]]}; labels must be 0..{len(names) - 1}"
            )
    return numbers, names, said


def _flat(name: str, key: str, labels: Array) -> tuple[Array, str, int]:
    """Labels [N] as int64 or text, what is to be said, and of one-hot ones the number of classes, else 0."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind == "O" and all(isinstance(each, str) for each in labels.flat):
        labels = labels.astype(str)
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8")
    if labels.ndim == 2 and labels.dtype.kind in "iufb":
        ones = (labels == 1).sum(axis=1)
        if ((labels == 0) | (labels == 1)).all() and (ones == 1).all():
            return labels.argmax(axis=1), f"labels [N, {labels.shape[1]}] are read as one-hot", labels.shape[1]
        row = int(np.flatnonzero(~((labels == 0) | (labels == 1)).all(axis=1) | (ones != 1))[0])
        raise CktatError(
            f"data {name!r}: {key} has shape {list(labels.shape)} and row {row} is not one-hot (one 1, else 0): an image has "
            "one class here; choose it, such as y.argmax(axis=1)"
        )
    if labels.dtype.kind == "f" and labels.ndim == 1 and (labels == np.rint(labels)).all():
        return labels.astype(np.int64), "labels of floating point are read as whole numbers", 0
    if labels.dtype.kind not in "iuU" or labels.ndim != 1:
        raise CktatError(
            f"data {name!r}: {key} is {labels.dtype} {list(labels.shape)}; labels must be integers [N], names [N] or "
            "one-hot [N, K]"
        )
    return labels, "", 0


def _of_names(
    name: str, labels: Mapping[str, Array], first: str, names: tuple[str, ...] | None
) -> tuple[dict[str, npt.NDArray[np.int64]], tuple[str, ...]]:
    """Labels that are names of classes, by their places among `names`, or among those of the part `first` in order."""
    if odd := [part for part, array in labels.items() if array.dtype.kind != "U"]:
        raise CktatError(f"data {name!r}: y_{odd[0]} are numbers, other labels are names; write all as names")
    classes = names or tuple(in_order(np.unique(labels[first]).tolist()))
    place = {each: k for k, each in enumerate(classes)}
    for part, array in labels.items():
        if (wrong := next(((i, each) for i, each in enumerate(array.tolist()) if each not in place), None)) is not None:
            where = "classes" if names else f"y_{first}"
            raise CktatError(f"data {name!r}: y_{part}[{wrong[0]}] is {wrong[1]!r}, which is not in {where}")
    return {
        part: np.array([place[each] for each in array.tolist()], dtype=np.int64) for part, array in labels.items()
    }, (classes)


def _names(name: str, classes: Array) -> tuple[str, ...]:
    if classes.dtype.kind == "S":
        classes = np.char.decode(classes, "utf-8")
    if classes.dtype.kind != "U" or classes.ndim != 1:
        raise CktatError(f"data {name!r}: classes is {classes.dtype} {list(classes.shape)}; it must be a list of names")
    return tuple(str(c) for c in classes)


def _array(name: str, key: str, arrays: Mapping[str, Any]) -> Array:
    try:
        return np.asarray(arrays[key])
    except Exception as error:  # ragged lists, tensors on a GPU, ...
        raise CktatError(f"data {name!r}: {key} cannot be made a NumPy array: {error}") from error


def _shape(images: npt.NDArray[np.uint8]) -> str:
    return " x ".join(map(str, images.shape[1:]))
