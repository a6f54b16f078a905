"""The forms in which people keep arrays: each plain one is the data set of the plain form, each other one is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cktat.data import load
from cktat.data.own import from_arrays
from cktat.errors import CktatError

Arrays = dict[str, Any]


@pytest.fixture
def plain(arrays: Arrays) -> Arrays:
    """uint8 images that reach 255, labels 0..2."""
    return arrays


def changed(arrays: Arrays, kind: str, change: Any) -> Arrays:
    return {key: change(value) if key.startswith(kind) else value for key, value in arrays.items()}


IMAGES: dict[str, tuple[Any, str]] = {
    "float32 in [0, 1]": (lambda x: x.astype(np.float32) / 255, "images of float32 from 0 to 1 are read as 0..1"),
    "float64 in [0, 1]": (lambda x: x / 255, "images of float64 from 0 to 1 are read as 0..1"),
    "a third of a level below": (
        lambda x: np.maximum(x - 0.3, 0) / 255,
        "images of float64 from 0 to 0.998824 are read as",
    ),
    "float16 in [0, 255]": (lambda x: x.astype(np.float16), "images of float16 from 0 to 255 are read as 0..255"),
    "float between levels": (
        lambda x: x + np.where(x < 255, 0.3, 0),
        "are read as 0..255, to the nearest whole number",
    ),
    "int64 in [0, 255]": (lambda x: x.astype(np.int64), "images of int64 from 0 to 255 are read as 0..255"),
    "uint16 of 16 bits": (lambda x: x.astype(np.uint16) * 257, "images of uint16 from 0 to 65535 are read as 16 bits"),
}


@pytest.mark.parametrize("form", IMAGES)
@pytest.mark.parametrize("first", [False, True])
def test_images(plain: Arrays, form: str, first: bool) -> None:
    change, said = IMAGES[form]
    given = changed(plain, "x", lambda x: change(x.transpose(0, 3, 1, 2) if first else x))
    data = from_arrays("mine", given)
    assert data.fingerprint == from_arrays("mine", plain).fingerprint
    assert len(data.notes) == 1 and said in data.notes[0]
    with pytest.raises(CktatError, match="--strict refuses that"):
        from_arrays("mine", given, strict=True)


def test_true_and_false_are_white_and_black(plain: Arrays) -> None:
    data = from_arrays("mine", changed(plain, "x", lambda x: x > 99))
    assert (
        data.fingerprint
        == from_arrays("mine", changed(plain, "x", lambda x: np.where(x > 99, 255, 0).astype("u1"))).fingerprint
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: (x / 255 - 0.5) / 0.2, r"from -2.5 to 2.5: they look normalised; undo that: x = x \* std \+ mean"),
        (lambda x: x / 255 * 16, r"images of float64 from 0 to 16: that is no range of images .*x / 16 \* 255"),
        (lambda x: (x > 99).astype(np.int64), "images of int64 from 0 to 1: that is no range of images"),
        (lambda x: x.astype(np.uint16) * 16, "images of uint16 from 0 to 4080: that is no range"),
        (
            lambda x: np.where(x == x[3, 0, 0, 0], np.nan, x / 255),
            "image [0-3] of x_train has a pixel that is no finite",
        ),
        (lambda x: x.reshape(len(x), -1), r"x_train has shape \[60, 90\]"),
        (lambda x: np.zeros((len(x), 784), np.uint8), r"if these are rows of pixels: x_train.reshape\(-1, 28, 28\)"),
        (lambda x: x.astype(str), "images are <U3; they must be numbers"),
        (lambda x: np.zeros_like(x, dtype=float), "from 0 to 0: that is no range of images"),
    ],
)
def test_images_that_are_not_plain(plain: Arrays, change: Any, message: str) -> None:
    with pytest.raises(CktatError, match=message) as error:
        from_arrays("mine", changed(plain, "x", change))
    assert "\n" not in str(error.value)


NAMES = np.array(["ant", "bee", "cow"])
LABELS: dict[str, tuple[Any, tuple[str, ...], list[str]]] = {
    "[N, 1]": (lambda y: y[:, None], ("0", "1", "2"), []),
    "uint8": (lambda y: y.astype(np.uint8), ("0", "1", "2"), []),
    "one-hot": (lambda y: np.eye(3)[y], ("0", "1", "2"), ["labels [N, 3] are read as one-hot"]),
    "whole floats": (lambda y: y / 1.0, ("0", "1", "2"), ["labels of floating point are read as whole numbers"]),
    "from 1": (lambda y: y + 1, ("1", "2", "3"), ["labels 1..3 are read as classes 0..2, named 1..3"]),
    "names": (lambda y: NAMES[y], ("ant", "bee", "cow"), []),
    "bytes": (lambda y: NAMES.astype("S")[y][:, None], ("ant", "bee", "cow"), []),
    "names in lists": (lambda y: [str(NAMES[k]) for k in y], ("ant", "bee", "cow"), []),
    "numbers as names": (lambda y: np.array(["8", "9", "10"])[y], ("8", "9", "10"), []),
}


@pytest.mark.parametrize("form", LABELS)
def test_labels(plain: Arrays, form: str) -> None:
    change, classes, notes = LABELS[form]
    data, usual = from_arrays("mine", changed(plain, "y", change)), from_arrays("mine", plain)
    assert (data.classes, list(data.notes)) == (classes, notes)
    for ours, theirs in ((data.train, usual.train), (data.held_out, usual.held_out), (data.test, usual.test)):
        assert ours.labels.tolist() == theirs.labels.tolist()


def test_labels_from_1_with_names(plain: Arrays) -> None:
    data = from_arrays("mine", changed(plain, "y", lambda y: y + 1) | {"classes": NAMES})
    assert (
        data.classes == tuple(NAMES) and data.fingerprint == from_arrays("mine", plain | {"classes": NAMES}).fingerprint
    )
    order = [str(each) for each in NAMES[::-1]]
    assert (
        from_arrays("mine", changed(plain, "y", lambda y: NAMES[y]) | {"classes": order}).test.labels
        == 2 - np.arange(9) % 3
    ).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: np.eye(3)[y] * 0.9, r"y_train has shape \[60, 3\] and row 0 is not one-hot .one 1, else 0."),
        (lambda y: np.ones((len(y), 3), int), "row 0 is not one-hot.*an image has one class here"),
        (lambda y: y * 2, r"class '1' \(label 1\) has 0 training images"),
        (lambda y: y + 0.25, "labels must be integers .N., names .N. or one-hot"),
        (lambda y: NAMES[y] if len(y) == 60 else y, "y_test are numbers, other labels are names"),
        (
            lambda y: NAMES[y] if len(y) == 60 else np.array(["fly"] * len(y)),
            r"y_test\[0\] is 'fly', which is not in y_train",
        ),
    ],
)
def test_labels_that_are_not_plain(plain: Arrays, change: Any, message: str) -> None:
    with pytest.raises(CktatError, match=message) as error:
        from_arrays("mine", changed(plain, "y", change))
    assert "\n" not in str(error.value)


def test_a_class_that_a_part_lacks_is_said(plain: Arrays) -> None:
    some = plain["y_test"] != 1
    data = from_arrays("mine", plain | {"x_test": plain["x_test"][some], "y_test": plain["y_test"][some]})
    assert data.notes == ("no test image is of class '1'",)


@pytest.mark.parametrize(
    "names",
    [
        ("X_train", "Y_train", "X_test", "Y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("images_train", "labels_train", "images_test", "labels_test"),
    ],
)
def test_other_names(plain: Arrays, names: tuple[str, ...]) -> None:
    given = dict(zip(names, (plain[key] for key in ("x_train", "y_train", "x_test", "y_test")), strict=True))
    data = from_arrays("mine", given)
    assert data.fingerprint == from_arrays("mine", plain).fingerprint and data.notes == ()


def test_medmnist(tmp_path: Path) -> None:
    """Its documented format (medmnist.com): six arrays, uint8 [N, 28, 28] or [N, 28, 28, 3], labels uint8 [N, 1]."""
    numbers = np.random.default_rng(0)
    arrays = {}
    for part, images in (("train", 40), ("val", 8), ("test", 12)):
        arrays[f"{part}_images"] = numbers.integers(0, 256, (images, 28, 28, 3), dtype=np.uint8)
        arrays[f"{part}_labels"] = (np.arange(images)[:, None] % 2).astype(np.uint8)
    np.savez_compressed(tmp_path / "med.NPZ.npz", **arrays)
    (tmp_path / "med.NPZ.npz").rename(tmp_path / "pathmnist.NPZ")
    data = load(f"{tmp_path}/pathmnist.NPZ")
    assert (len(data.train), len(data.held_out), len(data.test)) == (40, 8, 12)
    assert np.array_equal(data.held_out.images, arrays["val_images"].transpose(0, 3, 1, 2))
    assert data.held_out.labels.tolist() == [0, 1] * 4 and data.notes == ("the images of val are held out",)


def test_keras_with_validation_images_alone(plain: Arrays) -> None:
    given = {key.replace("test", "val"): value for key, value in plain.items()}
    data = from_arrays("mine", given)
    assert data.fingerprint == from_arrays("mine", plain).fingerprint
    assert data.notes == ("there are no test images: those of val are tested on",)


@pytest.mark.parametrize("names", [("x", "y"), ("images", "labels"), ("X", "Y")])
def test_arrays_that_are_not_divided(plain: Arrays, names: tuple[str, str]) -> None:
    data = from_arrays("mine", {names[0]: plain["x_train"], names[1]: plain["y_train"]})
    assert [len(split) for split in (data.train, data.held_out, data.test)] == [42, 6, 12]
    assert data.notes[0].startswith("divided by the content of the images")
    again = from_arrays("mine", {"x": plain["x_train"][::-1], "y": plain["y_train"][::-1]})
    assert set(again.sums[2]) == set(data.sums[2]), "whatever their order"


def test_names_that_are_not_plain(plain: Arrays) -> None:
    for given, message in (
        (plain | {"train_images": plain["x_train"]}, "two arrays mean x_train, one of them train_images"),
        (plain | {"x_val": plain["x_test"]}, "lacks y_held_out"),
        (plain | {"z": plain["x_test"]}, "unknown array in data 'mine': 'z'"),
        (plain | {"x": plain["x_test"]}, r"has arrays of all images \(x, y\) and of parts \(x_train\); keep one kind"),
        ({"x": plain["x_test"]}, "lacks y; it needs x, y"),
        ({}, "lacks x_train"),
    ):
        with pytest.raises(CktatError, match=message):
            from_arrays("mine", given)
