"""L2 balls: projection, start, steepest direction; on a linear network PGD finds the known optimum."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cktat.attacks import ATTACKS, Ball, pgd
from cktat.errors import CktatError

BOXES = [None, (0.0, 1.0)]


@pytest.mark.parametrize("box", BOXES, ids=str)
def test_projection_stays_inside_and_leaves_what_is_inside(box) -> None:
    ball = Ball(0.7, box, "L2")
    g = torch.Generator().manual_seed(0)
    x, far = torch.rand(20, 2, 3, 3, generator=g), torch.randn(20, 2, 3, 3, generator=g)
    moved = ball.project(x + far, x)
    assert float(ball.distance(moved, x).max()) <= 0.7 + 1e-6
    assert box is None or (float(moved.min()) >= 0 and float(moved.max()) <= 1)
    near = ball.clip(x + 0.01 * far)
    assert torch.equal(ball.project(near, x), near)
    if box is None:  # the nearest point lies on the ray
        torch.testing.assert_close(moved - x, 0.7 * far / far.flatten(1).norm(dim=1).view(-1, 1, 1, 1))


def test_the_uniform_start_fills_the_ball() -> None:
    ball = Ball(2.0, None, "L2")
    x = torch.zeros(20_000, 3)
    lengths = ball.distance(ball.uniform(x, torch.Generator().manual_seed(0)), x)
    assert float(lengths.max()) <= 2
    for share in (0.25, 0.5, 0.75):  # of the volume: (r / eps)^3
        assert float((lengths <= 2 * share ** (1 / 3)).float().mean()) == pytest.approx(share, abs=0.015)


def test_steepest_is_of_length_one_and_nothing_without_gradient() -> None:
    gradient = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1e-12, 0.0]])
    found = Ball(1.0, None, "L2").steepest(gradient)
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.8], [0.0, 0.0], [1.0, 0.0]]))
    assert Ball(1.0).steepest(gradient).tolist() == [[1, 1], [0, 0], [1, 0]]


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_attacks_find_the_optimum_of_a_linear_network(name: str) -> None:
    draws = torch.Generator().manual_seed(1)
    layer = nn.Linear(8, 2).double()
    with torch.no_grad():
        layer.weight.copy_(torch.randn(2, 8, generator=draws))
    x = torch.randn(6, 2, 2, 2, dtype=torch.float64, generator=draws)
    y = torch.tensor([0, 1, 0, 1, 1, 0])
    away = (layer.weight[1 - y] - layer.weight[y]).detach()
    net = nn.Sequential(nn.Flatten(), layer)
    moved = (ATTACKS[name](net, x, y, eps=0.5, box=None, norm="L2") - x).flatten(1)
    torch.testing.assert_close(moved.norm(dim=1), torch.full((6,), 0.5, dtype=torch.float64))
    # from a start elsewhere on the sphere the angle to the optimum shrinks by a constant factor a step
    assert float(torch.cosine_similarity(moved, away).min()) > 0.9


def test_a_wide_l2_ball_is_allowed_in_a_box_and_another_norm_is_not() -> None:
    x = torch.rand(3, 1, 4, 4)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    moved = pgd(net, x, torch.tensor([0, 1, 0]), eps=3.0, norm="L2")
    assert float(moved.min()) >= 0 and float(moved.max()) <= 1
    with pytest.raises(CktatError, match="unknown norm of a ball 'L1'"):
        Ball(0.1, None, "L1")  # type: ignore[arg-type]
    with pytest.raises(CktatError, match="wider than the data's box"):
        Ball(3.0)
