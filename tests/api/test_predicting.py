"""Predictions of image files: as of training images, in the terms of the network's classes, or one clear line."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

import cktat
from cktat.api.predicting import AT_ONCE
from cktat.cli import main
from cktat.data import load
from cktat.runs import RunFolder, save_weights

SIZE = "6x8"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of 24 photographs of several sizes and kinds, one in four turned by its tag."""
    folder, numbers = tmp_path_factory.mktemp("photos"), np.random.default_rng(3)
    for k, name in enumerate(("ant", "bee", "cow")):
        (folder / name).mkdir()
        for n in range(24):
            height, width = numbers.integers(6, 30, 2)
            pixels = numbers.integers(0, 80, (height, width, 3))
            pixels[..., k] += 150
            image, exif = Image.fromarray(pixels.astype(np.uint8)), Image.Exif()
            if n % 4 == 0:
                exif[ExifTags.Base.Orientation] = 6
            kind = ("png", "jpg", "bmp", "tiff", "gif")[n % 5]
            if n % 7 == 0:
                image = image.convert("L")
            if n % 5 == 0 and n % 3 == 0:
                image.putalpha(120)
            image.save(folder / name / f"{n:02}.{kind}", **({"exif": exif} if kind in ("png", "jpg", "tiff") else {}))
    return folder


@pytest.fixture(scope="module")
def run(photos: Path, tiny, tmp_path_factory: pytest.TempPathFactory) -> cktat.Run:
    store = tmp_path_factory.mktemp("store")
    model = tiny.folder / "six.py"
    model.write_text(
        "from torch import nn\n\n\ndef net(classes, channels):\n"
        "    return nn.Sequential(nn.Conv2d(channels, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),\n"
        "                         nn.Linear(96, classes))\n"
    )
    options = {**tiny.options, "data": str(photos), "model": f"{model}:net", "size": SIZE, "lr": 0.02}
    return cktat.train("pgd_at", store=store, show=False, **options)


def shares(network: torch.nn.Module, images: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return network(images / 255).double().softmax(1).numpy()


def test_every_file_is_predicted_as_the_training_image_that_it_is(photos: Path, run: cktat.Run) -> None:
    files = sorted(file for file in photos.rglob("*") if file.is_file())
    assert len(files) > AT_ONCE
    found = cktat.predict(run, files)
    assert [one.image for one in found] == [str(file) for file in files]
    data = load(str(photos), size=SIZE)
    known = np.concatenate([shares(run.model(), part.images) for part in (data.train, data.held_out, data.test)])
    ours = np.array([one.probabilities for one in found])
    assert np.abs(ours[:, None] - known[None]).max(2).min(1).max() < 1e-6  # every file is an image of the data set
    assert np.abs(ours[:, None] - known[None]).max(2).min(0).max() < 1e-6  # and every image a file
    assert {one.classes for one in found} == {("ant", "bee", "cow")}
    right = [one.best == Path(one.image).parent.name for one in found]
    assert sum(right) > 2 / 3 * len(files)  # labels and names are not interchanged


def test_what_was_done_to_an_image_is_said(run: cktat.Run, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("L", (6, 8)).save(tmp_path / "turned.png", exif=exif)
    Image.new("RGB", (8, 6), "red").save(tmp_path / "plain.png")
    Image.new("RGB", (20, 30), "red").quantize(4).save(tmp_path / "large.png")
    turned, plain, large = cktat.predict(run, [tmp_path / f"{name}.png" for name in ("turned", "plain", "large")])
    assert (turned.size, turned.notes) == ((6, 8), ("turned by EXIF", "grey as RGB"))
    assert (plain.size, plain.notes) == ((6, 8), ())
    assert (large.size, large.notes) == ((30, 20), ("palette converted", "20 x 30 brought to 8 x 6"))
    (alone,) = cktat.predict(run, str(tmp_path / "plain.png"))
    assert (alone.image, alone.notes) == (plain.image, plain.notes)
    assert alone.probabilities == pytest.approx(
        plain.probabilities, abs=1e-6
    )  # a batch of another size rounds differently


def test_of_a_file_of_weights_as_of_its_run(run: cktat.Run, photos: Path) -> None:
    file = next(photos.rglob("*.png"))
    assert cktat.predict(run.weights("last"), file) == cktat.predict(run, file, weights="last")
    assert cktat.predict(run.path.name, file, store=run.path.parent) == cktat.predict(run, file)


def test_grey_networks_see_grey(runs, tmp_path: Path) -> None:
    run = runs.train("standard", tmp_path / "store")
    Image.new("RGB", (6, 6), (200, 10, 90)).save(tmp_path / "colour.png")
    Image.new("RGB", (6, 6), (200, 10, 90)).convert("L").save(tmp_path / "grey.png")
    colour, grey = cktat.predict(run, [tmp_path / "colour.png", tmp_path / "grey.png"])
    assert colour.probabilities == grey.probabilities
    assert (colour.notes, grey.notes) == (("colour as grey",), ())


@pytest.fixture
def command(monkeypatch, capsys, tmp_path) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cktat", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code or 0, *capsys.readouterr()

    return call


def test_the_command_prints_the_same_as_text_and_as_json(run: cktat.Run, photos: Path, command) -> None:
    files = sorted(photos.glob("*/00.*"))
    found = cktat.predict(run, files)
    code, out, err = command("predict", run.path, *files, "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["classes"] == ["ant", "bee", "cow"]
    assert [one["image"] for one in told["predictions"]] == [str(file) for file in files]
    for one, its in zip(told["predictions"], found, strict=True):
        assert one["probabilities"] == list(its.probabilities) and sum(one["probabilities"]) == pytest.approx(1)
        assert one["class"] == its.best == told["classes"][int(np.argmax(its.probabilities))]
        assert one["probability"] == max(its.probabilities)
    code, out, err = command("predict", run.path, *files, "--top", 2)
    lines = out.splitlines()
    assert (code, err, len(lines)) == (0, "", len(files))
    for line, its in zip(lines, found, strict=True):
        (first, most), (second, next_) = its.ranked()[:2]
        assert line.startswith(f"{its.image}: {first} {100 * most:.1f} %, {second} {100 * next_:.1f} % (")
        assert most >= next_


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda file: file.write_bytes(b""), "cannot be read as an image"),
        (lambda file: file.write_bytes(b"<html>not found</html>"), "of no format that Pillow knows"),
        (lambda file: file.write_bytes(file.read_bytes()[:900]), "cannot be read as an image"),
        (lambda file: (file.unlink(), file.mkdir()), "is a folder, not a file"),
        (lambda file: file.unlink(), "there is no file"),
        (lambda file: Image.fromarray(np.zeros((4, 4), np.float32)).save(file, "TIFF"), "mode F"),
    ],
)
def test_one_bad_file_is_one_line_and_nothing_is_predicted(
    spoil, said: str, run: cktat.Run, tmp_path: Path, command
) -> None:
    for name in ("a.png", "b.png"):
        noise = np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / name)
    spoil(tmp_path / "b.png")
    code, out, err = command("predict", run.path, "a.png", "b.png")
    assert (code, out) == (2, "") and "b.png" in err and said in err and err.count("\n") == 1


def test_a_pickle_that_is_called_an_image_or_weights_runs_nothing(run: cktat.Run, tmp_path: Path, one_line) -> None:
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "canary",)

    for name in ("evil.png", "evil.safetensors", "evil.pt"):
        (tmp_path / name).write_bytes(pickle.dumps(Evil()))
    Image.new("RGB", (9, 9)).save(tmp_path / "good.png")
    with one_line("cannot be read as an image"):
        cktat.predict(run, tmp_path / "evil.png")
    for name in ("evil.safetensors", "evil.pt"):
        with one_line("not a whole safetensors file"):
            cktat.predict(tmp_path / name, tmp_path / "good.png")
    assert not (tmp_path / "canary").exists()


def test_a_network_of_other_channels_says_what_it_takes(runs, tmp_path: Path, one_line) -> None:
    run = runs.train("standard", tmp_path / "store")
    _, card = run.load("best")
    card |= {"channels": 2, "mean": [0.0, 0.0], "std": [1.0, 1.0], "model": "small", "code": {}}
    network = cktat.models.build("small", classes=3, channels=2, mean=(0, 0), std=(1, 1), seed=0)
    save_weights(tmp_path / "two.safetensors", network.state_dict(), card)
    Image.new("RGB", (9, 9)).save(tmp_path / "good.png")
    with one_line("images of 2 channels, and image files have 1 or 3"):
        cktat.predict(tmp_path / "two.safetensors", tmp_path / "good.png")
    with one_line("name at least one image"):
        cktat.predict(RunFolder(run.path), [])
