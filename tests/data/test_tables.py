"""Tables of paths and labels: every column by its name, and each faulty line named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cktat.data import load
from cktat.errors import CktatError

Table = Callable[..., Path]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Grey images photos/0.png to 39.png, each as bright as its number."""
    (tmp_path / "photos").mkdir()
    for i in range(40):
        Image.fromarray(np.full((6, 5), i, dtype=np.uint8)).save(tmp_path / f"photos/{i}.png")
    return tmp_path


@pytest.fixture
def table(photos: Path) -> Table:
    def write(*lines: str, name: str = "photos.csv", encoding: str = "utf-8") -> Path:
        (photos / name).write_text("\n".join(lines) + "\n", encoding=encoding)
        return photos / name

    return write


def label(i: int) -> str:
    return "even" if i % 2 == 0 else "odd, or not even"


ROWS = [f'photos/{i}.png,"{label(i)}"' for i in range(40)]


def test_paths_and_labels_are_divided_by_content(table: Table) -> None:
    data = load(str(table("path,label", *ROWS)))
    assert data.classes == ("even", "odd, or not even")
    assert [len(split) for split in (data.train, data.held_out, data.test)] == [28, 4, 8]
    assert data.notes == (
        "divided by the content of the images, class by class: 28 for training, 4 held out, 8 for testing",
    )
    for split in (data.train, data.held_out, data.test):
        assert (split.images[:, 0, 0, 0] % 2 == split.labels).all()
    assert set(load(str(table("path,label", *ROWS[::-1]))).sums[2]) == set(data.sums[2]), "in any order"
    # the same images in folders of classes are the same data
    for i in range(40):
        folder = table("path,label", *ROWS).parent / "all" / label(i)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i:02}.png").write_bytes((folder.parents[1] / f"photos/{i}.png").read_bytes())
    assert load(str(folder.parent)).fingerprint == data.fingerprint


@pytest.mark.parametrize("form", ["commas", "semicolons", "tabs", "Excel", "absolute", "other columns", "blank lines"])
def test_forms(table: Table, photos: Path, form: str) -> None:
    usual = load(str(table("path,label", *ROWS)))
    rows = [(f"photos/{i}.png", label(i).partition(",")[0]) for i in range(40)]
    lines = ["path,label", *(",".join(row) for row in rows)]
    same = load(str(table(*lines)))
    match form:
        case "semicolons" | "tabs":
            lines = [line.replace(",", ";" if form == "semicolons" else "\t") for line in lines]
        case "Excel":
            lines = [f"{line}\r" for line in lines]
        case "absolute":
            lines = [lines[0], *(f"{photos}/{line}" for line in lines[1:])]
        case "other columns":
            lines = ["id,Filename,width,Class", *(f"{i},{path},5,{name}" for i, (path, name) in enumerate(rows))]
        case "blank lines":
            lines = [lines[0], "", *lines[1:], "", ""]
    written = table(
        *lines, name="x.tsv" if form == "tabs" else "x.CSV", encoding="utf-8-sig" if form == "Excel" else "utf-8"
    )
    data = load(str(written))
    assert data.fingerprint == same.fingerprint != usual.fingerprint and data.classes == ("even", "odd")


def test_a_column_of_parts(table: Table) -> None:
    parts = ["train"] * 30 + ["Test"] * 6 + ["val"] * 4
    lines = [f"{line},{part}" for line, part in zip(ROWS, parts, strict=True)]
    data = load(str(table("image,target,split", *lines)))
    assert [len(split) for split in (data.train, data.held_out, data.test)] == [30, 4, 6]
    assert data.notes == ("the images of val are held out",)
    assert data.train.images[:6, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5], "the classes take turns"
    assert sorted(data.test.images[:, 0, 0, 0].tolist()) == [*range(30, 36)]
    only = load(str(table("image,target,split", *(line.replace(",val", ",train") for line in lines))))
    assert len(only.train) + len(only.held_out) == 34 and len(only.test) == 6


def test_numbered_labels_are_in_the_order_of_the_numbers(table: Table) -> None:
    data = load(str(table("path,label", *(f"photos/{i}.png,{8 + i % 3}" for i in range(40)))))
    assert data.classes == ("8", "9", "10")


def test_a_class_that_a_part_lacks(table: Table) -> None:
    lines = [f"photos/{i}.png,{label(i)[:3]},{'train' if i < 30 else 'test'}" for i in range(40)]
    some = [line for line in lines if not line.endswith("odd,test")]
    assert load(str(table("path,label,split", *some))).notes == ("no test image is of class 'odd'",)
    with pytest.raises(CktatError, match="line 32: class 'new' has images for test and none for training"):
        load(str(table("path,label,split", *lines[:30], "photos/30.png,new,test")))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["photos/0.png,a", "photos/1.png,b"], "the first line is 'photos/0.png,a'; its first line must name the columns"),
        ([], "the first line is ''"),
        (["path,label"], "lists no images"),
        (["path,file,label", "a,b,c"], "columns path and file could both be the path; rename or remove one"),
        (["path,label", "photos/0.png,a", "photos/none.png,b", "none,b"], "line 3: there is no file .*photos/none.png, and 1"),
        (["path,label", "photos/0.png,a", "photos/0.png,b"], "line 3: photos/0.png stands in line 2 already"),
        (["path,label", "photos/0.png"], "line 2 has 1 cells, 2 are needed"),
        (["path,label", "photos/0.png, "], "line 2 has no label"),
        (["path,label", ",a"], "line 2 has no path"),
        (["path,label,split", "photos/0.png,a,trian"], "unknown part in line 2 .* 'trian'; did you mean 'train'"),
        (["path,label,split", "photos/0.png,a,"], "unknown part in line 2"),
        (["path,label,split", "photos/0.png,a,train"], "has train but no test"),
        (["path,label", 'photos/0.png,"a'], "line 2 is broken"),
    ],
)  # fmt: skip
def test_faulty_lines(table: Table, lines: list[str], message: str) -> None:
    with pytest.raises(CktatError, match=message) as error:
        load(str(table(*lines)))
    assert "\n" not in str(error.value)


def test_faulty_files(table: Table, tmp_path: Path) -> None:
    with pytest.raises(CktatError, match="there is no file"):
        load(f"{tmp_path}/none.csv")
    (tmp_path / "latin.csv").write_bytes("path,label\nä,b\n".encode("latin-1"))
    with pytest.raises(CktatError, match="is no text in UTF-8"):
        load(f"{tmp_path}/latin.csv")
    (tmp_path / "photos/1.png").write_text("no image")
    with pytest.raises(CktatError, match=r"photos/1\.png cannot be read as an image"):
        load(str(table("path,label", *ROWS)))
