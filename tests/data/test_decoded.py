"""Decoded images on disk: found by content, decoded once, mapped into memory, whole or not there at all."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from cktat.data import decoded, load
from cktat.data.assembly import moments
from cktat.data.own import from_arrays
from cktat.errors import CktatError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CKTAT_CACHE", f"{tmp_path}/cache")
    return tmp_path / "cache"


def noise(height: int, width: int, seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Of 2 classes 12 training and 4 test images each, RGB and of one size."""
    seed = 0
    for part, images in (("train", 12), ("test", 4)):
        for name in ("ant", "bee"):
            (tmp_path / "photos" / part / name).mkdir(parents=True)
            for i in range(images):
                seed += 1
                noise(20, 30, seed).save(tmp_path / f"photos/{part}/{name}/{i}.png")
    return tmp_path / "photos"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are decoded, in the order in which they are."""
    files: list[Path] = []
    decode = decoded.decode

    def spy(file: Path, *given: Any) -> Any:
        files.append(file)
        return decode(file, *given)

    monkeypatch.setattr(decoded, "decode", spy)
    return files


def test_decoded_once_and_found_by_content(photographs: Path, cache: Path, counted: list[Path], tmp_path: Path) -> None:
    first = load(str(photographs))
    assert sorted(counted) == sorted(photographs.rglob("*.png")), "each file once"
    counted.clear()
    shutil.copytree(photographs, tmp_path / "elsewhere")
    for file in (tmp_path / "elsewhere").rglob("*.png"):
        os.utime(file, (0, 0))
        file.rename(file.with_name(f"b{file.name}"))
    for again in (load(str(photographs)), load(f"{tmp_path}/elsewhere")):
        assert again.fingerprint == first.fingerprint and counted == []
        assert (again.mean, again.classes) == (first.mean, first.classes)
    noise(20, 30, 999).save(photographs / "test/bee/3.png")
    assert load(str(photographs)).fingerprint != first.fingerprint and len(counted) == 32
    shutil.rmtree(cache)
    assert load(f"{tmp_path}/elsewhere").fingerprint == first.fingerprint, "safe to delete"


def test_the_cache_is_of_the_size_and_of_the_labels(photographs: Path, cache: Path, counted: list[Path]) -> None:
    assert load(str(photographs)).size == (20, 30)
    assert load(str(photographs), size=8).size == load(str(photographs), size="8").size == (8, 8)
    assert load(str(photographs), size="10x12").size == (10, 12)
    assert len(counted) == 3 * 32
    file = sorted((photographs / "train/bee").iterdir())[-1]  # the last of all, and still so in the other class
    image = torch.from_numpy(np.array(Image.open(file)).transpose(2, 0, 1))
    file.rename(photographs / "train/ant/z.png")
    data = load(str(photographs))
    both, labels = torch.cat([data.train.images, data.held_out.images]), [*data.train.labels, *data.held_out.labels]
    (place,) = (both == image).flatten(1).all(1).nonzero()
    assert labels[place] == 0


def test_what_it_holds_is_what_was_in_memory_before(photographs: Path, cache: Path) -> None:
    """The same images given as arrays are the same data set: parts, order, mean and deviation."""
    arrays: dict[str, Any] = {"classes": ["ant", "bee"]}
    for part, images in (("train", 12), ("test", 4)):
        files = [
            photographs / part / name / f"{i}.png" for i in sorted(range(images), key=str) for name in ("ant", "bee")
        ]
        arrays[f"x_{part}"] = np.stack([np.array(Image.open(file)) for file in files])
        arrays[f"y_{part}"] = np.arange(2 * images) % 2
    from_memory = from_arrays("mine", arrays)
    data = load(str(photographs))
    assert data.fingerprint == from_memory.fingerprint
    assert (data.mean, data.std) == (from_memory.mean, from_memory.std)


def test_images_stay_on_disk(photographs: Path, cache: Path) -> None:
    """The tensors of all parts lie in maps of the files of the cache, which Linux lists for this process."""
    data = load(str(photographs))
    lines = (
        [line.split() for line in Path("/proc/self/maps").read_text().splitlines()] if sys.platform == "linux" else []
    )
    if not lines:
        pytest.skip("only Linux lists the maps of a process")
    for split, part in ((data.train, "train"), (data.held_out, "held_out"), (data.test, "test")):
        inside = []
        for line in lines:
            low, high = (int(end, 16) for end in line[0].split("-"))
            if line[-1].startswith(str(cache)) and low <= split.images.data_ptr() < high:
                inside.append((Path(line[-1]).name, line[1]))
        assert inside == [(f"{part}.npy", "r--s")], "shared and for reading only: such maps may exceed the memory"
    # and so do their first images
    assert data.subset(4).train.images.data_ptr() == data.train.images.data_ptr()
    assert data.train.to("cpu").images.data_ptr() == data.train.images.data_ptr()


def test_a_damaged_cache_is_made_again(photographs: Path, cache: Path, counted: list[Path]) -> None:
    first = load(str(photographs)).fingerprint
    (place,) = [each for each in cache.iterdir() if each.is_dir()]
    whole = (place / "train.npy").read_bytes()
    for damage in (
        lambda: (place / "train.npy").write_bytes(whole[:-1]),
        lambda: (place / "train.npy").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1])),
        lambda: (place / "about.json").write_text("{"),
        lambda: (place / "about.json").write_text("{}"),
        lambda: (place / "labels.npz").unlink(),
    ):
        damage()
        counted.clear()
        assert load(str(photographs)).fingerprint == first and len(counted) == 32
    assert [each.name for each in cache.iterdir() if each.is_dir()] == [place.name]


def test_nothing_half_done_is_left(photographs: Path, cache: Path) -> None:
    file = photographs / "test/bee/3.png"
    whole = file.read_bytes()
    file.write_bytes(whole[:-40])
    with pytest.raises(CktatError, match=f"{file} cannot be read as an image"):
        load(str(photographs))
    assert [each for each in cache.iterdir() if each.is_dir()] == []
    file.write_bytes(whole)
    load(str(photographs))
    (place,) = [each for each in cache.iterdir() if each.is_dir()]
    place.rename(place.with_suffix(".part"))  # as a kill leaves it
    (place.with_suffix(".part") / "train.npy").unlink()
    assert len(load(str(photographs)).test) == 8
    assert [each.name for each in cache.iterdir() if each.is_dir()] == [place.name]


def test_two_processes_decode_once(photographs: Path, cache: Path) -> None:
    code = f"from cktat.data import load; print(load({str(photographs)!r}).fingerprint)"
    started = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ended = [process.communicate() for process in started]
    assert len({out for out, _ in ended}) == 1 and ended[0][0]
    assert sum("decoded 32 images" in err for _, err in ended) == 1


def test_few_pixels_are_unpacked_at_a_time(photographs: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the number of threads: here 20 x 30 pixels an image, and room for two of them and a half."""
    inside, most, third, lock, decode = [0], [0], threading.Event(), threading.Lock(), decoded.decode
    two = threading.Barrier(2)

    def spy(*given: Any) -> Any:
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        if inside[0] > 2:
            third.set()
        two.wait(60)  # always two at a time
        third.wait(0.05)  # and time for one more, which must not come
        try:
            return decode(*given)
        finally:
            with lock:
                inside[0] -= 1

    monkeypatch.setattr(decoded, "decode", spy)
    monkeypatch.setattr(decoded, "THREADS", 8)
    monkeypatch.setattr(decoded, "UNPACKED", 1500)
    load(str(photographs))
    assert most[0] == 2
    shutil.rmtree(cache)
    two = threading.Barrier(1)
    most[0] = 0
    monkeypatch.setattr(decoded, "UNPACKED", 500)
    load(str(photographs))
    assert most[0] == 1, "an image that has more is unpacked alone"


def test_a_cache_that_cannot_be_written(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CKTAT_CACHE", f"{tmp_path}/file")
    with pytest.raises(CktatError, match=rf"{tmp_path}/file/\w+ cannot be written"):
        load(str(photographs))


@pytest.fixture
def mixed(photographs: Path) -> Path:
    """Images of several sizes and modes, turned and not: 3 palette, 2 RGBA, 1 CMYK, 4 grey; 5 turned."""
    files = sorted(photographs.rglob("*.png"))
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    for i, file in enumerate(files):
        image = noise(20 + i, 30, i)
        if i < 3:
            image = image.quantize(16)
        elif i < 5:
            image.putalpha(100)
        elif i < 6:
            file.unlink()
            file, image = file.with_suffix(".jpg"), image.convert("CMYK")
        elif i < 10:
            image = image.convert("L")
        image.save(file, exif=turned if 10 <= i < 15 else Image.Exif())
    return photographs


def test_one_line_says_what_was_converted(mixed: Path, cache: Path) -> None:
    for _ in range(2):  # decoded now, and found
        data = load(str(mixed), size=16)
        assert data.notes == ("4 grey (among RGB), 3 palette, 2 RGBA (over white), 1 CMYK converted; 5 turned by EXIF",)
        with pytest.raises(CktatError, match="1 CMYK converted; 5 turned by EXIF; --strict refuses that"):
            load(str(mixed), size=16, strict=True)
    assert data.channels == 3 and data.size == (16, 16)
    shutil.rmtree(cache)
    with pytest.raises(CktatError, match="--strict refuses that"):
        load(str(mixed), size=16, strict=True)
    assert [each for each in cache.iterdir() if each.is_dir()] == [], "refused before anything is decoded"


def test_strict_passes_plain_images(photographs: Path, cache: Path) -> None:
    assert load(str(photographs), strict=True).notes == ()


def test_sizes_that_differ_need_one(mixed: Path, cache: Path, counted: list[Path]) -> None:
    with pytest.raises(CktatError, match=r"images have 32 sizes, from 30 x 20 \(.*\) to 30 x 51 \(.*\); add --size 64"):
        load(str(mixed))
    assert counted == [], "nothing is decoded before"


def test_enlarged_images_are_counted(mixed: Path, cache: Path) -> None:
    assert load(str(mixed), size=31).notes[0].endswith("; 32 smaller than the size enlarged")


def test_moments_by_counting_are_those_of_the_pixels() -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 3, 9, 7), dtype=np.uint8)
    images[:, 1] //= 5
    mean, std = moments(images, 16)
    assert mean == pytest.approx((images / 16).mean((0, 2, 3)), abs=1e-12)
    assert std == pytest.approx((images / 16).std((0, 2, 3)), abs=1e-12)


def test_size_is_for_files(tmp_path: Path) -> None:
    with pytest.raises(CktatError, match="data 'digits': --size is for image files"):
        load("digits", size=64)
    with pytest.raises(CktatError, match="size 'large' is none"):
        load(str(tmp_path), size="large")
