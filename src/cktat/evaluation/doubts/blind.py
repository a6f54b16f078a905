"""Searches that never ask for a gradient: squares of random signs, and noise."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cktat.attacks import Ball

QUERIES = 200
DRAWS = 10

Margins = Callable[[Tensor, Tensor], Tensor]
"""Images [N, C, H, W] and labels [N] -> margins [N], above 0 where an image is misclassified."""


def random_search(margins: Margins, ball: Ball, x: Tensor, y: Tensor, draws: torch.Generator) -> Tensor:
    """Images of random search on the margin: squares of random signs in the L_inf ball (in L2, projected), kept where they
    help; a small relative of Square (Andriushchenko et al., ECCV 2020)."""
    height, width = x.shape[-2:]
    rows, columns = torch.arange(height).view(-1, 1), torch.arange(width)

    def signs(*shape: int) -> Tensor:
        return (2 * torch.randint(0, 2, shape, generator=draws) - 1).to(x)

    best = ball.project(x + 2 * ball.eps * signs(len(x), x.shape[1], 1, width), x)  # stripes, as Square begins
    value = margins(best, y)
    for query in range(QUERIES):
        todo = (value <= 0).nonzero().flatten()
        if not len(todo):
            break
        n, size = len(todo), max(1, round(0.6 * (1 - query / QUERIES) * min(height, width)))
        top = torch.randint(0, height - size + 1, (n, 1, 1, 1), generator=draws)
        left = torch.randint(0, width - size + 1, (n, 1, 1, 1), generator=draws)
        inside = (rows >= top) & (rows < top + size) & (columns >= left) & (columns < left + size)
        changed = x[todo] + 2 * ball.eps * signs(n, x.shape[1], 1, 1)
        tried = ball.project(torch.where(inside.to(x.device), changed, best[todo]), x[todo])
        found = margins(tried, y[todo])
        better = found > value[todo]
        best[todo[better]], value[todo[better]] = tried[better], found[better]
    return best


def noise_breaks(margins: Margins, ball: Ball, x: Tensor, y: Tensor, draws: torch.Generator) -> Tensor:
    """Bool [N]: misclassified at one of DRAWS points drawn uniformly from the ball."""
    broken = torch.zeros(len(y), dtype=torch.bool, device=x.device)
    for _draw in range(DRAWS):
        broken |= margins(ball.uniform(x, draws), y) > 0
    return broken
