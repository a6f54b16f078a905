"""Where the files of a downloadable data set lie, and how they get there."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cktat.errors import CktatError, named_file, unknown


@dataclass(frozen=True)
class Archive:
    """An archive on the web: `url` with its `md5`, the `folder` inside, and the `files` that must be in that folder."""

    url: str
    md5: str
    folder: str
    files: tuple[str, ...]


ARCHIVES = {  # the "binary version" of https://www.cs.toronto.edu/~kriz/cifar.html; md5 as published there
    "cifar10": Archive(
        url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        md5="c32a1d4ab5d03f1284b67883e8d87530",
        folder="cifar-10-batches-bin",
        files=(*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin", "batches.meta.txt"),
    ),
    "cifar100": Archive(
        url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        md5="03b5dce01913d631647c71ecec9e9cb8",
        folder="cifar-100-binary",
        files=("train.bin", "test.bin", "fine_label_names.txt"),
    ),
}
DIGITS = Path(__file__).with_name("digits.npz")  # the one data set that comes with the package


def data_root(root: str | Path | None = None) -> Path:
    """The folder that holds data sets: `root`, else the environment's CKTAT_DATA, else ~/.cache/cktat/data."""
    return Path(root or os.environ.get("CKTAT_DATA") or "~/.cache/cktat/data").expanduser()


def locate(name: str, root: str | Path | None = None) -> Path:
    """Where the data set `name` lies (the folder with its files; for digits, its file). CktatError if it is not there.

    `root` may be that folder itself or the one above it; see `data_root` for its default.
    """
    return DIGITS if name == "digits" else locate_archive(name, source_of(name), data_root(root))


def locate_archive(name: str, source: Archive, root: Path) -> Path:
    """`locate`, for any source."""
    tried = []
    for folder in (root / source.folder, root):
        missing = [file for file in source.files if not (folder / file).is_file()]
        if not missing:
            return folder
        tried.append(f"{folder} (missing: {', '.join(missing) if len(missing) < len(source.files) else 'all'})")
    raise CktatError(
        f"data {name!r} is not there: looked for {', '.join(source.files)} in {' and in '.join(tried)}; "
        f"`cktat data fetch {name}` downloads it, --root or CKTAT_DATA names another folder"
    )


def fetch(name: str, root: str | Path | None = None, say: Callable[[str], None] = print) -> Path:
    """Downloads a data set under `root`, unless it is there, and returns its folder. `say` is told what happens.

    An archive of the official name that lies in `root` already is used instead of a download. CktatError if the archive
    cannot be had, has the wrong checksum or cannot be unpacked; nothing half-done is left behind.
    """
    if name == "digits":
        say("digits comes with the package: nothing to fetch")
        return DIGITS
    return fetch_source(name, source_of(name), data_root(root), say)


def fetch_source(name: str, source: Archive, root: Path, say: Callable[[str], None]) -> Path:
    """`fetch`, for any source."""
    target = root / source.folder
    if target.exists() or all((root / file).is_file() for file in source.files):
        try:
            folder = locate_archive(name, source, root)
        except CktatError:
            raise CktatError(f"{target} lacks some of {', '.join(source.files)}; remove it and fetch again") from None
        say(f"{name} is already there: {folder}")
        return folder
    by_hand = root / source.url.rpartition("/")[2]
    try:
        root.mkdir(parents=True, exist_ok=True)
        # All happens in a folder of its own beside the target: one rename ends it, and a failure leaves no trace.
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=root) as scratch:
            archive = by_hand
            if by_hand.is_file():
                say(f"using {by_hand}")
            else:
                say(f"downloading {source.url}")
                archive = Path(scratch) / by_hand.name
                _download(source.url, archive, by_hand)
            _check_md5(archive, source, by_hand)
            say(f"unpacking to {target}")
            _unpack(archive, Path(scratch), source)
            _keep_sums(Path(scratch) / source.folder, source.files)
            (Path(scratch) / source.folder).rename(target)
    except OSError as error:
        raise CktatError(
            f"cannot write {name} to {root}: {error}; --root or CKTAT_DATA names another folder"
        ) from error
    return target


SUMS = "SHA256SUMS"
"""The file with the sums of what was unpacked, as `sha256sum` writes and checks it."""


def _keep_sums(folder: Path, files: tuple[str, ...]) -> None:
    lines = [f"{hashlib.sha256((folder / file).read_bytes()).hexdigest()}  {file}\n" for file in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def kept_sums(folder: Path) -> dict[str, str]:
    """The sums that `fetch` left beside the files of a data set, {} if it left none. CktatError if their file is broken."""
    path = folder / SUMS
    if not path.exists():
        return {}
    with named_file(path, "read"):
        lines = [line.split() for line in path.read_bytes().decode("utf-8", "replace").splitlines()]
    if not all(len(words) == 2 and re.fullmatch("[0-9a-f]{64}", words[0]) for words in lines):
        raise CktatError(f"{path} is not a list of sums as `sha256sum` writes it; remove it, or fetch the data again")
    return {name: total for total, name in lines}


def source_of(name: str) -> Archive:
    """The archive of a data set. CktatError if there is none of that name."""
    if name not in ARCHIVES:
        raise unknown("data", name, ["digits", *ARCHIVES])
    return ARCHIVES[name]


def _download(url: str, to: Path, by_hand: Path) -> None:
    try:
        response = urllib.request.urlopen(url, timeout=60)
    except (OSError, http.client.HTTPException) as error:
        raise _no_download(url, by_hand, error) from error
    with response, to.open("wb") as file:
        while True:
            try:
                block = response.read(1 << 20)
            except (OSError, http.client.HTTPException) as error:
                raise _no_download(url, by_hand, error) from error
            if not block:
                return
            file.write(block)  # a full disk is the caller's OSError, not the network's


def _no_download(url: str, by_hand: Path, error: Exception) -> CktatError:
    return CktatError(f"cannot download {url}: {error}; put the archive at {by_hand} by hand and fetch again")


def _check_md5(archive: Path, source: Archive, by_hand: Path) -> None:
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if digest != source.md5:
        way_out = "remove it" if archive == by_hand else f"fetch again, or put the archive at {by_hand} by hand"
        whose = by_hand if archive == by_hand else source.url
        raise CktatError(f"{whose} has md5 {digest}, not {source.md5}: it is damaged or another file; {way_out}")


def _unpack(archive: Path, into: Path, source: Archive) -> None:
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(into, filter="data")
    except (tarfile.TarError, EOFError) as error:
        reason = str(error).partition("\n")[0]  # tarfile lists every compression it tried, a line each
        raise CktatError(f"cannot unpack {archive.name} from {source.url}: {reason}; fetch again") from error
    missing = [file for file in source.files if not (into / source.folder / file).is_file()]
    if missing:
        raise CktatError(
            f"{archive.name} from {source.url} holds no {source.folder}/{missing[0]}: it is another archive"
        )
