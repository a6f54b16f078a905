"""Axes in the page's own ink, and inline SVG as files that stand alone."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cktat.pages.figures import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plain_axes(axes: Axes, x_label: str, y_label: str) -> None:
    """Axes in the page's ink, without the box."""
    axes.patch.set_visible(False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK, length=2.5, width=0.6)
    axes.set_xlabel(x_label, color=INK)
    axes.set_ylabel(y_label, color=INK)


def file_of(svg: str) -> bytes:
    """An inline SVG as a file of its own: black on white, with the names that a page declares for it."""
    view = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    size = f'width="{view[1]}pt" height="{view[2]}pt" ' if view else ""
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    style = 'style="background: white; color: black; font-family: sans-serif" '
    return svg.replace("<svg ", f"<svg {names}{size}{style}", 1).encode()
