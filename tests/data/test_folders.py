"""Folders of image files: parts and classes by their names, and whatever is out of place named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cktat.data import load
from cktat.data.listing import in_order
from cktat.errors import CktatError

Grey = Callable[[str, int], Path]


@pytest.fixture
def grey(tmp_path: Path) -> Grey:
    """grey("train/ant/0.png", 7): an image 5 wide and 6 high, all of one brightness."""

    def write(name: str, value: int) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((6, 5), value, dtype=np.uint8)).save(file)
        return file

    return write


@pytest.fixture
def folder(grey: Grey, tmp_path: Path) -> Path:
    """Grey images; the value of image i of class k in a split is told from all others by its brightness."""
    for part, offset, images in (("train", 0, 3), ("test", 100, 2)):
        for k, name in enumerate(("ant", "bee")):
            for i in range(images):
                grey(f"{part}/{name}/{i}.png", offset + 10 * k + i)
    return tmp_path


def test_folder(folder: Path) -> None:
    data = load(str(folder))
    assert data.classes == ("ant", "bee") and data.channels == 1 and data.size == (6, 5)
    # classes take turns, so that the first images are of all classes
    assert data.test.images[:, 0, 0, 0].tolist() == [100, 110, 101, 111]
    assert data.test.labels.tolist() == [0, 1, 0, 1]
    values = sorted([*data.train.images[:, 0, 0, 0].tolist(), *data.held_out.images[:, 0, 0, 0].tolist()])
    assert values == [0, 1, 2, 10, 11, 12] and sorted(data.held_out.labels.tolist()) == [0, 1]
    assert data.notes == ()


def test_folder_with_held_out_colour_images(folder: Path) -> None:
    for file in folder.rglob("*.png"):
        Image.open(file).convert("RGB").save(file)
    (folder / "test").rename(folder / "held_out")
    (folder / "test").symlink_to(folder / "held_out")
    data = load(str(folder))
    assert data.channels == 3 and (len(data.train), len(data.held_out), len(data.test)) == (6, 4, 4)


@pytest.mark.parametrize("name", ["val", "validation", "valid", "Val"])
def test_validation_images_are_tested_on_where_there_are_no_others(folder: Path, name: str) -> None:
    of_test = load(str(folder))
    (folder / "test").rename(folder / name)
    (folder / "train").rename(folder / "Training")
    data = load(str(folder))
    assert data.fingerprint == of_test.fingerprint
    assert data.notes == (f"there are no test images: those of {name} are tested on",)


def test_validation_images_are_held_out_beside_test_images(folder: Path, grey: Grey) -> None:
    grey("val/ant/0.png", 200), grey("val/bee/0.png", 210)
    data = load(str(folder))
    assert data.held_out.images[:, 0, 0, 0].tolist() == [200, 210] and len(data.train) == 6
    assert data.notes == ("the images of val are held out",)
    grey("held_out/ant/0.png", 1)
    with pytest.raises(CktatError, match="held_out and val are one part twice; keep one of them"):
        load(str(folder))


def test_a_folder_of_classes_alone_is_divided_by_content(grey: Grey, tmp_path: Path) -> None:
    for i in range(40):
        grey(f"all/ant/{i}.png", i), grey(f"all/bee/{i}.png", 100 + i)
    data = load(f"{tmp_path}/all")
    parts = [split.images[:, 0, 0, 0].tolist() for split in (data.train, data.held_out, data.test)]
    assert [len(part) for part in parts] == [56, 8, 16]
    assert sorted(value for part in parts for value in part) == [*range(40), *range(100, 140)], (
        "each image is in one part"
    )
    for split in (data.train, data.held_out, data.test):
        assert ((split.images[:, 0, 0, 0] >= 100) == split.labels.bool()).all()
        assert split.labels.float().mean() == 0.5, "the parts have the classes in equal shares"
    assert data.notes == (
        "divided by the content of the images, class by class: 56 for training, 8 held out, 16 for testing",
    )
    for i in range(40):  # other names, and so another order
        (tmp_path / f"all/ant/{i}.png").rename(tmp_path / f"all/ant/x{39 - i}.png")
    again = load(f"{tmp_path}/all")
    assert sorted(again.test.images[:, 0, 0, 0].tolist()) == sorted(parts[2])


def test_a_class_too_small_to_be_divided(grey: Grey, tmp_path: Path) -> None:
    for i in range(3):
        grey(f"all/ant/{i}.png", i), grey(f"all/bee/{i}.png", 100 + i)
    assert [len(s) for s in (load(f"{tmp_path}/all").train, load(f"{tmp_path}/all").test)] == [2, 2]
    (tmp_path / "all/bee/2.png").unlink()
    with pytest.raises(
        CktatError, match=r"class 'bee' \(label 1\) has 2 images, it needs at least 3 \(one for each part"
    ):
        load(f"{tmp_path}/all")


def test_numbered_classes_are_in_the_order_of_the_numbers(grey: Grey, tmp_path: Path) -> None:
    for k in range(12):
        for part in ("train", "test"):
            for i in range(2):
                grey(f"{part}/{k}/{i}.png", 10 * k + i)
    data = load(str(tmp_path))
    assert data.classes == tuple(map(str, range(12)))
    assert (data.test.images[:, 0, 0, 0] // 10 == data.test.labels).all()
    assert in_order(["1", "b", "10"]) == ["1", "10", "b"] and in_order(["02", "1"]) == ["1", "02"]


def test_sidecars_are_passed_over_and_any_other_stray_file_is_named(folder: Path) -> None:
    plain = load(str(folder)).fingerprint
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0.png", ".hidden"):
        for place in ("", "train", "train/ant"):
            (folder / place / name).write_text("no image")
    (folder / "__MACOSX/train").mkdir(parents=True)
    data = load(str(folder))
    assert data.fingerprint == plain and data.notes == ()
    (folder / "README.md").write_text("of the whole")
    (folder / "unlabelled").mkdir()
    (folder / "train/labels.txt").write_text("of the part")
    assert load(str(folder)).notes == ("passed over: README.md, labels.txt, unlabelled",)
    (folder / "train/ant/note.txt").write_text("in a class")
    with pytest.raises(
        CktatError, match=r"train/ant/note.txt is no image that can be read: .* \.png, .*; convert it, or"
    ):
        load(str(folder))


def test_images_out_of_place_are_refused(folder: Path, grey: Grey) -> None:
    for name, message in (
        ("loose.png", "loose.png is of no class; move it into the folder of its part and class"),
        ("train/loose.png", "train/loose.png is of no class; move it into the folder of its class"),
        ("train/ant/more/0.png", "train/ant/more is a folder in the folder of a class"),
    ):
        file = grey(name, 0)
        with pytest.raises(CktatError, match=message):
            load(str(folder))
        file.unlink()


def test_folder_without_test_images(folder: Path) -> None:
    (folder / "test").rename(folder / "elsewhere")
    with pytest.raises(CktatError, match=r"has .* but no test; it needs train and test"):
        load(str(folder))


def test_test_images_alone_are_there_to_judge_networks_on(folder: Path) -> None:
    whole = load(str(folder))
    (folder / "train").rename(folder / "elsewhere")
    for _ in "decoded", "read back":
        alone = load(str(folder))
        assert alone.only_tests and alone.classes == whole.classes
        assert torch.equal(alone.test.images, whole.test.images) and torch.equal(alone.test.labels, whole.test.labels)
    assert any("test images alone" in note for note in alone.notes)


def test_a_class_that_a_part_lacks_is_named_with_the_part(folder: Path, grey: Grey) -> None:
    (folder / "test/bee").rename(folder / "test/cow")
    with pytest.raises(CktatError, match=f"class 'bee' is in {folder}/train and absent from {folder}/test"):
        load(str(folder))
    grey("test/bee/0.png", 0)
    with pytest.raises(CktatError, match=f"class 'cow' is in {folder}/test and absent from {folder}/train"):
        load(str(folder))


def test_empty_folders(folder: Path, tmp_path: Path) -> None:
    (folder / "test/bee/0.png").unlink()
    (folder / "test/bee/1.png").unlink()
    with pytest.raises(CktatError, match="test/bee has no images"):
        load(str(folder))
    (tmp_path / "nothing").mkdir()
    with pytest.raises(CktatError, match=r"nothing has no folders; it needs one for each class.*FILE.csv"):
        load(f"{tmp_path}/nothing")
