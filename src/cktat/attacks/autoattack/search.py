"""Searches that go one model call at a time, so that one loop runs them as their authors do, or packed.

The attacks of AutoAttack are such searches. Their authors run a batch of images to the end, broken or not; packed,
an image leaves as soon as it is broken and the next one takes its place, so that no model call is spent on it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

from cktat.attacks.ball import Norm
from cktat.attacks.network import Model


@dataclass
class Rows:
    """Images under attack, one a row of every tensor; each search adds what it remembers of an image.

    image: the caller's number of each [n]. x: clean images [n, C, H, W]; y: labels [n]. found: the adversarial image,
    where `broken` [n] says that there is one. done: whether its search is over [n].
    """

    image: Tensor
    x: Tensor
    y: Tensor
    found: Tensor
    broken: Tensor
    done: Tensor

    def __len__(self) -> int:
        return len(self.image)

    def take(self, which: slice | Tensor) -> Self:
        """The rows that a slice, a mask or indices name."""
        return dataclasses.replace(self, **{name: value[which] for name, value in self._tensors()})

    def join(self, other: Self) -> Self:
        """These rows and the others, of the same search."""
        joined = {name: torch.cat([value, getattr(other, name)]) for name, value in self._tensors()}
        shared = {name: value | getattr(other, name) for name, value in vars(self).items() if isinstance(value, dict)}
        return dataclasses.replace(self, **joined, **shared)

    def _tensors(self) -> list[tuple[str, Tensor]]:
        return [(name, value) for name, value in vars(self).items() if isinstance(value, Tensor)]


R = TypeVar("R", bound=Rows)


class Search(Protocol[R]):
    """An attack as a search. It keeps nothing of its own between calls."""

    @property
    def name(self) -> str: ...

    @property
    def eps(self) -> float: ...

    @property
    def norm(self) -> Norm: ...

    @property
    def parting(self) -> bool:
        """Whether broken images leave the batch in the authors' code, too."""
        ...

    @property
    def poolable(self) -> bool:
        """Whether images of several batches can be searched in one; not where draws depend on who is left of a batch."""
        ...

    def turns(self, classes: int) -> int:
        """How often it searches, each time what the turns before have left: by class aimed at, and by start."""
        ...

    def calls(self, classes: int) -> int:
        """Forward passes, a backward pass counted as two, that an image which never breaks costs; for estimates."""
        ...

    def begin(self, model: Model, x: Tensor, y: Tensor, image: Tensor, turn: int, draws: torch.Generator) -> R:
        """Rows for the images of one batch in turn 0, 1, ..., before the first call that counts."""
        ...

    def skip(self, x: Tensor, turn: int, draws: torch.Generator) -> None:
        """Draws what `begin` would have drawn for images x, when those were searched already."""
        ...

    def step(self, model: Model, rows: R, packed: bool = False) -> None:
        """One move of every row, in place of the old values. packed: rows may also move by what needs no pass."""
        ...


def pursue(search: Search[R], model: Model, batches: Iterable[R], size: int | None) -> Iterator[R]:
    """Runs the search on all rows and gives them back as they leave.

    size None: each of `batches` runs by itself, as in the authors' code. Otherwise up to `size` rows are searched at a
    time, whichever batch they are of, and a row leaves as soon as it is broken.
    """
    waiting = iter(batches)
    queue: R | None = None
    pool: R | None = None
    while True:
        while size is not None or pool is None:  # fill up, or take a batch when the last one is through
            if queue is None and (queue := next(waiting, None)) is None:
                break
            room = len(queue) if size is None else size - (0 if pool is None else len(pool))
            if room <= 0:
                break
            taken = queue.take(slice(room))
            queue = queue.take(slice(room, None)) if len(queue) > room else None
            pool = taken if pool is None else pool.join(taken)
        if pool is None:
            return
        search.step(model, pool, packed=size is not None)
        gone = pool.done | pool.broken if size is not None or search.parting else pool.done
        if bool(gone.any()):
            yield pool.take(gone)
            pool = None if bool(gone.all()) else pool.take(~gone)


def wide(values: Tensor, like: Tensor) -> Tensor:
    """Values [n] with as many dimensions as `like` [n, ...], so that they broadcast over each image."""
    return values.view(-1, *[1] * (like.dim() - 1))


def variant(name: str, restarts: int, eot: int = 1) -> str:
    """The name of an attack with more starts than one, or gradients over several passes: results tell it from the plain one."""
    return name + f"-x{restarts}" * (restarts > 1) + f"-eot{eot}" * (eot > 1)


def direction(x: Tensor, norm: Norm, draws: torch.Generator) -> Tensor:
    """A random direction for each of the images x [n, ...], not yet of length 1."""
    drawn = 2 * torch.rand(x.shape, generator=draws) - 1 if norm == "Linf" else torch.randn(x.shape, generator=draws)
    return drawn.to(x.device)


def aimed_at(model: Model, x: Tensor, rank: int) -> Tensor:
    """The class with the `rank`-th largest logit of each image [N]."""
    with torch.no_grad():
        return model(x).sort(dim=1)[1][:, -rank]
