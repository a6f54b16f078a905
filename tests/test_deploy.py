"""docs/deploy.md: its six commands run as they are written, on small photographs; and the server of examples/deploy."""

from __future__ import annotations

import json
import os
import pickle
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

import cktat
from cktat.cli import main

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "deploy.md"


def photograph(path: Path, colour: int, numbers: np.random.Generator, **options: object) -> None:
    height, width = numbers.integers(20, 60, 2)
    pixels = numbers.integers(0, 120, (height, width, 3))
    pixels[..., colour] += 120
    Image.fromarray(pixels.astype(np.uint8)).save(path, **options)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    numbers = np.random.default_rng(0)
    for colour, name in enumerate(("cat", "dog")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for n in range(40):
            photograph(tmp_path / "photos" / name / f"{n}.png", colour, numbers)
    photograph(tmp_path / "cat.jpg", 0, numbers)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CKTAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CKTAT_STORE", raising=False)
    return tmp_path


@pytest.mark.slow
def test_six_commands_lead_from_photographs_to_a_prediction(photos: Path, monkeypatch, capsys) -> None:
    pytest.importorskip("onnxruntime", reason="extra onnx")
    commands = re.search(r"```\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)[1].splitlines()
    assert len(commands) == 6 and commands[-1].startswith("cktat predict")
    for command in commands:
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        assert not end.value.code, said.err
    first = re.fullmatch(
        r"cat\.jpg: (cat|dog) ([\d.]+) %, (cat|dog) ([\d.]+) % \((\d+) x (\d+) brought to 32 x 32\)", said.out.strip()
    )
    assert first and {first[1], first[3]} == {"cat", "dog"} and float(first[2]) >= 50
    assert float(first[2]) + float(first[4]) == pytest.approx(100, abs=0.11)
    assert (int(first[6]), int(first[5])) == Image.open("cat.jpg").size[::-1]
    assert {"photos-run", "photos.html", "photos-hub", "photos.onnx"} <= {each.name for each in photos.iterdir()}
    assert cktat.predict("photos-hub", "cat.jpg") == cktat.predict("photos-run", "cat.jpg")


@pytest.fixture(scope="module")
def served(runs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, cktat.Run]]:
    """The address of the server, and the run whose network it serves."""
    for name in ("fastapi", "uvicorn", "onnxruntime", "httpx"):
        pytest.importorskip(name, reason="`make test-slow` installs it")
    folder = tmp_path_factory.mktemp("served")
    run = cktat.Run.open(runs.train("pgd_at", folder / "store", model="small", epochs=3))
    cktat.export(run, "onnx", folder / "network.onnx")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "uvicorn", "serve:app", "--port", str(port), "--log-level", "warning"]
    server = subprocess.Popen(
        words, cwd=ROOT / "examples" / "deploy", env=os.environ | {"NETWORK": str(folder / "network.onnx")}
    )
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/predict", run
    finally:
        server.terminate()
        server.wait()


@pytest.mark.slow
def test_the_server_answers_as_predict_does(served, tmp_path: Path) -> None:
    import httpx

    address, run = served
    numbers, exif = np.random.default_rng(1), Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for n, kind in enumerate(("png", "jpg", "bmp", "webp")):
        photograph(tmp_path / f"{n}.{kind}", n % 3, numbers, **({"exif": exif} if kind == "jpg" else {}))
    for file in sorted(tmp_path.iterdir()):
        (wanted,) = cktat.predict(run, file)
        said = httpx.post(address, content=file.read_bytes(), timeout=60)
        assert said.status_code == 200 and said.json()["class"] == wanted.best
        assert list(said.json()["probabilities"].values()) == pytest.approx(list(wanted.probabilities), abs=1e-5)
        assert list(said.json()["probabilities"]) == list(wanted.classes)


@pytest.mark.slow
def test_the_server_refuses_what_is_no_image_and_goes_on(served, tmp_path: Path) -> None:
    import httpx

    address, _ = served

    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "canary",)

    bomb = tmp_path / "bomb.png"
    Image.new("1", (20_000, 20_000)).save(bomb)
    for content, status in (
        (b"", 400), (b"<html>", 400), (pickle.dumps(Evil()), 400), (b"../../etc/passwd", 400), (bomb.read_bytes(), 400),
        (bytes(2**24 + 1), 413),
    ):  # fmt: skip
        assert httpx.post(address, content=content, timeout=60).status_code == status
    assert httpx.post(address + "/../../etc/passwd", timeout=60).status_code == 404
    assert not (tmp_path / "canary").exists()
    Image.new("L", (9, 9)).save(tmp_path / "good.png")
    assert json.loads(httpx.post(address, content=(tmp_path / "good.png").read_bytes(), timeout=60).text)["class"]
