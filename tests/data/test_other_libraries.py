"""The functions of docs/your-data.md for Hugging Face's datasets and for WebDataset, run as they stand there.

Neither package is needed: stand-ins have the parts of their interface that the functions use, as their documents describe it.
Where a package is installed, the function is also run with the package itself.
"""

import importlib.util
import io
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from cktat.data import Dataset, load

PAGE = Path(__file__).parents[2] / "docs/your-data.md"
CLASSES = ("ant", "bee")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with the functions of the page, from_hub.py and from_shards.py."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for name in ("from_hub", "from_shards"):  # in files of their own, because each needs its package
        (block,) = (each for each in blocks if f"def {name}():\n" in each)
        assert len(block.partition(f"def {name}():\n")[2].splitlines()) <= 5
        Path(f"{name}.py").write_text(block, encoding="utf-8")
    return tmp_path


def photograph(i: int) -> Image.Image:
    """Random pixels, 60 wide and 40 high; RGBA or 16-bit grey now and then."""
    pixels = np.random.default_rng(i).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    if i % 5 == 3:
        return Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257)
    return Image.fromarray(np.concatenate([pixels, pixels[:, :, :1]], axis=2) if i % 5 == 2 else pixels)


def packed(i: int) -> bytes:
    """A PNG file; every fifth is turned by its EXIF tag."""
    exif, file = Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.Orientation] = 6 if i % 5 == 1 else 1
    photograph(i).save(file, "PNG", exif=exif)
    return file.getvalue()


def folder(*parts: str) -> None:
    for i in range(40):
        place = Path("photos", parts[i // 20 % len(parts)], CLASSES[i % 2])
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i:02}.png").write_bytes(packed(i))


def sums(data: Dataset) -> list[set[tuple[int, bytes]]]:
    """The images of the parts with their labels, in any order."""
    splits = zip((data.train, data.held_out, data.test), data.sums, strict=True)
    return [set(zip(split.labels.tolist(), of_part, strict=True)) for split, of_part in splits]


class Rows:
    """Of datasets.Dataset: rows as dictionaries, an image decoded and turned as `datasets.Image` does, columns by name."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        names = sorted({file.parent.name for file in files})
        self.features = {"label": SimpleNamespace(names=names, int2str=lambda labels: [names[k] for k in labels])}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for file, label in zip(self.files, self["label"], strict=True):
            yield {"image": ImageOps.exif_transpose(Image.open(file)), "label": label}

    def __getitem__(self, column: str) -> list[int]:
        assert column == "label"
        return [self.features["label"].names.index(file.parent.name) for file in self.files]


def load_dataset(builder: str, data_dir: str) -> dict[str, Rows]:
    assert builder == "imagefolder"
    parts = sorted(part for part in Path(data_dir).iterdir())
    return {part.name: Rows(sorted(part.glob("*/*"))) for part in parts}


class WebDataset:
    """Of webdataset: the samples of tar files, which are the files of one name up to its first dot, undecoded."""

    def __init__(self, urls: str, *, shardshuffle: bool) -> None:
        assert not shardshuffle
        first, last = re.findall(r"\{(\d+)\.\.(\d+)\}", urls)[0]
        self.files = [re.sub(r"\{.*\}", f"{k:0{len(first)}}", urls) for k in range(int(first), int(last) + 1)]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for name in self.files:
            samples: dict[str, dict[str, Any]] = {}
            with tarfile.open(name) as archive:
                for member in archive:
                    key, _, kind = member.name.partition(".")
                    samples.setdefault(key, {"__key__": key})[kind] = archive.extractfile(member).read()  # type: ignore[union-attr]
            yield from samples.values()


STAND_INS = {"datasets": {"load_dataset": load_dataset}, "webdataset": {"WebDataset": WebDataset}}


@pytest.fixture(params=["as documented", "itself"])
def package(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    def take(name: str) -> None:
        if request.param == "itself":
            if importlib.util.find_spec(name) is None:
                pytest.skip(f"the package {name} is not installed; its stand-in is used by the test beside this one")
        else:
            stand_in = ModuleType(name)
            vars(stand_in).update(STAND_INS[name])
            monkeypatch.setitem(sys.modules, name, stand_in)

    return take


def test_hugging_face(here: Path, package: Any) -> None:
    package("datasets")
    folder("train", "test")
    data = load("from_hub.py:from_hub")
    assert data.classes == CLASSES and data.size == (64, 64)
    assert sums(data) == sums(load("photos", size=64)), "the same images as from the folder itself"


def test_webdataset(here: Path, package: Any) -> None:
    package("webdataset")
    for shard in range(2):
        with tarfile.open(f"photos-{shard:03}.tar", "w") as archive:
            for i in range(20 * shard, 20 * shard + 20):
                for kind, content in (("cls", str(i % 2).encode()), ("png", packed(i))):
                    member = tarfile.TarInfo(f"{i:06}.{kind}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
    data = load("from_shards.py:from_shards")
    folder("")
    assert data.classes == ("0", "1")
    assert sums(data) == sums(load("photos", size=64)), "the same images as from a folder of classes"
