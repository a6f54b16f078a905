"""Square Attack: random search by square-shaped changes, without gradients (Andriushchenko et al., ECCV 2020).

Source: fra31/auto-attack, autoattack/square.py L68-303 and L549 on (margin loss, no rescaled schedule); equal to it bit
for bit.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cktat.attacks.autoattack.search import Rows, wide
from cktat.attacks.ball import Norm
from cktat.attacks.network import Model, check_finite
from cktat.attacks.objectives import margin
from cktat.errors import CktatError

FIRST_SHARE = 0.8
"""p: the share of the image that the first squares cover."""
HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""p halves after these many queries."""

PASSED_OVER = 8
"""Guesses that change nothing, at most so many in a row for one pass."""


def side(query: int, height: int, width: int, norm: Norm = "Linf") -> int:
    """The side, in pixels, of the square that query 0, 1, ... changes; odd and 3 at least in L2."""
    share = FIRST_SHARE / 2 ** sum(query > at for at in HALVED_AFTER)
    pixels = round(math.sqrt(share * height * width))
    pixels = max(pixels, 1) if norm == "Linf" else max(pixels, 3) // 2 * 2 + 1
    return min(pixels, height, width)


@functools.cache
def _sides(queries: int, height: int, width: int) -> Tensor:
    return torch.tensor([side(query, height, width) for query in range(queries)])


@dataclass
class Guesses(Rows):
    """best: the image with the least margin so far. low, high: how far each pixel may move. margin: z_y minus the largest
    other logit there, above 0 while unbroken. k: queries made after the first image was tried, -1 before. batch: whose draws
    an image uses; tables: those of each batch in L_inf [queries, 2 + C], in L2 its generator."""

    best: Tensor
    low: Tensor
    high: Tensor
    margin: Tensor
    k: Tensor
    batch: Tensor
    tables: dict[int, Tensor] = field(default_factory=dict)
    draws: torch.Generator | None = None


@dataclass(frozen=True)
class Square:
    """The search. A batch shares its windows, and in L_inf the signs of its changes, as in the authors' code."""

    eps: float
    queries: int = 5000
    norm: Norm = "Linf"

    name = "square"
    parting = True

    @property
    def poolable(self) -> bool:
        return self.norm == "Linf"  # in L2 how many numbers are drawn depends on who is left of the batch

    def turns(self, classes: int) -> int:
        return 1

    def calls(self, classes: int) -> int:
        return self.queries + 1

    def skip(self, x: Tensor, turn: int, draws: torch.Generator) -> None:
        pass  # there is one turn only

    def begin(self, model: Model, x: Tensor, y: Tensor, image: Tensor, turn: int, draws: torch.Generator) -> Guesses:
        n, channels, _, width = x.shape
        if self.norm == "Linf":
            start = x + self.eps * _signs((n, channels, 1, width), draws).to(x.device)
            batch = int(image[0])
            tables = {batch: torch.rand(self.queries, 2 + channels, generator=draws).to(x.device)}
        else:
            start, batch, tables = x + self.eps * _unit(_tiles(x, draws)), 0, {}
        false = torch.zeros(n, dtype=torch.bool, device=x.device)
        start = start.clamp(0.0, 1.0)
        return Guesses(
            image=image, x=x, y=y, found=start, broken=false, done=false, best=start,
            low=(x - self.eps).clamp(0.0, 1.0), high=(x + self.eps).clamp(0.0, 1.0),
            margin=torch.full((n,), torch.inf, device=x.device), k=torch.full_like(y, -1),
            batch=torch.full_like(y, batch), tables=tables, draws=draws,
        )  # fmt: skip

    @torch.no_grad()
    def step(self, model: Model, rows: Guesses, packed: bool = False) -> None:
        first = rows.k < 0
        if bool(first.all()):
            guess = rows.best
        else:
            guess = self._in_square(rows) if self.norm == "Linf" else self._moved_mass(rows)
            guess = torch.where(wide(first, guess), rows.best, guess)
            if packed:
                guess = self._that_differs(rows, guess)
        found = -margin(check_finite(model(guess)), rows.y)  # NaN is never better: the image would look robust
        better = first | (found < rows.margin)
        rows.margin = torch.where(better, found, rows.margin)
        rows.best = rows.found = torch.where(wide(better, guess), guess, rows.best)
        rows.broken = rows.margin <= 0
        rows.k = rows.k + 1
        rows.done = rows.k == self.queries

    def _in_square(self, rows: Guesses) -> Tensor:
        """`best` with the pixels of one window at x + eps or x - eps, by channel."""
        _, channels, height, width = rows.x.shape
        k = rows.k.clamp(min=0)
        drawn = torch.empty(len(rows), 2 + channels, device=rows.x.device)
        for batch in rows.batch.unique().tolist():
            own = rows.batch == batch
            drawn[own] = rows.tables[batch][k[own]]
        sides = _sides(self.queries, height, width).to(k.device)[k]
        top, left = ((limit - sides) * drawn[:, i] for i, limit in enumerate((height, width)))
        inside = _window(top.long(), sides, height).unsqueeze(2) & _window(left.long(), sides, width).unsqueeze(1)
        change = 2.0 * self.eps * torch.sign(2 * drawn[:, 2:] - 1)[..., None, None]
        return (rows.best + torch.where(inside.unsqueeze(1), change, 0.0)).clamp(rows.low, rows.high)

    def _that_differs(self, rows: Guesses, guess: Tensor) -> Tensor:
        """The next guess of each image that is another one than `best`, whose margin is known; `k` counts those passed over.

        Where a window lies at its corner of the ball already, nothing changes. A few are passed over at a time, so that
        an image with no other guess left ends, too.
        """
        for _ in range(PASSED_OVER):
            idle = (rows.k >= 0) & (rows.k < self.queries - 1) & (guess == rows.best).flatten(1).all(dim=1)
            if int(idle.sum()) * 10 < max(len(rows), 10):  # a look at so few costs more than they spare
                break
            rows.k = rows.k + idle
            guess[idle] = self._in_square(rows.take(idle))
        return guess

    def _moved_mass(self, rows: Guesses) -> Tensor:
        """`best` with the change of one window taken away and put, with what the ball leaves, into another."""
        assert rows.draws is not None
        n, channels, height, width = rows.x.shape
        s = side(int(rows.k[0]), height, width, "L2")
        change = rows.best - rows.x

        def window() -> tuple[slice, slice]:
            top, left = (int((limit - s) * torch.rand(1, generator=rows.draws)) for limit in (height, width))
            return slice(top, top + s), slice(left, left + s)

        into, out_of = window(), window()
        either = torch.zeros(height, width, device=change.device)
        either[into] = either[out_of] = 1.0
        here = change[..., *into]
        # roots that are squared again, and a radius in fp32: rounded as the authors do
        left = (change.new_tensor(self.eps) ** 2 - _whole_length(change) ** 2).clamp(min=0)
        mass = left / channels + _length(change * either) ** 2
        shape = _eta(s, rows.draws).to(change.device) * _signs((n, channels, 1, 1), rows.draws).to(change.device)
        added = shape + here / (1e-12 + _length(here))
        added = added / (1e-12 + _length(added)) * mass.sqrt()
        change[..., *out_of] = 0.0
        change[..., *into] = added
        return (rows.x + _unit(change) * self.eps).clamp(0.0, 1.0)


def _signs(shape: tuple[int, ...], draws: torch.Generator) -> Tensor:
    return torch.sign(2 * torch.rand(shape, generator=draws) - 1)


def _window(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Which of `size` places lie in [start, start + length), for each image: [n, size]."""
    place = torch.arange(size, device=start.device)
    return (place >= start.unsqueeze(1)) & (place < (start + length).unsqueeze(1))


def _length(x: Tensor) -> Tensor:  # of each channel [n, C, 1, 1]
    return x.square().sum(dim=(-2, -1), keepdim=True).sqrt()


def _whole_length(x: Tensor) -> Tensor:  # of each image [n, 1, 1, 1]
    return x.square().flatten(1).sum(dim=1).sqrt().view(-1, 1, 1, 1)


def _unit(x: Tensor) -> Tensor:
    return x / (_whole_length(x) + 1e-12)


def _tiles(x: Tensor, draws: torch.Generator) -> Tensor:
    """The first change in L2: a grid of tiles, five to a side where that divides it, each with a random sign per channel."""
    n, channels, height, width = x.shape
    s = height // 5
    if s == 0:
        raise CktatError(f"the square attack in L2 needs images of 5 pixels or more, not {height} x {width}")
    change, first = torch.zeros_like(x), (height - 5 * s) // 2
    for row in range(height // s):
        for column in range(width // s):
            tile = (
                ...,
                slice(first + row * s, first + (row + 1) * s),
                slice(first + column * s, first + (column + 1) * s),
            )
            change[tile] += _eta(s, draws).to(x.device) * _signs((n, channels, 1, 1), draws).to(x.device)
    return change


def _eta(s: int, draws: torch.Generator) -> Tensor:
    """The change of an s x s window, of length 1: a hill above a hollow, or beside it."""
    shape = _hill_and_hollow(s)
    # contiguous, because sums over what is made of it would otherwise run, and round, in another order
    return shape.T.contiguous() if float(torch.rand(1, generator=draws)) > 0.5 else shape


@functools.cache
def _hill_and_hollow(s: int) -> Tensor:
    shape = torch.cat((_hill(s // 2, s), -_hill(s - s // 2, s)))
    return shape / shape.square().sum().sqrt()


def _hill(height: int, width: int) -> Tensor:
    """Rectangles around the middle, of 1, 3, 5, ... pixels, that weigh 1, 1/4, 1/9, ...; of length 1."""
    hill = torch.zeros(height, width)
    for i in range(max(height // 2, width // 2) + 1):
        top, left = height // 2 - i, width // 2 - i
        rectangle = slice(max(top, 0), top + 2 * i + 1), slice(max(left, 0), left + 2 * i + 1)
        hill[rectangle] += 1.0 / torch.tensor(i + 1.0) ** 2
    return hill / hill.square().sum().sqrt()
