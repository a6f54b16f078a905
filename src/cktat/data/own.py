"""A user's own data as arrays, from an NPZ file or from a function's dictionary."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cktat.data.assembly import assembled
from cktat.data.dataset import Dataset
from cktat.data.forms import images_of, labels_of, named
from cktat.data.held_out import divided, taken
from cktat.errors import CktatError, named_file

<<<<<<< HEAD
=======
NEEDED = ("x_train", "y_train", "x_test", "y_test")
TESTS = NEEDED[2:]
>>>>>>> nets
SWELLS_TO, RATIO = 2**30, 20
"""Bytes that an NPZ file may unpack to whatever its size, and the times its size that it may: photographs shrink to a half."""


def read_npz(spec: str, strict: bool = False) -> Dataset:
    """The data set in an NPZ file; see `from_arrays` for what it holds. CktatError if it cannot be read."""
    path = Path(spec).expanduser()
    with named_file(path, "read"), path.open("rb"):
        pass
    try:
        _require_room(spec, path)
        # Without pickles: reading data must never run code.
        with np.load(path, allow_pickle=False) as arrays:
            content = {key: arrays[key] for key in arrays.files}
    except CktatError:
        raise
    except Exception as error:  # a damaged or foreign file fails in many ways: OSError, ValueError, zlib.error, ...
        raise CktatError(f"data {spec!r}: not an NPZ file of plain arrays: {error}; write it by numpy.savez") from error
    return from_arrays(spec, content, strict)


def _require_room(spec: str, path: Path) -> None:
    """Raises CktatError for an archive that says it unpacks to more than SWELLS_TO, or RATIO times its own size where that
    is more, or than the memory that is there. What it says is binding: no more is read."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(part.file_size for part in archive.infolist())
    allowed = max(SWELLS_TO, RATIO * path.stat().st_size)
    if unpacked > allowed:
        raise CktatError(
            f"data {spec!r}: the file has {path.stat().st_size:,} bytes and says it unpacks to {unpacked:,}; "
            f"{allowed:,} is the most for its size: if that is meant, write it by numpy.savez, without compression"
        )
    if unpacked > (there := _free_memory()):
        raise CktatError(f"data {spec!r}: it unpacks to {unpacked:,} bytes, and {there:,} bytes of memory are free")


def _free_memory() -> int:
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # a system that does not tell
        return 2**62


<<<<<<< HEAD
def from_arrays(name: str, arrays: Mapping[str, Any], strict: bool = False) -> Dataset:
    """A data set from arrays: x_train, y_train, x_test, y_test, and optionally x_held_out with y_held_out, classes; or x
    and y of all images, which are then divided.
=======
def from_arrays(name: str, arrays: Mapping[str, Any]) -> Dataset:
    """A data set from the arrays x_train, y_train, x_test, y_test, and optionally x_held_out with y_held_out, classes; or from
    x_test and y_test alone, on which networks are judged.
>>>>>>> nets

    The names may also be those of MedMNIST (train_images, train_labels, val_images, ...), images and labels, and in
    capitals. Images are [N, H, W] (grey), [N, C, H, W] or [N, H, W, C] with C <= 4: uint8, or numbers that reach from 0 to
    1 or to 255 (see forms.py). Labels are integers 0..K-1 or 1..K, names, [N] or [N, 1], or one-hot [N, K]; each class
    occurs in training. classes are K names (else the numbers). What is not held out, or not divided, is divided by content
    (see held_out.py).

    Args:
        name: What loads it, for errors, too.
        arrays: The arrays by name.
        strict: Refuse images that are not uint8.

    Raises:
        CktatError: An array that is missing, unknown, empty, or of a type, shape or range whose meaning is not plain.
    """
<<<<<<< HEAD
    known, notes = named(name, arrays)
    parts = [key.removeprefix("x_") for key in known if key.startswith("x_")]
    images, converted = images_of(name, {part: known[f"x_{part}"] for part in parts})
    if strict and converted:
        raise CktatError(f"data {name!r}: {converted[0]}; --strict refuses that: leave it out, or write uint8")
    given = {part: known[f"y_{part}"] for part in parts}
    labels, classes, read = labels_of(name, given, {part: len(images[part]) for part in parts}, known.get("classes"))
    rows, said = divided(name, images, labels, classes)
    return assembled(name, taken(images, rows), taken(labels, rows), classes, [*notes, *converted, *read, *said])
=======
    for key in arrays:
        if key not in KEYS:
            raise unknown(f"array in data {name!r}:", key, KEYS)
    held_out = {"x_held_out", "y_held_out"} & set(arrays)
    alone = not held_out and not {"x_train", "y_train"} & set(arrays)
    needed = (*NEEDED, "x_held_out", "y_held_out") if held_out else TESTS if alone else NEEDED
    if missing := [key for key in needed if key not in arrays]:
        raise CktatError(f"data {name!r} lacks {', '.join(missing)}; it needs {', '.join(needed)}")

    images = {
        part: _images(name, f"x_{part}", arrays) for part in ("train", "test", "held_out") if f"x_{part}" in arrays
    }
    labels = {part: _labels(name, f"y_{part}", arrays, len(images[part])) for part in images}
    if alone:
        return _tests(name, images["test"], labels["test"], _classes(name, arrays, labels, "test"))
    classes = _classes(name, arrays, labels, "train")
    for part in images:
        if images[part].shape[1:] != images["train"].shape[1:]:
            raise CktatError(
                f"data {name!r}: images of x_{part} are {_shape(images[part])} (channels x height x width), those of "
                f"x_train {_shape(images['train'])}; all must have one size"
            )
        if (wrong := np.flatnonzero((labels[part] < 0) | (labels[part] >= len(classes)))).size:
            raise CktatError(
                f"data {name!r}: y_{part}[{wrong[0]}] is {labels[part][wrong[0]]}; labels must be 0..{len(classes) - 1}"
            )
    sizes = np.bincount(labels["train"], minlength=len(classes))
    least = 1 if held_out else 2
    if (short := np.flatnonzero(sizes < least)).size:
        because = "" if held_out else " (one to hold out; or give x_held_out and y_held_out)"
        raise CktatError(
            f"data {name!r}: class {classes[short[0]]!r} (label {short[0]}) has {sizes[short[0]]} training images, "
            f"it needs at least {least}{because}"
        )
    if not held_out:
        chosen = lowest_ranked(images["train"], labels["train"], tenth(labels["train"]))
        images["held_out"], labels["held_out"] = images["train"][chosen], labels["train"][chosen]
        images["train"], labels["train"] = images["train"][~chosen], labels["train"][~chosen]

    split = {part: Split(torch.from_numpy(images[part]), torch.from_numpy(labels[part])) for part in images}
    mean, std = moments(images["train"], 255)
    return Dataset(
        name=name,
        train=split["train"],
        held_out=split["held_out"],
        test=split["test"],
        classes=classes,
        levels=255,
        mean=mean,
        std=std,
        box=(0.0, 1.0),
        eps=8 / 255,
        augment="none",
    )


def _tests(
    name: str, images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], classes: tuple[str, ...]
) -> Dataset:
    """Test images alone. Their mean and std are not taken: a network's are those of the images that it was trained on."""
    test = Split(torch.from_numpy(images), torch.from_numpy(labels))
    none, channels = Split(test.images[:0], test.labels[:0]), images.shape[1]
    return Dataset(
        name=name,
        train=none,
        held_out=none,
        test=test,
        classes=classes,
        levels=255,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        box=(0.0, 1.0),
        eps=8 / 255,
        augment="none",
    )


def moments(images: npt.NDArray[np.uint8], levels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of images / levels. images: uint8 [N, C, H, W]."""
    wide = [images[:, c].astype(np.uint16) for c in range(images.shape[1])]  # holds 255 ** 2 with no float copy
    mean = [float(channel.mean(dtype=np.float64)) for channel in wide]
    square = [float((channel * channel).mean(dtype=np.float64)) for channel in wide]
    std = [max(0.0, s - m * m) ** 0.5 for s, m in zip(square, mean, strict=True)]
    return tuple(m / levels for m in mean), tuple(s / levels for s in std)


def _images(name: str, key: str, arrays: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    """The images as a uint8 array [N, C, H, W] in memory order."""
    images = _array(name, key, arrays)
    if images.dtype != np.uint8:
        raise CktatError(f"data {name!r}: {key} is {images.dtype}; images must be uint8, 0 to 255")
    if images.ndim not in (3, 4) or images.size == 0:
        raise CktatError(
            f"data {name!r}: {key} has shape {list(images.shape)}; it must be [N, H, W], [N, C, H, W] or [N, H, W, C], "
            "with at least one image"
        )
    if images.ndim == 3:
        return np.require(images[:, None], requirements=["C", "W"])
    first, last = images.shape[1] <= 4, images.shape[3] <= 4
    if first == last:
        what = "two axes" if first else "no axis"
        raise CktatError(
            f"data {name!r}: {key} has shape {list(images.shape)}: {what} could hold 1 to 4 channels; channels must be "
            "the second or the last axis, height and width more than 4 (or no channel axis, for grey images)"
        )
    return np.require(images if first else images.transpose(0, 3, 1, 2), requirements=["C", "W"])


def _labels(name: str, key: str, arrays: Mapping[str, Any], images: int) -> npt.NDArray[np.int64]:
    labels = _array(name, key, arrays)
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise CktatError(f"data {name!r}: {key} is {labels.dtype} {list(labels.shape)}; labels must be integers [N]")
    if len(labels) != images:
        raise CktatError(f"data {name!r}: {key} has {len(labels)} labels for {images} images")
    return labels.astype(np.int64)


def _classes(
    name: str, arrays: Mapping[str, Any], labels_of: Mapping[str, npt.NDArray[np.int64]], part: str
) -> tuple[str, ...]:
    if "classes" not in arrays:
        labels = labels_of[part]
        if (top := int(labels.max())) >= len(labels):
            raise CktatError(
                f"data {name!r}: y_{part} has label {top} but only {len(labels)} images; labels must be 0..K-1"
            )
        return tuple(str(k) for k in range(top + 1))
    classes = _array(name, "classes", arrays)
    if classes.dtype.kind != "U" or classes.ndim != 1:
        raise CktatError(f"data {name!r}: classes is {classes.dtype} {list(classes.shape)}; it must be a list of names")
    return tuple(str(c) for c in classes)


def _array(name: str, key: str, arrays: Mapping[str, Any]) -> npt.NDArray[Any]:
    try:
        return np.asarray(arrays[key])
    except Exception as error:  # ragged lists, tensors on a GPU, ...
        raise CktatError(f"data {name!r}: {key} cannot be made a NumPy array: {error}") from error


def _shape(images: npt.NDArray[np.uint8]) -> str:
    return " x ".join(map(str, images.shape[1:]))
>>>>>>> nets
