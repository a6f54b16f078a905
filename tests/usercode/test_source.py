"""What counts as the text behind a `file.py:function`, and its sum."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from cktat.errors import CktatError
from cktat.usercode import absolute, source_of
from cktat.usercode.source import LARGEST


def write(folder: Path, **files: str) -> str:
    """Files by name, `__` standing for a slash; the name of net in net.py."""
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return f"{folder / 'net.py'}:net"


def test_the_sum_of_one_file_is_that_of_sha256sum(tmp_path: Path) -> None:
    spec = write(tmp_path, net="import torch, os\nfrom . import nothing\n", other="1")
    text = (tmp_path / "net.py").read_bytes()
    assert source_of(spec).sha256 == hashlib.sha256(text).hexdigest()
    assert str(source_of(spec)) == f"{tmp_path / 'net.py'} (sha256 {hashlib.sha256(text).hexdigest()})"


def test_the_sum_of_several_is_that_of_what_sha256sum_prints_for_them(tmp_path: Path) -> None:
    spec = write(tmp_path, net="import b, a\n", a="", b="x = 1")
    lines = "".join(
        f"{hashlib.sha256((tmp_path / n).read_bytes()).hexdigest()}  {n}\n" for n in ("a.py", "b.py", "net.py")
    )
    assert source_of(spec).sha256 == hashlib.sha256(lines.encode()).hexdigest()


@pytest.mark.parametrize(
    "statement",
    [
        "import inner",
        "import inner as other, os",
        "from inner import x",
        "from inner import *",
        "from . import inner",
        "from .inner import x",
        "def net():\n    if 0:\n        import inner",
        "import outer.inner",
        "from outer import inner",
        "from outer.inner import x as y",
        "from .outer import inner",
        "import relative.to",  # from .. import inner, inside
        "import bare.inner",  # a folder without __init__.py
        "import between",  # which imports inner
    ],
)
def test_an_edit_of_what_is_imported_from_the_folder_changes_the_sum(statement: str, tmp_path: Path) -> None:
    files = dict(
        net=statement, inner="x = 1", outer____init__="", outer__inner="x = 1", bare__inner="x = 1", between="import inner",
        relative____init__="", relative__to="from .inside import x", relative__inside="x = 1", unused="x = 1",
    )  # fmt: skip
    spec = write(tmp_path, **files)
    before = source_of(spec).sha256
    write(tmp_path, unused="x = 2")
    assert source_of(spec).sha256 == before
    write(tmp_path, inner="x = 2", outer__inner="x = 2", bare__inner="x = 2", relative__inside="x = 2")
    assert source_of(spec).sha256 != before


def test_the_sum_is_of_content_not_of_the_folder(tmp_path: Path) -> None:
    files = dict(net="import inner", inner="x = 1")
    assert source_of(write(tmp_path / "a", **files)).sha256 == source_of(write(tmp_path / "b", **files)).sha256


def test_modules_that_import_each_other_end(tmp_path: Path) -> None:
    spec = write(tmp_path, net="import a", a="import net, b", b="import a")
    assert list(source_of(spec).files) == ["a.py", "b.py", "net.py"]


def test_an_installed_package_comes_before_a_folder_of_its_name_and_after_a_module(tmp_path: Path) -> None:
    spec = write(tmp_path, net="import numpy.inner, json", numpy__inner="", json="")
    assert list(source_of(spec).files) == ["json.py", "net.py"]


def test_a_text_that_cannot_be_parsed_is_counted_alone(tmp_path: Path) -> None:
    for text in ("def net(:", "(" * 100_000, "\0", "import inner\nx = '"):
        assert list(source_of(write(tmp_path, net=text, inner="")).files) == ["net.py"]


def test_what_is_no_file_of_code_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CktatError, match=r"model '.*net\.py:net': there is no file"):
        source_of(f"{tmp_path}/net.py:net", "model")
    with (tmp_path / "net.py").open("wb") as file:
        os.truncate(file.fileno(), LARGEST + 1)
    with pytest.raises(CktatError, match="larger than 10,000,000 bytes"):
        source_of(f"{tmp_path}/net.py:net")


def test_a_relative_name_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("./a/../net.py:net") == f"{tmp_path.resolve()}/net.py:net"
    assert absolute(absolute("net.py:net")) == absolute("net.py:net")
