"""What is on a drawing's axes: every line, band, bar and number where the numbers say, in the colour of its run."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex

from cktat.pages.figures import INK, Line, Point, banded, plot, scatter
from cktat.pages.looks import COLOURS

LINES = (
    Line(1, [1, 2, 3], [10.0, 50.0, 90.0], marked=2),
    Line(3, [1, 2, 4], [11.0, 22.0, 33.0], None, [9.0, 20.0, 30.0], [12.0, 24.0, 37.0]),
)


def test_a_plot_holds_its_lines_in_the_colours_of_their_numbers(shown: Any) -> None:
    plot(LINES, title="t", x_label="epoch", percent=True, uprights=((1.5, "eps a"), (2.5, "eps b")))
    assert shown.lines("t") == {
        COLOURS[0]: [(1, 10), (2, 50), (3, 90)],
        COLOURS[2]: [(1, 11), (2, 22), (4, 33)],
    }
    assert shown.rings("t") == {COLOURS[0]: (2, 50)}
    assert shown.bands("t") == {COLOURS[2]: [(1, 9, 12), (2, 20, 24), (4, 30, 37)]}
    (axes,) = shown.figure("t").axes
    assert (axes.get_xlabel(), axes.get_yscale(), axes.get_ylim()) == ("epoch", "linear", (-2, 102))
    assert [float(tick) for tick in axes.get_yticks()] == [0, 20, 40, 60, 80, 100]
    uprights = [line for line in axes.lines if to_hex(line.get_color()) == INK]
    assert [line.get_xdata()[0] for line in uprights] == [1.5, 2.5]
    assert {text.get_text(): text.xy[0] for text in axes.texts if "eps" in text.get_text()} == {
        "eps a": 1.5,
        "eps b": 2.5,
    }


def test_numbers_of_lines_that_end_together_stand_in_the_order_of_their_ends(shown: Any) -> None:
    plot([Line(n, [1, 2], [0, y]) for n, y in ((1, 30.0), (2, 10.0), (3, 20.0))], title="t", x_label="", percent=True)
    (axes,) = shown.figure("t").axes
    ends = axes.transData.transform([text.xy for text in axes.texts])[:, 1]
    heights = {text.get_text(): end + text.xyann[1] for text, end in zip(axes.texts, ends, strict=True)}
    assert sorted(heights, key=heights.__getitem__) == ["2", "3", "1"]


@pytest.mark.parametrize(
    ("y", "percent", "zoomed", "scale"),
    [
        ([0.01, 1.0, 9.0], False, False, "log"),
        ([0.0, 1.0, 9.0], False, False, "linear"),
        ([51.0, 52.0, 53.0], True, True, "linear"),
    ],
)
def test_the_upright_axis_goes_as_far_as_it_should(
    y: list[float], percent: bool, zoomed: bool, scale: str, shown: Any
) -> None:
    plot([Line(1, [1, 2, 3], y)], title="t", x_label="epoch", percent=percent, zoomed=zoomed)
    (axes,) = shown.figure("t").axes
    low, high = axes.get_ylim()
    assert axes.get_yscale() == scale and low <= min(y) and max(y) <= high < 60
    if zoomed:
        assert low > 50
    elif scale == "log":
        assert axes.yaxis.get_major_formatter()(0.05, None) == "0.05"


def test_discs_and_their_bars_lie_where_the_numbers_say(shown: Any) -> None:
    points = [Point(2, 80.0, 50.0, 3.0, 1.5), Point(1, 70.0, 40.0), Point(4, 60.0, 30.0, 0.0, 2.0)]
    scatter(points, title="t", x_label="clean accuracy (%)")
    assert shown.discs("t") == {
        COLOURS[1]: (80, 50, 3, 1.5),
        COLOURS[0]: (70, 40, 0, 0),
        COLOURS[3]: (60, 30, 0, 2),
    }
    (axes,) = shown.figure("t").axes
    assert axes.get_xlabel() == "clean accuracy (%)" and not axes.get_ylabel()
    assert axes.get_xlim()[0] < 60 and axes.get_xlim()[1] > 83 and axes.get_ylim()[0] < 28 and axes.get_ylim()[1] > 52


def test_a_band_is_one_standard_deviation_over_seeds() -> None:
    values = [[1.0, 4.0, 7.5], [10.0], [0.001, 0.5, 3.0]]
    line = banded(5, [2, 4, 6, 8], values)
    assert (line.number, list(line.x), line.marked) == (5, [2, 4, 6], None)
    assert line.y == pytest.approx([fmean(found) for found in values])
    assert line.high == pytest.approx([fmean(values[0]) + stdev(values[0]), 10, fmean(values[2]) + stdev(values[2])])
    assert line.low == pytest.approx([fmean(values[0]) - stdev(values[0]), 10, 0.001])  # a logarithm needs it above 0


def test_what_is_in_percent_ends_at_0_and_at_100(shown: Any) -> None:
    points = [Point(1, 98.0, 1.0, 5.0, 2.0), Point(2, 50.0, 50.0, 3.0, 4.0)]
    scatter(points, title="t", x_label="", x_percent=True, y_percent=True)
    scatter(points, title="u", x_label="", y_percent=True)

    def ends(title: str) -> list[list[list[float]]]:
        bars = shown.figure(title).axes[0].collections
        return [np.round(segment, 9).tolist() for bar in bars for segment in bar.get_segments()]

    upright, other = [[1.0 - 1, 3.0], [50.0 - 4, 54.0]], [[47.0, 53.0]]
    for title, level in (("t", [[93.0, 100.0], *other]), ("u", [[93.0, 103.0], *other])):
        found = ends(title)
        assert [[a[0], b[0]] for a, b in found if a[1] == b[1]] == level
        assert [[a[1], b[1]] for a, b in found if a[0] == b[0]] == upright
    plot([Line(1, [1, 2], [3.0, 99.0], None, [-4.0, 97.0], [9.0, 104.0])], title="v", x_label="", percent=True)
    assert shown.bands("v") == {COLOURS[0]: [(1, 0, 9), (2, 97, 100)]}
