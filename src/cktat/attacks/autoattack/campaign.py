"""Several searches in turn over a set of images, each on those that are left, so that it can stop and go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, SupportsIndex

import torch
from torch import Tensor

from cktat.attacks.attack import check_seed
from cktat.attacks.autoattack.search import Rows, Search, pursue
from cktat.attacks.ball import Ball
from cktat.attacks.network import Model, answer, attacked, logits_of, require_alone, weights_of

Mode = Literal["exact", "packed"]


@dataclass(frozen=True)
class CampaignEntry:
    """Work that is done: images [m] (int64) need no more of `stage`; broken [b] of them fell, to x_adv [b, C, H, W]."""

    stage: str
    images: Tensor
    broken: Tensor
    x_adv: Tensor


@dataclass(frozen=True)
class Standing:
    """How far it is: attack, its images searched and to search in this stage, images robust so far and in all, and about
    how many seconds are left if nothing more falls."""

    attack: str
    done: int
    of: int
    robust: int
    images: int
    seconds_left: float


@dataclass(frozen=True)
class Outcome:
    """robust: right without an attack and under all of them, bool [N]. x_adv: the image that broke it, else the clean one
    [N, C, H, W]. broken_by: the attack that each image fell to, None where none did. clean: right without an attack,
    bool [N]. seconds: by attack, in this call."""

    robust: Tensor
    x_adv: Tensor
    broken_by: tuple[str | None, ...]
    clean: Tensor
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """Share of robust images, in [0, 1]."""
        return float(self.robust.double().mean())


class Campaign:
    """Searches over images x [N, C, H, W] with labels y [N], in batches of `batch_size` that are drawn for with `seed`.

    exact: every batch runs by itself and to its end. packed: images leave once broken, those of several batches share a
    model call. quick: what the searches ask instead of the model, with the same logits up to rounding; what they find
    counts where the model is wrong, too. done: entries of an earlier campaign of the same; keep: what takes new ones;
    watch: who is told, about twice a second.
    """

    def __init__(
        self,
        model: Model,
        x: Tensor,
        y: Tensor,
        *,
        batch_size: int,
        seed: SupportsIndex,
        mode: Mode = "exact",
        quick: Model | None = None,
        done: Sequence[CampaignEntry] = (),
        keep: Callable[[CampaignEntry], None] = lambda entry: None,
        watch: Callable[[Standing], None] = lambda standing: None,
        flush_every: float = 10.0,
    ) -> None:
        self.given, self.quick = model, model if quick is None else quick
        self.batch_size, self.seed, self.mode = batch_size, check_seed(seed), mode
        self.keep, self.watch, self.flush_every = keep, watch, flush_every
        self.x, self.y = x.detach().float().cpu(), y.cpu()
        self.device = next((weight.device for weight in weights_of(model)), x.device)
        self.entries: dict[str, list[CampaignEntry]] = {}
        for entry in done:
            self.entries.setdefault(entry.stage, []).append(entry)
        self.robust = torch.ones(len(x), dtype=torch.bool)
        self.x_adv = self.x.clone()
        self.broken_by: list[str | None] = [None] * len(x)
        self.clock = _Clock(len(x))

    def run(self, searches: Sequence[Search[Any]]) -> Outcome:
        seconds = {}
        with attacked(self.given, self.quick):
            require_alone(self.given, self.x[: self.batch_size].to(self.device))
            classes = self._unattacked()
            clean = self.robust.clone()
            for number, search in enumerate(searches):
                started = time.perf_counter()
                later = sum(other.calls(classes) for other in searches[number + 1 :])
                if bool(self.robust.any()):
                    self._attack(search, classes, later)
                seconds[search.name] = round(time.perf_counter() - started, 3)
        return Outcome(self.robust, self.x_adv, tuple(self.broken_by), clean, seconds)

    def _model(self, x: Tensor) -> Tensor:
        logits, images = answer(self.quick, x).float(), len(x)
        self.clock.count(images)
        if logits.requires_grad:  # a pass back counts as two, and there may be several
            logits.register_hook(lambda _: self.clock.count(2 * images))
        self.clock.tell(self.watch)
        return logits

    def _batches(self, images: Tensor) -> tuple[Tensor, ...]:
        return images.split(self.batch_size)

    def _on_device(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.x[images].to(self.device), self.y[images].to(self.device)

    def _unattacked(self) -> int:
        """Marks the images that are wrong without an attack; returns the number of classes."""
        everything = torch.arange(len(self.x))
        classes = 0
        for images in self._batches(everything):
            x, y = self._on_device(images)
            logits = logits_of(self.given, x, int(y.max()))
            classes = logits.shape[1]
            self.robust[images] = (logits.argmax(dim=1) == y).cpu()
        return classes

    def _attack(self, search: Search[Any], classes: int, later: int) -> None:
        verdict = f"{search.name}: confirmed"
        if verdict not in self.entries:
            left = self.robust.nonzero().flatten()
            fallen = self._searched(search, left, classes, later)
            self._note(CampaignEntry(verdict, left, *self._confirmed(left, fallen)))
        ball = Ball(search.eps, norm=search.norm)
        for entry in self.entries[verdict]:
            self.robust[entry.broken] = False
            self.x_adv[entry.broken] = ball.require(entry.x_adv, self.x[entry.broken])
            for image in entry.broken.tolist():
                self.broken_by[image] = search.name

    def _searched(self, search: Search[Any], left: Tensor, classes: int, later: int) -> dict[int, Tensor]:
        """The adversarial image of each of the images `left` that the search broke."""
        batches = self._batches(left)
        draws = [torch.Generator().manual_seed(self.seed) for _ in batches]
        alive = [self._right(images) for images in batches]
        fallen: dict[int, Tensor] = {}
        turns = search.turns(classes)
        each = search.calls(classes) / turns
        for turn in range(turns):
            stage = f"{search.name}: turn {turn}"
            self.clock.stage(search.name, sum(map(len, alive)), each, each * (turns - 1 - turn) + later)
            over = self.entries.get(stage, [])
            self.clock.leave(sum(len(e.images) for e in over), sum(len(e.broken) for e in over))
            ended = torch.cat([torch.empty(0, dtype=torch.int64), *(entry.images for entry in over)])
            self._run_stage(stage, search, self._rows(search, turn, alive, draws, ended))
            for entry in self.entries.get(stage, []):
                fallen |= dict(zip(entry.broken.tolist(), entry.x_adv, strict=True))
            gone = torch.tensor(sorted(fallen), dtype=torch.int64)
            alive = [images[~torch.isin(images, gone)] for images in alive]
        return fallen

    def _right(self, images: Tensor) -> Tensor:
        # asked again for each batch, as the authors do: in a batch of other images, rounding could decide otherwise
        x, y = self._on_device(images)
        return images[(logits_of(self.given, x, int(y.max())).argmax(dim=1) == y).cpu()]

    def _rows(
        self,
        search: Search[Any],
        turn: int,
        alive: Sequence[Tensor],
        draws: Sequence[torch.Generator],
        ended: Tensor,
    ) -> Iterator[Rows]:
        """The rows of each batch of which something is left to do."""
        for images, generator in zip(alive, draws, strict=True):
            if not len(images):
                continue
            x, y = self._on_device(images)
            waiting = ~torch.isin(images, ended)
            if not bool(waiting.any()):
                search.skip(x, turn, generator)
                continue
            rows = search.begin(self._model, x, y, images.to(self.device), turn, generator)
            yield rows if bool(waiting.all()) else rows.take(waiting.to(self.device))

    def _run_stage(self, stage: str, search: Search[Any], batches: Iterator[Rows]) -> None:
        """Notes what leaves: together with its batch where batches run by themselves, otherwise every so often."""
        pooled = self.mode == "packed" and search.poolable
        ahead = 0  # rows of the batch that runs by itself

        def counted() -> Iterator[Rows]:
            nonlocal ahead
            for rows in batches:
                ahead += len(rows)
                yield rows

        gathered: list[Rows] = []
        noted = time.monotonic()
        for rows in pursue(search, self._model, counted(), self.batch_size if pooled else None):
            gathered.append(rows)
            ahead -= len(rows)
            self.clock.leave(len(rows), int(rows.broken.sum()))
            if (time.monotonic() - noted >= self.flush_every) if pooled else not ahead:
                self._note(_entry(stage, gathered))
                gathered, noted = [], time.monotonic()
        if gathered:
            self._note(_entry(stage, gathered))

    def _confirmed(self, left: Tensor, fallen: dict[int, Tensor]) -> tuple[Tensor, Tensor]:
        """The images that are wrong where the search has put them, and these places; in batches as they were attacked."""
        broken, where = [], []
        for images in self._batches(left):
            y = self.y[images].to(self.device)
            moved = torch.stack([fallen.get(int(image), self.x[image]) for image in images]).to(self.device)
            wrong = (logits_of(self.given, moved, int(y.max())).argmax(dim=1) != y).cpu()
            broken.append(images[wrong])
            where.append(moved.cpu()[wrong])
        return torch.cat(broken), torch.cat(where)

    def _note(self, entry: CampaignEntry) -> None:
        self.entries.setdefault(entry.stage, []).append(entry)
        self.keep(entry)


def _entry(stage: str, gathered: Sequence[Rows]) -> CampaignEntry:
    return CampaignEntry(
        stage,
        torch.cat([rows.image for rows in gathered]).cpu(),
        torch.cat([rows.image[rows.broken] for rows in gathered]).cpu(),
        torch.cat([rows.found[rows.broken] for rows in gathered]).cpu(),
    )


class _Clock:
    """Counts model calls, and tells from their pace how long the rest takes."""

    def __init__(self, images: int) -> None:
        self.images = self.robust = images
        self.attack, self.of, self.left, self.each, self.later = "", 0, 0, 0.0, 0.0
        self.spent = self.in_flight = 0.0
        self.began = time.perf_counter()
        self.told = 0.0

    def stage(self, attack: str, rows: int, each: float, later: float) -> None:
        """each: calls that a row of this stage costs at most, later: those that it costs after it."""
        self.attack, self.of, self.left, self.each, self.later = attack, rows, rows, each, later
        self.in_flight, self.robust = 0.0, rows

    def leave(self, rows: int, broken: int) -> None:
        self.left -= rows
        self.robust -= broken
        self.in_flight = max(0.0, self.in_flight - (rows - broken) * self.each)

    def count(self, calls: int) -> None:
        self.spent += calls
        self.in_flight += calls

    def tell(self, watch: Callable[[Standing], None]) -> None:
        now = time.perf_counter()
        if now - self.told >= 0.5:
            self.told = now
            ahead = max(0.0, self.left * self.each - self.in_flight) + self.robust * self.later
            left = ahead * (now - self.began) / self.spent
            watch(Standing(self.attack, self.of - self.left, self.of, self.robust, self.images, left))
