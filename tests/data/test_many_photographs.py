"""Five thousand photographs of all sizes and modes, trained on and evaluated by the two commands of docs/your-data.md, and the
memory that both take."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageDraw

PAGE = Path(__file__).parents[2] / "docs/your-data.md"
CLASSES = ("disk", "lying stripes", "square", "standing stripes")
MOST = 2**30
"""Bytes above what the process has before it reads anything."""

MEASURED = """
import sys, cktat.api.commands, cktat.cli, cktat.data, torch
def status(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) * 1024
start = status("VmRSS:")
try:
    cktat.cli.main()
finally:
    print(f"memory: {start} {status('VmHWM:')}")
"""


def photograph(label: int, numbers: np.random.Generator) -> Image.Image:
    """A shape or stripes before a background of another colour, with noise; from 80 to 400 pixels high and wide."""
    width, height = (int(n) for n in numbers.integers(80, 401, 2))
    background, colour = (tuple(int(c) for c in numbers.integers(*between, 3)) for between in ((0, 110), (140, 256)))
    image = Image.new("RGB", (width, height), background)
    draw, side = ImageDraw.Draw(image), min(width, height)
    box = [(width - side // 2) // 2, (height - side // 2) // 2, (width + side // 2) // 2, (height + side // 2) // 2]
    if label in (1, 3):
        for start in range(0, max(width, height), side // 4):
            end = start + side // 8
            draw.rectangle([0, start, width, end] if label == 1 else [start, 0, end, height], fill=colour)
    elif label == 0:
        draw.ellipse(box, fill=colour)
    else:
        draw.rectangle(box, fill=colour)
    noisy = np.asarray(image) + numbers.normal(0, 12, (height, width, 1))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def stored(image: Image.Image, file: Path, i: int) -> None:
    """Writes an image in the i-th of ten ways: most are RGB, every tenth is turned by its EXIF tag."""
    exif = Image.Exif()
    match i % 10:
        case 0:
            exif[ExifTags.Base.Orientation] = 6  # turn clockwise: stored turned the other way
            image.transpose(Image.Transpose.ROTATE_90).save(file.with_suffix(".jpg"), exif=exif)
        case 1:
            image.quantize(64).save(file.with_suffix(".png"))
        case 2:
            image.putalpha(200)
            image.save(file.with_suffix(".png"))
        case 3:
            image.convert("CMYK").save(file.with_suffix(".jpg"))
        case 4:
            image.convert("L").save(file.with_suffix(".jpeg"))
        case 5:
            Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(file.with_suffix(".png"))
        case 6:
            image.save(file.with_suffix(".WEBP"), format="WEBP")
        case _:
            image.save(file.with_suffix(".jpg"))


def make(folder: Path, images: int) -> None:
    numbers = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        (folder / name / ".DS_Store").write_text("")
    for i in range(images):
        label = int(numbers.integers(len(CLASSES)))
        stored(photograph(label, numbers), folder / CLASSES[label] / f"{i:05}", i)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak memory of a process in /proc")
def test_trained_on_and_evaluated_within_a_gigabyte(tmp_path: Path) -> None:
    make(tmp_path / "photos", 5000)
    text = PAGE.read_text(encoding="utf-8")
    commands = re.findall(r"^cktat ((?:train|evaluate) .*?)(?: +#.*)?$", text, re.MULTILINE)[:2]
    assert [command.split()[0] for command in commands] == ["train", "evaluate"]
    said = ""
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, *command.split()], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        start, peak = map(int, re.search(r"memory: (\d+) (\d+)", done.stdout).groups())  # type: ignore[union-attr]
        print(f"cktat {command}: {start / 2**20:.0f} MiB at the start, {peak / 2**20:.0f} MiB at most")
        assert peak - start < MOST
        said += done.stdout
    assert "500 turned by EXIF" in said and "500 palette" in said and "500 CMYK" in said and "500 16-bit grey" in said
    accuracy = float(re.search(r"^TRADES +0 +best +(\d+\.\d) ", said, re.MULTILINE).group(1))  # type: ignore[union-attr]
    assert accuracy > 80, "a quarter by chance"
