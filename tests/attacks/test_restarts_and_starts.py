"""Restarts: what is kept of them. Starts: where an attack begins."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from cktat.attacks import ATTACKS, Attack, Ball, cw, mim, pgd
from cktat.attacks.objectives import capped_margin, cross_entropy

SHORT = Attack(steps=2, step=0.1)


class Bumpy:
    """Logits with so many small hills that every start ends elsewhere."""

    def __call__(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        bumps = [torch.sin((17 + 4 * k) * flat + k).sum(dim=1) for k in range(3)]
        return torch.stack(bumps, dim=1) + torch.tensor([2.5, 0.0, 0.0], dtype=x.dtype)


def images(n: int = 40) -> tuple[Tensor, Tensor]:
    x = torch.rand(n, 1, 2, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return x, Bumpy()(x).argmax(dim=1)


def broken(found: Tensor, y: Tensor) -> Tensor:
    return Bumpy()(found).argmax(dim=1) != y


def test_more_restarts_never_break_fewer_images() -> None:
    x, y = images()
    sets = [
        broken(replace(SHORT, restarts=restarts)(Bumpy(), x, y, eps=0.1, seed=0), y) for restarts in (1, 2, 3, 5, 9)
    ]
    for fewer, more in pairwise(sets):
        assert bool((more >= fewer).all())
    assert 0 < int(sets[0].sum()) < int(sets[-1].sum()) < len(x)


@pytest.mark.parametrize("objective", [cross_entropy, capped_margin(50.0)], ids=["cross-entropy", "margin"])
def test_the_first_broken_is_kept_and_of_the_others_the_highest_objective(objective) -> None:
    x, y = images()
    attack = replace(SHORT, objective=objective)
    draws = torch.Generator().manual_seed(11)
    tries = [attack(Bumpy(), x, y, eps=0.1, seed=draws) for _ in range(4)]
    wanted, later, highest = [], 0, 0
    for n in range(len(x)):
        first = next((t for t in range(4) if bool(broken(tries[t][n : n + 1], y[n : n + 1]))), None)
        values = [float(objective(Bumpy()(found[n : n + 1]), y[n : n + 1])) for found in tries]
        chosen = max(range(4), key=values.__getitem__) if first is None else first
        later += first is not None and chosen != max(range(4), key=values.__getitem__)
        highest += first is None and chosen > 0
        wanted.append(tries[chosen][n])
    assert later and highest  # both rules decide somewhere
    found = replace(attack, restarts=4)(Bumpy(), x, y, eps=0.1, seed=torch.Generator().manual_seed(11))
    assert torch.equal(found, torch.stack(wanted))


def test_functions_pass_their_restarts_on() -> None:
    x, y = images()
    for attack in (pgd, mim, cw):
        one, many = (attack(Bumpy(), x, y, eps=0.1, steps=2, start="uniform", restarts=n, seed=0) for n in (1, 6))
        assert not torch.equal(one, many) and int(broken(many, y).sum()) > int(broken(one, y).sum())


def test_a_uniform_start_covers_the_ball_evenly() -> None:
    x = torch.full((40_000,), 0.5, dtype=torch.float64)
    start = Ball(8 / 255).uniform(x, torch.Generator().manual_seed(0))
    places = ((start - x) / (8 / 255) + 1) / 2  # uniform on [0, 1]
    assert float(places.min()) >= 0 and float(places.max()) <= 1
    even = (torch.arange(len(x)) + 0.5) / len(x)
    assert float((places.sort().values - even).abs().max()) < 1.63 / len(x) ** 0.5  # Kolmogorov and Smirnov, 1 %


@pytest.mark.parametrize("pixels", [1, 2, 12])
def test_in_l2_a_uniform_start_covers_the_ball_evenly(pixels: int) -> None:
    x = torch.full((20_000, pixels), 0.5, dtype=torch.float64)
    moved = Ball(0.2, None, "L2").uniform(x, torch.Generator().manual_seed(0)) - x
    volumes = (moved.norm(dim=1) / 0.2) ** pixels  # uniform on [0, 1]
    assert float(volumes.max()) <= 1 + 1e-9
    even = (torch.arange(len(x)) + 0.5) / len(x)
    assert float((volumes.sort().values - even).abs().max()) < 1.63 / len(x) ** 0.5
    assert float(moved.mean(dim=0).abs().max()) < 0.2 * 4 / len(x) ** 0.5  # every direction is as likely


def test_a_uniform_start_is_clipped_to_the_box_and_only_to_it() -> None:
    x = torch.tensor([0.0, 1.0]).repeat(5000)
    draws = [Ball(0.25, box).uniform(x, torch.Generator().manual_seed(1)) for box in ((0.0, 1.0), None)]
    assert torch.equal(draws[0], draws[1].clamp(0, 1))
    assert float(draws[0].min()) == 0.0 and float(draws[0].max()) == 1.0
    assert -0.25 <= float(draws[1].min()) < -0.24 and 1.24 < float(draws[1].max()) <= 1.25
    assert abs(float((draws[0] == x).float().mean()) - 0.5) < 0.03  # half of it would have left the box


class Recording(nn.Module):
    """A network that remembers which images it was shown. A module, of which no batch statistics are suspected."""

    def __init__(self, model) -> None:
        super().__init__()
        self.model, self.seen = model, []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        return self.model(x)


@pytest.mark.parametrize("name", ATTACKS)
def test_each_entry_begins_where_it_says(name: str) -> None:
    x, y = images(6)
    model = Recording(Bumpy())
    ATTACKS[name](model, x, y, eps=0.1, seed=torch.Generator().manual_seed(3))
    uniform = Ball(0.1).uniform(x, torch.Generator().manual_seed(3))
    assert torch.equal(model.seen[0], uniform if ATTACKS[name].start == "uniform" else x)


@pytest.mark.parametrize("attack", [pgd, mim, cw], ids=lambda attack: attack.__name__)
def test_functions_begin_at_the_image_or_anywhere_as_asked(attack) -> None:
    x, y = images(6)
    model = Recording(Bumpy())
    attack(model, x, y, eps=0.1, steps=1, start="image")
    attack(model, x, y, eps=0.1, steps=1, start="uniform")
    assert torch.equal(model.seen[0], x) and not torch.equal(model.seen[1], x)


def test_every_restart_draws_its_own_start() -> None:
    x, y = images(6)
    model = Recording(Bumpy())
    replace(SHORT, steps=1, restarts=3)(model, x, y, eps=0.1, seed=torch.Generator().manual_seed(5))
    draws = torch.Generator().manual_seed(5)
    for number in range(3):
        assert torch.equal(model.seen[2 * number], Ball(0.1).uniform(x, draws))


def test_a_start_is_of_the_images_own_type_and_a_seed_means_the_same_for_each_call() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        x = torch.full((3, 2), 0.5, dtype=dtype)
        first, second = (Ball(0.1).uniform(x, torch.Generator().manual_seed(0)) for _ in range(2))
        assert first.dtype == dtype and torch.equal(first, second)
