"""A user's own images as files, one folder for each class."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cktat.data.dataset import Dataset
from cktat.data.own import from_arrays
from cktat.errors import CktatError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
MODES = ("L", "RGB")
MOST_PIXELS = 2**24
"""Of one image: 4,096 x 4,096."""


def read_folder(spec: str) -> Dataset:
    """The data set in a folder: train/<class>/<image>, test/<class>/<image> and optionally held_out/<class>/<image>.

    Classes are in alphabetical order. The images of a split are in alphabetical order within a class, and the classes
    take turns, so that the first n images hold all classes alike. All images have one size and are grey or RGB.
    Everything else is as with arrays (see `from_arrays`). CktatError names the file or folder that is wrong.
    """
    root = Path(spec).expanduser()
    for part in ("train", "test"):
        if not (root / part).is_dir():
            raise CktatError(
                f"data {spec!r}: there is no folder {root / part}; it needs train/<class>/ and test/<class>/"
            )
    classes = _class_names(root / "train")
    arrays: dict[str, Any] = {"classes": classes}
    like: Path | None = None
    for part in ("train", "held_out", "test"):
        if (root / part).is_dir():
            if (found := _class_names(root / part)) != classes:
                odd = sorted(set(found) ^ set(classes))
                raise CktatError(
                    f"data {spec!r}: classes in {root / part} and in {root / 'train'} differ by {', '.join(odd)}"
                )
            files, labels = _files(root / part, classes)
            like = like or files[0]
            arrays[f"x_{part}"] = _read_images(files, like)
            arrays[f"y_{part}"] = labels
    return from_arrays(spec, arrays)


def _class_names(folder: Path) -> list[str]:
    names = sorted(f.name for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
    if not names:
        raise CktatError(f"{folder} has no folders; it needs one for each class, with the images in it")
    return names


def _files(folder: Path, classes: list[str]) -> tuple[list[Path], npt.NDArray[np.int64]]:
    """The image files of a split and their labels [N], the classes in turn."""
    places: list[tuple[int, int, Path]] = []
    for label, name in enumerate(classes):
        files = sorted(f for f in (folder / name).iterdir() if not f.name.startswith("."))
        if not files:
            raise CktatError(f"{folder / name} has no images")
        for place, file in enumerate(files):
            if file.suffix.lower() not in SUFFIXES:
                raise CktatError(
                    f"{file} is no image: only {', '.join(SUFFIXES)} files belong in the folder of a class"
                )
            places.append((place, label, file))
    places.sort()
    return [file for _, _, file in places], np.array([label for _, label, _ in places], dtype=np.int64)


def _read_images(files: list[Path], like: Path) -> npt.NDArray[np.uint8]:
    """uint8 [N, H, W] or [N, H, W, 3], all as large and as coloured as the image `like`."""
    first = _read_image(like)
    images = np.empty((len(files), *first.shape), dtype=np.uint8)
    for i, file in enumerate(files):
        image = _read_image(file)
        if image.shape != first.shape:
            raise CktatError(
                f"{file} is {_describe(image)}, but {like} is {_describe(first)}; all images need one size and mode"
            )
        images[i] = image
    return images


def _read_image(file: Path) -> npt.NDArray[np.uint8]:
    try:
        from PIL import Image
    except ImportError as error:
        raise CktatError(f"reading {file} needs Pillow: pip install pillow") from error
    try:
        # Pillow's own limit is a warning at first; the header says the size, and nothing is unpacked before it was looked at
        with warnings.catch_warnings(action="ignore"), Image.open(file) as image:
            if (size := image.width * image.height) > MOST_PIXELS:
                raise CktatError(f"{file} is {image.width} x {image.height}: {size:,} pixels, {MOST_PIXELS:,} at most")
            mode, pixels = image.mode, np.asarray(image)
    except CktatError:
        raise
    except Exception as error:  # Pillow raises many kinds for a damaged file, SyntaxError among them
        raise CktatError(f"{file} cannot be read as an image: {error}") from error
    if mode not in MODES:
        raise CktatError(f"{file} has mode {mode}; images must be grey (L) or RGB: convert it")
    return pixels


def _describe(image: npt.NDArray[np.uint8]) -> str:
    return f"{image.shape[1]} x {image.shape[0]} {'grey' if image.ndim == 2 else 'RGB'}"
