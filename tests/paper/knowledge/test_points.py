"""Knowledge points of maps made by hand."""

from __future__ import annotations

import pytest
import torch

from cktat.errors import CktatError
from cktat.paper.knowledge import foreground, points


def test_the_middle_is_that_of_the_release() -> None:
    inside = foreground(16, 16)
    assert inside[2:14, 2:14].all() and int(inside.sum()) == 144
    assert int(foreground(32, 32).sum()) == 22 * 22
    assert int(foreground(8, 8).sum()) == 36
    assert foreground(3, 5).tolist() == [[False] * 5, [False, True, True, True, False], [False] * 5]
    with pytest.raises(CktatError, match="2 x 4 cells have no middle"):
        foreground(2, 4)


def test_points_lie_below_their_own_images_background() -> None:
    entropy = torch.zeros(2, 4, 4)  # the middle is 2 x 2, the frame 12 cells
    entropy[0, 1, 1:3] = torch.tensor([-0.5, -0.25])  # both below 0 - 0.2
    entropy[0, 2, 1] = -0.1875  # not far enough
    entropy[1] = -3.0  # a level of its own
    entropy[1, 0, 0] = -6.0  # a point on the background, which pulls its mean down to -3.25
    entropy[1, 2, 2] = -3.5  # 0.25 below that
    found = points(entropy, 0.2)
    assert found.found.nonzero().tolist() == [[0, 1, 1], [0, 1, 2], [1, 0, 0], [1, 2, 2]]
    assert found.on_foreground.tolist() == [2, 1] and found.on_background.tolist() == [0, 1]
    assert points(entropy, 0.25).on_foreground.tolist() == [1, 0]  # more than the threshold, not as much


def test_the_level_of_entropies_does_not_matter() -> None:
    entropy = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(points(entropy).found, points(entropy + torch.tensor([5.0, -2.0, 100.0])[:, None, None]).found)
