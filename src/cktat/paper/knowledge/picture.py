"""Knowledge points as a picture: images down, networks across. matplotlib is imported on the first use."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cktat.paper.knowledge.points import Points, foreground

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

INK = "#1b1f24"
QUIET = "#5b6670"
LIMIT = 1.0
"""Colours end at so many nats from the background's mean."""


@dataclass(frozen=True)
class NetworkView:
    """What one network makes of the pictured images. name: its column's head. entropy: [N, h, w], nats. points: their
    knowledge points. saliency: [N, H, W]; grad_cam: [N, h', w']; both of any scale."""

    name: str
    entropy: Tensor
    points: Points
    saliency: Tensor
    grad_cam: Tensor


def knowledge_figure(x: Tensor, labels: Sequence[str], views: Sequence[NetworkView], threshold: float) -> Figure:
    """Beside each image [N, C, H, W] in [0, 1], for each network the entropies and what of the image is a knowledge
    point, with the counts below."""
    cells = views[0].entropy[0].numel()
    note = (
        "Colours of entropies: nats below the mean entropy of the background; red parts bear less noise. "
        f"Each of {cells} parts of an image gets as much Gaussian noise as the network's late feature bears. A knowledge "
        f"point is a part that bears clearly less than the background (more than {threshold:g} nats below its mean; kept in "
        "colour). Background is the frame outside the dashed line, as there are no masks of the objects."
    )
    figure, axes = _grid(x, labels, [view.name for view in views], ("entropy", "knowledge points"), note)
    shown = None
    for view, pairs in zip(views, axes, strict=True):
        below = _below_background(view)
        for i, (left, right) in enumerate(pairs):
            shown = left.imshow(below[i].numpy(), cmap="RdBu_r", vmin=-LIMIT, vmax=LIMIT)
            right.imshow(_lit(x[i], view.points.found[i]).numpy())
            inside, outside = int(view.points.on_foreground[i]), int(view.points.on_background[i])
            right.set_xlabel(f"{inside} inside, {outside} outside", fontsize=8, color=INK, labelpad=3)
    assert shown is not None
    _colour_bar(figure, shown, note)
    return figure


def comparison_figure(x: Tensor, labels: Sequence[str], views: Sequence[NetworkView]) -> Figure:
    """Saliency, Grad-CAM and entropies side by side; colours of the first two end at each picture's own highest value."""
    kinds = ("|gradient|", "Grad-CAM", "entropy")
    note = (
        "Colours of entropies: nats below the mean of the background. |gradient| and Grad-CAM are of the true class's logit: "
        "black is each picture's highest value."
    )
    figure, axes = _grid(x, labels, [view.name for view in views], kinds, note)
    shown = None
    for view, triples in zip(views, axes, strict=True):
        below = _below_background(view)
        for i, (first, second, third) in enumerate(triples):
            for place, values in ((first, view.saliency[i]), (second, view.grad_cam[i])):
                place.imshow(values.cpu().numpy(), cmap="Greys", vmin=0, vmax=max(float(values.max()), 1e-12))
            shown = third.imshow(below[i].numpy(), cmap="RdBu_r", vmin=-LIMIT, vmax=LIMIT)
    assert shown is not None
    _colour_bar(figure, shown, note)
    return figure


def _below_background(view: NetworkView) -> Tensor:
    outside = ~view.points.foreground
    mean = view.entropy[:, outside].mean(dim=1)
    return (mean[:, None, None] - view.entropy).cpu()


def _lit(image: Tensor, found: Tensor) -> Tensor:
    """The image [H, W, 3]: in colour where `found` [h, w], pale grey elsewhere."""
    colour = _rgb(image)
    pale = 0.75 + 0.25 * colour.mean(dim=2, keepdim=True)
    where = F.interpolate(found[None, None].float(), size=colour.shape[:2], mode="nearest")[0, 0].cpu()
    return torch.where(where[:, :, None] > 0, colour, pale.expand_as(colour))


def _rgb(image: Tensor) -> Tensor:
    shown = image if len(image) == 3 else image.mean(dim=0, keepdim=True).expand(3, -1, -1)
    return shown.detach().clamp(0, 1).permute(1, 2, 0).cpu()


def _grid(
    x: Tensor, labels: Sequence[str], names: Sequence[str], kinds: Sequence[str], note: str
) -> tuple[Figure, list[list[tuple[Axes, ...]]]]:
    """A figure with the images in its first column, and its empty places: of each network, of each image, one per kind.
    Below them is room for the colour bar and for the note."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    rows, side, gap = len(x), 1.12, 0.22
    widths = [1.0]
    for _ in names:
        widths += [gap, *([1.0] * len(kinds))]
    width = side * sum(widths) * 1.07 + 0.5
    foot = NOTE_LINE * len(_lines(note, width)) + 0.62
    height = side * rows * 1.2 + 0.6 + foot
    figure = Figure(figsize=(width, height), dpi=150, facecolor="white")
    places = figure.add_gridspec(
        rows, len(widths), width_ratios=widths, left=0.045, right=0.99, top=1 - 0.56 / height, bottom=foot / height,
        wspace=0.07, hspace=0.2,
    )  # fmt: skip
    inside = foreground(16, 16).nonzero()
    low, high = (inside.min().item() / 16, (inside.max().item() + 1) / 16)
    for i in range(rows):
        axes = _bare(figure.add_subplot(places[i, 0]))
        axes.imshow(_rgb(x[i]).numpy())
        frame = Rectangle(
            (low, low),
            high - low,
            high - low,
            transform=axes.transAxes,
            fill=False,
            color="white",
            linestyle=(0, (3, 2)),
        )
        axes.add_patch(frame)
        axes.set_ylabel(labels[i], fontsize=10, color=INK)
    found = []
    for number, name in enumerate(names):
        first = 2 + number * (len(kinds) + 1)
        columns = [
            tuple(_bare(figure.add_subplot(places[i, first + k])) for k in range(len(kinds))) for i in range(rows)
        ]
        for kind, axes in zip(kinds, columns[0], strict=True):
            axes.set_title(kind, fontsize=7.5, color=QUIET, pad=3)
        left, right = columns[0][0].get_position(), columns[0][-1].get_position()
        figure.text(
            (left.x0 + right.x1) / 2, 1 - 0.28 / height, name, ha="center", fontsize=11, weight="bold", color=INK
        )
        found.append(columns)
    return figure, found


def _bare(axes: Any) -> Any:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return axes


NOTE_LINE = 0.145
"""Height of a line of the note, in inches."""


def _lines(note: str, width: float) -> list[str]:
    """The note in lines that a figure of this width (inches) has room for."""
    return textwrap.wrap(note, max(20, int(width * 0.945 * 72 / (0.53 * 7.5))))


def _colour_bar(figure: Figure, shown: AxesImage, note: str) -> None:
    """The colour bar, and under it the whole note."""
    width, height = figure.get_figwidth(), figure.get_figheight()
    lines = _lines(note, width)
    axes = figure.add_axes(
        (0.045, (NOTE_LINE * len(lines) + 0.29) / height, min(2.0, 0.9 * width) / width, 0.09 / height)
    )
    bar = figure.colorbar(
        shown, cax=axes, orientation="horizontal", extend="both", ticks=(-LIMIT, -LIMIT / 2, 0, LIMIT / 2, LIMIT)
    )
    bar.outline.set_visible(False)
    axes.tick_params(labelsize=7, colors=QUIET, length=2, pad=1)
    figure.text(0.045, 0.05 / height, "\n".join(lines), fontsize=7.5, color=QUIET, va="bottom", linespacing=1.35)
