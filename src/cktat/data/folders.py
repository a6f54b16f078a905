"""A user's own images as files, one folder for each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from cktat.data.held_out import WHOLE
from cktat.data.listing import NAMES, Listing, in_order, in_turns, meant
from cktat.data.photographs import SUFFIXES
from cktat.errors import CktatError

SIDECARS = ("thumbs.db", "desktop.ini", "ehthumbs.db", "__macosx", "@eadir")
"""What systems leave among images, in small letters; hidden files (.DS_Store, ._photo.jpg) are left alone, too."""


def list_folder(spec: str) -> Listing:
    """The images in a folder: <part>/<class>/<image>, or <class>/<image> of all images together.

    The parts are train, and test or val or validation, or both (then validation images are held out), or held_out.
    Classes are in alphabetical order, numbered ones in that of their numbers. The images of a part are in alphabetical
    order within a class, and the classes take turns, so that the first n images hold all classes alike.

    CktatError names the file or folder that is out of place, and the class that a part lacks.
    """
    root = Path(spec).expanduser()
    folders, stray = _inside(root)
    parts = [folder for folder in folders if folder.name.lower() in NAMES and folder.name != WHOLE]
    notes: list[str] = []
    if not parts:
        _require_no_images(stray, f"into the folder of its class, {root}/<class>/")
        parts_of = {WHOLE: root}
        passed = stray
    else:
        kinds, notes = meant(spec, [folder.name for folder in parts])
        parts_of = {kinds[folder.name]: folder for folder in parts}
        passed = [*stray, *(folder for folder in folders if folder not in parts)]
        _require_no_images(stray, f"into the folder of its part and class, {root}/train/<class>/")
    classes: list[str] = []
    files, labels = {}, {}
    for part in sorted(parts_of, key=lambda part: part != "train"):
        folder = parts_of[part]
        inside, stray = _inside(folder)
        if part != WHOLE:
            _require_no_images(stray, f"into the folder of its class, {folder}/<class>/")
            passed += stray
        found = in_order(each.name for each in inside)
        if not found:
            raise CktatError(
                f"{folder} has no folders; it needs one for each class, with the images in it (or train/<class>/ and "
                "test/<class>/), or list the images in a table, FILE.csv"
            )
        classes = classes or found
        _require_alike(spec, folder, found, parts_of.get("train", folder), classes)
        files[part], labels[part] = _files(folder, classes)
    if passed:
        notes.append(f"passed over: {', '.join(sorted(each.name for each in passed))}")
    return Listing(files, labels, tuple(classes), tuple(notes))


def _inside(folder: Path) -> tuple[list[Path], list[Path]]:
    """The folders and the files in a folder, by name, without hidden ones and sidecars."""
    seen = sorted(
        each for each in folder.iterdir() if not each.name.startswith(".") and each.name.lower() not in SIDECARS
    )
    return [each for each in seen if each.is_dir()], [each for each in seen if not each.is_dir()]


def _require_no_images(stray: list[Path], where: str) -> None:
    if images := [file for file in stray if file.suffix.lower() in SUFFIXES]:
        more = f" (and {len(images) - 1} more)" if len(images) > 1 else ""
        raise CktatError(f"{images[0]}{more} is of no class; move it {where}, or list the images in a table, FILE.csv")


def _require_alike(spec: str, folder: Path, found: list[str], like: Path, classes: list[str]) -> None:
    if absent := [name for name in classes if name not in found]:
        raise CktatError(
            f"data {spec!r}: class {absent[0]!r} is in {like} and absent from {folder}; all classes of {like} that are "
            f"absent there: {', '.join(absent)}; add images of each, or remove its folder from {like}"
        )
    if extra := [name for name in found if name not in classes]:
        raise CktatError(
            f"data {spec!r}: class {extra[0]!r} is in {folder} and absent from {like}; all classes of {folder} that are "
            f"absent there: {', '.join(extra)}; nothing can be learned of them: add images, or remove them"
        )


def _files(folder: Path, classes: list[str]) -> tuple[list[Path], npt.NDArray[np.int64]]:
    """The image files of a part and their labels [N], the classes in turn."""
    of_class = []
    for name in classes:
        folders, files = _inside(folder / name)
        if folders:
            raise CktatError(
                f"{folders[0]} is a folder in the folder of a class; images lie in {folder / name} itself: move them there, "
                "or list them in a table, FILE.csv"
            )
        if not files:
            raise CktatError(f"{folder / name} has no images; add some, or remove the folder")
        if stray := [file for file in files if file.suffix.lower() not in SUFFIXES]:
            raise CktatError(
                f"{stray[0]} is no image that can be read: in the folder of a class are files {', '.join(SUFFIXES)} only; "
                "convert it, or move it away"
            )
        of_class.append(files)
    return in_turns(of_class)
