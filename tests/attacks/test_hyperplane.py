"""The step to a hyperplane inside the box, against closed forms and a bisection in double precision."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cktat.attacks.autoattack.hyperplane import to_plane

NORMS = ("Linf", "L2")


def bisected(v: Tensor, w: Tensor, offset: float, norm: str) -> Tensor:
    """The move for one point [d], found by halving the level."""
    v, w = v.double(), w.double()
    gap = float((w * v).sum()) - offset
    against = -torch.sign(w) * (1 if gap >= 0 else -1)
    room = torch.where(against > 0, 1 - v, v)
    pace = torch.ones_like(w) if norm == "Linf" else w.abs()

    def move(level: float) -> Tensor:
        return torch.where(w == 0, 0.0, against * torch.minimum(level * pace, room))

    low, high = 0.0, 1e9
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if float((w.abs() * move(middle).abs()).sum()) < abs(gap) else (low, middle)
    return move(high)


@st.composite
def planes(draw: st.DrawFn) -> tuple[Tensor, Tensor, float]:
    d = draw(st.integers(2, 12))
    draws = torch.Generator().manual_seed(draw(st.integers(0, 10_000)))
    v = torch.rand(d, generator=draws)
    w = torch.randn(d, generator=draws)
    w[torch.rand(d, generator=draws) < draw(st.sampled_from([0.0, 0.3]))] = 0.0  # coordinates that do not count
    edge = torch.rand(d, generator=draws)
    v = torch.where(edge < draw(st.sampled_from([0.0, 0.4])), (edge < 0.2).float(), v)  # points on faces
    far = draw(st.sampled_from([0.0, 0.1, 1.0, 30.0]))  # the last is out of the box's reach
    return v, w, float((w * v).sum()) + draw(st.sampled_from([-1, 1])) * far


@pytest.mark.parametrize("norm", NORMS)
@settings(max_examples=40)
@given(plane=planes())
def test_it_is_the_move_that_halving_finds(norm: str, plane: tuple[Tensor, Tensor, float]) -> None:
    v, w, offset = plane
    if not bool((w != 0).any()):
        return
    move = to_plane(v.unsqueeze(0), w.unsqueeze(0), torch.tensor([offset]), norm)[0]  # type: ignore[arg-type]
    assert torch.allclose(move.double(), bisected(v, w, offset, norm), atol=2e-5)
    assert float((v + move).min()) > -1e-6 and float((v + move).max()) < 1 + 1e-6


@pytest.mark.parametrize("norm", NORMS)
def test_far_from_the_faces_it_is_the_distance_to_a_plane(norm: str) -> None:
    draws = torch.Generator().manual_seed(0)
    v, w = torch.full((5, 3, 4, 4), 0.5), torch.randn(5, 3, 4, 4, generator=draws)
    gap = torch.tensor([0.3, -0.2, 0.05, -0.4, 0.1])
    move = to_plane(v, w, (w * v).flatten(1).sum(dim=1) - gap, norm)  # type: ignore[arg-type]
    flat, weights = move.flatten(1), w.flatten(1)
    if norm == "Linf":
        lengths, wanted = flat.abs().amax(dim=1), gap.abs() / weights.abs().sum(dim=1)
    else:
        lengths, wanted = flat.norm(dim=1), gap.abs() / weights.norm(dim=1)
    assert torch.allclose(lengths, wanted, atol=1e-6)
    assert torch.allclose((weights * flat).sum(dim=1), -gap, atol=1e-5)
