"""The nearest point of a hyperplane inside the unit box, which FAB steps to.

A coordinate moves against its weight, by min(level, room) in L_inf and by min(level |weight|, room) in L2, where its room
is the way to the face it moves to; the level is the same for all coordinates of an image, and such that the plane is met.
How far the coordinates with the most room go decides where it lies, so that sorted sums find it. The sums stand in the
order of fra31/auto-attack, autoattack/fab_projections.py, so that they round as there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cktat.attacks.ball import Norm

FAR = 1e12
"""Stands for the end of a coordinate that does not move."""
FLAT = 1e-8
"""In L2, weights below this do not move their coordinate."""


def to_plane(points: Tensor, normal: Tensor, offset: Tensor, norm: Norm = "Linf") -> Tensor:
    """The smallest move, in `norm`, of points [n, ...] in [0, 1] onto <normal, v> = offset inside [0, 1].

    Where no point of the box lies on the plane, the move to the nearest corner. normal [n, ...]; offset [n].
    """
    v, w = points.flatten(1), normal.flatten(1)
    side = 2 * ((w * v).sum(dim=1) - offset >= 0) - 1  # then <w, v> is to fall
    w, offset = w * side.unsqueeze(1), offset * side
    move = _linf(v, w, offset) if norm == "Linf" else _l2(v, w, offset)
    return move.view(points.shape)


def _linf(v: Tensor, w: Tensor, offset: Tensor) -> Tensor:
    up = (w < 0).float()
    face = (up - v) * (w != 0)  # the move to the face
    room = up - v * (2 * up - 1)
    wanted = offset - (w * v).sum(dim=1)
    most = (w * face).sum(dim=1)  # what all faces together give

    order = room.argsort(dim=1).flip(1)  # from the most room to the least
    slope, ends = w.gather(1, order), room.gather(1, order)
    slopes = slope.abs().cumsum(dim=1)
    kept = (-slope * face.gather(1, order)).cumsum(dim=1) + most.unsqueeze(1)
    reached = kept - slopes * ends  # with the level at the end of each
    last = v.shape[1] - 1
    none_ends = wanted > reached[:, last]
    at = (wanted.unsqueeze(1) > reached).sum(dim=1).sub(1).clamp(0, max(last - 1, 0))
    at = torch.where(none_ends, last, at).unsqueeze(1)
    level = ((wanted.unsqueeze(1) - kept.gather(1, at)) / -slopes.gather(1, at)).clamp(min=0)
    met = torch.minimum(level, face) * up + torch.maximum(-level, face) * (1 - up)
    met = torch.where(none_ends.unsqueeze(1), (2 * up - 1) * level, met)
    return torch.where((none_ends | (wanted > most)).unsqueeze(1), met, face) * (w != 0)


def _l2(v: Tensor, w: Tensor, offset: Tensor) -> Tensor:
    moves = w.abs() > FLAT
    lacking = (w * v).sum(dim=1) - offset
    end = torch.maximum(v / w, (v - 1) / w).clamp(-FAR, FAR)  # the level at which the room is used up
    end = end.masked_fill(w.abs() < FLAT, FAR)
    end = torch.where(end == -FAR, FAR, end)
    face = -(end * w) * moves

    ends, order = end.sort(dim=1)
    later = torch.nn.functional.pad(ends[:, 1:], (0, 1))
    ends, later = (where.masked_fill(where == FAR, 0) for where in (ends, later))
    slope = w.square().gather(1, order)
    total = slope.sum(dim=1, keepdim=True)
    left = total - slope.cumsum(dim=1)
    first = -total * ends[:, :1]
    given = torch.cat((first, ((-later + ends) * left).cumsum(dim=1) + first), dim=1)

    none_ends = given[:, 0] + lacking < 0
    out_of_reach = (face * w).sum(dim=1) + lacking > 0
    last = v.shape[1] - 1
    at = (given[:, :last] + lacking.unsqueeze(1) > 0).sum(dim=1, keepdim=True).sub(1).clamp(min=0)
    rest = left.gather(1, at)
    level = (given.gather(1, at) + lacking.unsqueeze(1)) / rest + ends.gather(1, at)
    level = torch.where(rest == 0, 0.0, level)
    met = torch.where(level > end, face, -level * w)
    met = torch.where(none_ends.unsqueeze(1), -(lacking.unsqueeze(1) / total) * w, met)
    return torch.where((out_of_reach & ~none_ends).unsqueeze(1), face, met) * moves
