"""The page of Table 5: its two pictures, and the counts of knowledge points."""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from pathlib import Path

from cktat.pages.sections import Section, write_page
from cktat.pages.text import number
from cktat.paper.tables.point_counts import Counted

PICTURES = {
    "knowledge.png": (
        "Knowledge points",
        "Images down, networks across: entropy of the noise that each part bears, and the parts that are knowledge points.",
    ),
    "comparison.png": (
        "Beside saliency and Grad-CAM",
        "Images down, networks across: gradient of the true class, Grad-CAM, and entropy.",
    ),
}


def knowledge_page(out: Path, data: str, counted: Counted, files: Sequence[Path]) -> Path:
    """Writes out/knowledge.html and returns its path.

    Args:
        out: a folder.
        data: the name of the data set.
        counted: the counts.
        files: the pictures that were drawn, by the names in PICTURES.
    """
    found = {file.name: file for file in files}
    pictures = [
        (*_inside(found[name]), caption, f"{said} The numbers are in the table below.")
        for name, (caption, said) in PICTURES.items()
    ]
    columns, *rows = counted.rows()
    lead = f"{data}: knowledge points of {counted.images} test images (Table 5), and pictures of a few of them."
    note = (
        "Mean ± standard deviation over images. Inside and outside: knowledge points in the middle of the image and in its "
        f"frame, at a threshold of {counted.threshold:g} nats; inside at 0.1 and so on: with other thresholds."
    )
    sections = [
        Section("How many", tuple(f"{said}." for said in counted.sentences()), columns, rows, note=note),
        Section("Where", pictures=pictures),
    ]
    title = "What networks know of images"
    return write_page(out, "knowledge", title, lead, sections, result=_result(counted))


def _result(counted: Counted) -> str:
    means = {name: float(found.on_foreground.float().mean()) for name, found in counted.points.items()}
    most, least = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    if len(means) == 1:
        return f"{most} has {number(means[most])} knowledge points inside an image, on average over {counted.images} images."
    return (
        f"{most} has most knowledge points inside an image, {number(means[most])} on average over {counted.images} images; "
        f"{least} has fewest, {number(means[least])}."
    )


def _inside(png: Path) -> tuple[str, int]:
    """A PNG as a data URI, and half its width in pixels: it is drawn for screens that show two where one is counted."""
    content = png.read_bytes()
    (width,) = struct.unpack(">I", content[16:20])
    return "data:image/png;base64," + base64.b64encode(content).decode(), width // 2
