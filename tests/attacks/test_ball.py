"""A ball takes no image that lies outside of it or of its box, up to the rounding of fp32."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from cktat.attacks import Ball
from cktat.errors import CktatError


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_images_outside_the_ball_are_refused(norm: Any) -> None:
    ball, x = Ball(0.1, (0.0, 1.0), norm), torch.full((3, 2, 4, 4), 0.5)
    edge = 0.1 if norm == "Linf" else 0.1 / math.sqrt(32)
    inside = x + edge
    assert ball.require(inside, x) is inside
    for factor in (1.001, 2.0):
        moved = inside.clone()
        moved[1] = 0.5 - factor * edge  # one of three images is enough
        with pytest.raises(CktatError, match=rf"moved an image by .* \({norm}\), further than eps 0\.1"):
            ball.require(moved, x)


@pytest.mark.parametrize(("base", "past"), [(0.0, -1e-3), (1.0, 1 + 1e-3)])
def test_one_pixel_outside_the_box_is_refused(base: float, past: float) -> None:
    x = torch.full((3, 2, 4, 4), base)
    moved = x.clone()
    assert Ball(0.1).require(moved, x) is moved
    moved[2, 1, 3, 0] = past
    with pytest.raises(CktatError, match=r"out of the data's box \[0\.0, 1\.0\]"):
        Ball(0.1).require(moved, x)
    assert Ball(0.1, None).require(moved, x) is moved


def test_an_image_of_infinite_distance_and_none_at_all() -> None:
    x = torch.full((2, 1, 2, 2), 0.5)
    with pytest.raises(CktatError, match="further than eps"):
        Ball(0.1).require(x * torch.nan, x)
    assert len(Ball(0.1).require(x[:0], x[:0])) == 0
