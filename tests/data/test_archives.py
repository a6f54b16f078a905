"""Fetching: whole or not at all, checked, and without the network wherever that is possible."""

import dataclasses
import hashlib
import http.client
import io
import subprocess
import tarfile
import urllib.request
from pathlib import Path

import pytest

from cktat.data import fetch, locate
from cktat.data.archives import ARCHIVES, Archive, fetch_source
from cktat.errors import CktatError


def make_archive(path: Path, members: dict[str, bytes]) -> str:
    """Writes a .tar.gz and returns its md5."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> Archive:
    """A web page with a tiny archive, as a file:// address."""
    (tmp_path / "web").mkdir()
    archive = tmp_path / "web/tiny.tar.gz"
    md5 = make_archive(archive, {"tiny/a.bin": b"aa", "tiny/b.txt": b"b", "tiny/readme.html": b"more"})
    return Archive(url=archive.as_uri(), md5=md5, folder="tiny", files=("a.bin", "b.txt"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deep/root"


def run(source: Archive, root: Path) -> tuple[Path, list[str]]:
    said: list[str] = []
    return fetch_source("tiny", source, root, said.append), said


def test_fetches_once(source: Archive, root: Path) -> None:
    folder, said = run(source, root)
    assert folder == root / "tiny" and said == [f"downloading {source.url}", f"unpacking to {folder}"]
    sums = "".join(f"{hashlib.sha256(c).hexdigest()}  {name}\n" for name, c in (("a.bin", b"aa"), ("b.txt", b"b")))
    wanted = {"a.bin": b"aa", "b.txt": b"b", "readme.html": b"more", "SHA256SUMS": sums.encode()}
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == wanted
    assert subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder).returncode == 0
    assert [f.name for f in root.iterdir()] == ["tiny"]  # neither archive nor scratch stays
    Path(source.url.removeprefix("file://")).unlink()
    again, said = run(source, root)
    assert again == folder and said == [f"tiny is already there: {folder}"]
    assert run(source, folder)[0] == folder  # a root that is the folder itself


def test_archive_put_there_by_hand(source: Archive, root: Path) -> None:
    root.mkdir(parents=True)
    Path(source.url.removeprefix("file://")).rename(root / "tiny.tar.gz")
    folder, said = run(source, root)
    assert said[0] == f"using {root / 'tiny.tar.gz'}" and (folder / "a.bin").read_bytes() == b"aa"
    assert (root / "tiny.tar.gz").is_file()  # what a user put there stays


def fails(source: Archive, root: Path, message: str) -> str:
    with pytest.raises(CktatError, match=message) as error:
        run(source, root)
    if root.is_dir():
        assert not [f for f in root.iterdir() if f.name != "tiny.tar.gz"]  # nothing half-done
    assert "\n" not in str(error.value)
    return str(error.value)


def test_no_network(source: Archive, root: Path) -> None:
    Path(source.url.removeprefix("file://")).unlink()
    text = fails(source, root, f"cannot download {source.url}")
    assert f"put the archive at {root / 'tiny.tar.gz'} by hand" in text


def test_connection_lost(source: Archive, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Lost(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise http.client.IncompleteRead(b"")

    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Lost())
    fails(source, root, "cannot download .* IncompleteRead.* by hand")


def test_wrong_checksum(source: Archive, root: Path) -> None:
    wrong = dataclasses.replace(source, md5="0" * 32)
    fails(wrong, root, f"{source.url} has md5 {source.md5}, not 0000.* fetch again, or put the archive at")
    root.mkdir(exist_ok=True, parents=True)
    (root / "tiny.tar.gz").write_bytes(b"not it")
    fails(source, root, f"{root}/tiny.tar.gz has md5 .*; remove it")


def test_no_space(source: Archive, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: tarfile.TarFile, path: Path, filter: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "extractall", full)
    fails(source, root, f"cannot write tiny to {root}: .*No space left on device; --root or CKTAT_DATA")


def test_root_is_a_file(source: Archive, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CktatError, match=r"cannot write tiny to .*/file/root"):
        run(source, tmp_path / "file/root")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"tiny/a.bin": b"aa"}, "tiny.tar.gz from .* holds no tiny/b.txt"),
        ({"other/a.bin": b"aa"}, "holds no tiny/a.bin"),
        ({"../evil": b"", "tiny/a.bin": b"", "tiny/b.txt": b""}, "cannot unpack tiny.tar.gz.*evil.*outside"),
    ],
)
def test_another_archive(source: Archive, root: Path, members: dict[str, bytes], message: str) -> None:
    md5 = make_archive(Path(source.url.removeprefix("file://")), members)
    fails(dataclasses.replace(source, md5=md5), root, message)
    assert not (root.parent / "evil").exists()


def test_no_archive_at_all(source: Archive, root: Path) -> None:
    page = b"<html>moved</html>"
    Path(source.url.removeprefix("file://")).write_bytes(page)
    fails(dataclasses.replace(source, md5=hashlib.md5(page).hexdigest()), root, "cannot unpack tiny.tar.gz")


def test_a_half_filled_folder_is_not_touched(source: Archive, root: Path) -> None:
    (root / "tiny").mkdir(parents=True)
    (root / "tiny/a.bin").write_bytes(b"mine")
    with pytest.raises(CktatError, match=f"{root}/tiny lacks some of a.bin, b.txt; remove it and fetch again"):
        run(source, root)
    assert (root / "tiny/a.bin").read_bytes() == b"mine"


def test_names() -> None:
    said: list[str] = []
    assert fetch("digits", say=said.append) == locate("digits")
    assert said == ["digits comes with the package: nothing to fetch"] and locate("digits").is_file()
    for function in (fetch, locate):
        with pytest.raises(CktatError, match="unknown data 'cifar11'; did you mean 'cifar10'"):
            function("cifar11")


def test_the_official_addresses() -> None:
    assert ARCHIVES["cifar10"].url == "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    assert ARCHIVES["cifar10"].md5 == "c32a1d4ab5d03f1284b67883e8d87530"
    assert ARCHIVES["cifar100"].url == "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
    assert ARCHIVES["cifar100"].md5 == "03b5dce01913d631647c71ecec9e9cb8"
