"""Sections of the map's page beside the map: labels over training, and images that were marked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from cktat.evaluation import spread
from cktat.lens.placed import MapRecord, Placed
from cktat.pages.figures import Line, plot
from cktat.pages.sections import Section
from cktat.pages.text import mean_sd

Curve = Callable[[MapRecord], list[float]]


def over_training(designs: Sequence[Placed], truth: str) -> list[Section]:
    """How right labels are and what is left of them after each epoch; no section where no run was followed."""

    def moving(seen: MapRecord) -> list[float]:
        return list(seen.get("guidance_curve", {}).get("brier", []))

    def left(seen: MapRecord) -> list[float]:
        constant = seen["difficulty"]["constant"]
        return [value / constant for value in seen["curve"]] if constant > 1e-12 else []

    curves_of: tuple[tuple[str, str, Curve], ...] = (
        ("guidance", f"Guidance: Brier({truth}, label) after each epoch", moving),
        ("left", "Difficulty: left / to learn after each epoch", left),
    )
    drawings = []
    for file, title, of in curves_of:
        lines = []
        for place, design in enumerate(designs, 1):
            curves = [curve for seen in design.seen if (curve := of(seen))]
            means = [fmean(values) for values in zip(*curves, strict=False)]
            if means and max(means) > 0:
                lines.append(Line(place, list(range(1, len(means) + 1)), means))
        if lines:
            drawings.append((file, title, plot(lines, title=title, x_label="epoch", percent=False, size=(5.4, 2.8))))
    text = (
        "From the checkpoint of each epoch, means over seeds. Guidance: how far labels are from the truth on test images (y "
        "stays at 0 and is not drawn). Difficulty: what the student has left of them on training images, in units of what a "
        "constant answer leaves of the last label.",
    )
    names = [design.name for design in designs]
    return [Section("Over training", text, figures=drawings, legend=names)] if drawings else []


def marked_images(designs: Sequence[Placed]) -> list[Section]:
    """Whether marked images are the hard ones; no section where none was marked."""

    def of(name: str) -> Callable[[MapRecord], float | None]:
        return lambda seen: (seen.get("marked") or {}).get(name)

    columns = ("design", "marked %", "more left", "label of more entropy")
    rows = [
        (d.name, mean_sd(spread([100 * share for share in d.values(of("share"))]), 0),
         mean_sd(spread(d.values(of("left"))), 2), mean_sd(spread(d.values(of("entropy"))), 2))
        for d in designs if d.values(of("share"))
    ]  # fmt: skip
    text = (
        "How often a marked image is above one that is not: by what is left of its label, and by the label's own entropy. 1 is "
        "always, 0.5 is chance, 0 never.",
    )
    return [Section("Marked images", text, columns, rows)] if rows else []
