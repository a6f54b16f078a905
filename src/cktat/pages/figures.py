"""What pages draw: plots as inline SVG, images as PNG in data URIs. matplotlib is imported on the first use."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape
from torch import Tensor

from cktat.pages.looks import ON_COLOUR, Look, in_page, numbered

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BROAD = 6.0
"""Inches beyond which a narrow screen scrolls a drawing, so that it can still be read."""
INK = "#010203"  # becomes the page's own text colour, so that one plot reads on a light page, a dark one and on paper


@dataclass(frozen=True)
class Line:
    """One run's line. marked: an x that gets a ring. low, high: a band around y, or nothing. look: None is that of the
    number, which is no design's."""

    number: int
    x: Sequence[float]
    y: Sequence[float]
    marked: float | None = None
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    look: Look | None = None


def banded(number: int, x: Sequence[float], values: Sequence[Sequence[float]], look: Look | None = None) -> Line:
    """Means over seeds with a band of one standard deviation. values: for each x, one per seed."""
    means = [fmean(found) for found in values]
    spreads = [stdev(found) if len(found) > 1 else 0.0 for found in values]
    low = [
        max(mean - deviation, 1e-3) for mean, deviation in zip(means, spreads, strict=True)
    ]  # a logarithm needs it above 0
    high = [mean + deviation for mean, deviation in zip(means, spreads, strict=True)]
    return Line(number, x[: len(means)], means, None, low, high, look)


def drawn(draw: Callable[[Figure], None], *, title: str, size: tuple[float, float]) -> Markup:
    """What `draw` puts on an empty figure of `size` (inches at 72 dots, before the page scales it), as inline SVG."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "cktat", "font.size": 8}):
        figure = Figure(figsize=size, dpi=72, label=title)
        figure.patch.set_visible(False)
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    # The page needs the drawing alone: without the XML head, and in a frame that takes the page's width.
    drawing = re.sub(r"^.*?<svg [^>]*>", "", buffer.getvalue(), count=1, flags=re.DOTALL).replace(INK, "currentColor")
    view = " ".join(f"{72 * side:g}" for side in (0, 0, *size))
    kind = "plot broad" if size[0] > BROAD else "plot"
    return Markup(f'<svg class="{kind}" viewBox="{view}" role="img" aria-label="{escape(title)}">') + Markup(
        in_page(drawing)
    )


def plot(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    percent: bool,
    zoomed: bool = False,
    uprights: Sequence[tuple[float, str]] = (),
    size: tuple[float, float] = (3.6, 2.6),
) -> Markup:
    """Lines over epochs (`percent` False: a positive quantity, on a logarithmic axis) or accuracies in % from 0 to 100.

    Bands of accuracies end at 0 and at 100. zoomed: accuracies only as far as they go. uprights: (x, text) of dashed
    vertical lines. size: as for `drawn`.
    """

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.12, 0.17, 0.81, 0.76))
        _frame(axes, x_label, percent and not zoomed)
        for line in lines:
            _draw(axes, line, PERCENT if percent else ANY)
        if not percent and lines and all(y > 0 for line in lines for y in line.y):
            _logarithmic(axes)
        for x, text in uprights:
            axes.axvline(x, color=INK, alpha=0.6, linewidth=0.8, linestyle=(0, (3, 3)))
            beside = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
            axes.annotate(text, (x, 1), (4, -2), va="top", color=INK, **beside)  # type: ignore[arg-type]
        _number(axes, lines)

    return drawn(draw, title=title, size=size)


@dataclass(frozen=True)
class Point:
    """A place in a plane with the halves of its error bars, 0 for none. look: as for `Line`."""

    number: int
    x: float
    y: float
    x_half: float = 0.0
    y_half: float = 0.0
    look: Look | None = None


def scatter(
    points: Sequence[Point],
    *,
    title: str,
    x_label: str,
    x_percent: bool = False,
    y_percent: bool = False,
    size: tuple[float, float] = (3.6, 2.6),
) -> Markup:
    """Points as numbered markers, on axes that go as far as they do. title, also beside the upright axis, says what y is.

    x_percent, y_percent: what lies along the axis is from 0 to 100, and so are its error bars.
    """

    def draw(figure: Figure) -> None:
        axes = figure.add_axes((0.12, 0.17, 0.81, 0.76))
        _frame(axes, x_label, False)
        axes.margins(0.12)
        for point in points:
            colour = _look(point).colour
            look: dict[str, Any] = {"color": colour, "elinewidth": 1.1, "capsize": 2, "zorder": 2}
            x_bar, y_bar = _bar(point.x, point.x_half, x_percent), _bar(point.y, point.y_half, y_percent)
            axes.errorbar(point.x, point.y, xerr=x_bar, yerr=y_bar, **look)
        for point in points:
            shape = _look(point).marker
            axes.plot([point.x], [point.y], shape, markersize=SIZES[shape], color=_look(point).colour, zorder=3)
            axes.annotate(
                str(point.number), (point.x, point.y), ha="center", va="center_baseline", color=ON_COLOUR, fontsize=6.5,
                fontweight="bold", zorder=4,
            )  # fmt: skip

    return drawn(draw, title=title, size=size)


ANY, PERCENT = (-math.inf, math.inf), (0.0, 100.0)
SIZES = {"o": 9.5, "s": 8.6, "^": 11.5, "D": 8.4, "*": 17.0}
"""Of markers that hold a number, so that they look equally large."""


def _look(drawn: Line | Point) -> Look:
    return drawn.look or numbered(drawn.number)


def _bar(value: float, half: float, percent: bool) -> list[list[float]] | None:
    """How far an error bar reaches down and up."""
    low, high = PERCENT if percent else ANY
    return [[min(half, value - low)], [min(half, high - value)]] if half else None


def _draw(axes: Axes, line: Line, ends: tuple[float, float]) -> None:
    wears = _look(line)
    look: dict[str, Any] = {"color": wears.colour, "solid_capstyle": "round"}
    dots = 3.2 if len(line.x) <= 20 else 0  # more would only thicken the line
    width = 2.1 if wears.own else 1.5
    axes.plot(
        line.x, line.y, linewidth=width, linestyle=wears.dash, marker=wears.marker,
        markersize=dots * (2 if wears.own else 1), **look,
    )  # fmt: skip
    if line.low:
        low, high = (np.clip(side, *ends) for side in (line.low, line.high))
        axes.fill_between(line.x, low, high, color=wears.colour, alpha=0.14, linewidth=0)
    if line.marked is not None and line.marked in line.x:
        y = line.y[line.x.index(line.marked)]
        axes.plot([line.marked], [y], "o", markersize=8, fillstyle="none", markeredgewidth=1.4, **look)


def plain_axes(axes: Axes, x_label: str, y_label: str = "") -> None:
    """Axes in the page's ink, without the box."""
    axes.patch.set_visible(False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK, length=2.5, width=0.6)
    axes.set_xlabel(x_label, color=INK)
    axes.set_ylabel(y_label, color=INK)


def _frame(axes: Axes, x_label: str, percent: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    plain_axes(axes, x_label)
    axes.grid(axis="y", color=INK, alpha=0.12, linewidth=0.6)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 4, 5, 10), integer=x_label == "epoch"))
    axes.margins(x=0.03)
    if percent:
        axes.set_ylim(-2, 102)
        axes.set_yticks(range(0, 101, 20))


def _logarithmic(axes: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _number(axes: Axes, lines: Sequence[Line]) -> None:
    # Each line ends in its run's number; lines of one length end above each other, and their numbers must not overlap.
    for end in {line.x[-1] for line in lines if line.x}:
        ending = sorted((line for line in lines if line.x and line.x[-1] == end), key=lambda line: line.y[-1])
        heights = [float(axes.transData.transform((end, line.y[-1]))[1]) for line in ending]
        places = apart(heights, 8.5)
        down = max(0.0, places[-1] - axes.bbox.y1)  # a high stack would reach into the caption
        for line, height, place in zip(ending, heights, (place - down for place in places), strict=True):
            axes.annotate(
                str(line.number), (end, line.y[-1]), (7, place - height), textcoords="offset points", va="center",
                color=_look(line).colour, fontweight="bold", annotation_clip=False,
            )  # fmt: skip


def apart(heights: Sequence[float], gap: float) -> list[float]:
    """The nearest places (least squares) to ascending heights that are at least `gap` apart."""
    blocks: list[list[float]] = []  # of labels that touch; each lies around the mean of what its labels want
    for number, height in enumerate(heights):
        blocks.append([height - number * gap])
        while len(blocks) > 1 and fmean(blocks[-2]) > fmean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    shifts = [fmean(block) for block in blocks for _ in block]
    return [shift + number * gap for number, shift in enumerate(shifts)]


def picture(image: Tensor) -> str:
    """A data URI of an image [C, H, W] in [0, 1]: colour for three channels, otherwise the grey of their mean.

    Small images are enlarged by repeating pixels, since not every printer keeps to `image-rendering: pixelated`.
    """
    from matplotlib.image import imsave

    shown = image if len(image) == 3 else image.mean(dim=0, keepdim=True).expand(3, -1, -1)
    pixels: npt.NDArray[np.uint8] = (shown.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    times = -(-64 // min(pixels.shape[:2]))
    buffer = io.BytesIO()
    imsave(buffer, pixels.repeat(times, axis=0).repeat(times, axis=1), format="png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
