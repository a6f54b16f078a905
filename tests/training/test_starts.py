"""Where attacks begin: a function of seed and step, whoever draws it and when."""

from __future__ import annotations

import threading

import pytest
import torch

from cktat.attacks import Ball
from cktat.designs import make
from cktat.labels import Adversarial, Design, Learner, Term, adversarial, gaussian, inverse, y
from cktat.training import starts
from cktat.training.starts import Starts, begin, draw

S = Learner("S")
TWO = Design(
    "two",
    (Term(S(adversarial(S, y, sign="a")), y), Term(S(adversarial(S, y, start=gaussian(0.001), sign="b")), y)),
)
X = torch.rand(4, 1, 5, 5, generator=torch.Generator().manual_seed(1))


def same(found: dict, wanted: dict) -> bool:
    return found.keys() == wanted.keys() and all(torch.equal(found[view], wanted[view]) for view in wanted)


def test_a_uniform_start_is_clipped_and_a_gaussian_one_is_not() -> None:
    x, draws, again = torch.zeros(4, 1, 5, 5), torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    ball = Ball(0.1)
    found = begin(ball, x, draw(TWO, ball, x.shape, x.dtype, draws))
    uniform, normal = found.values()
    assert torch.equal(uniform, ball.uniform(x, again)) and float(uniform.min()) == 0
    assert torch.equal(normal, 0.001 * torch.randn(x.shape, generator=again)) and float(normal.min()) < 0


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize("reach", [1.0, 0.25])
def test_an_inverse_view_begins_in_its_own_ball(reach: float, norm: str) -> None:
    ball, draws = Ball(0.4, norm=norm), torch.Generator().manual_seed(0)
    design = Design("near", (Term(S(inverse(S, y, reach)), y),))
    (change,) = draw(design, ball, (64, 1, 5, 5), torch.float32, draws).values()
    lengths = ball.distance(change, torch.zeros_like(change))
    assert 0.9 * reach * 0.4 < float(lengths.max()) <= reach * 0.4 + 1e-6


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_drawn_ahead_they_are_the_same(norm: str) -> None:
    plain, ahead = (Starts(TWO, Ball(0.1, norm=norm), 3, ahead=early) for early in (False, True))
    for step in (0, 1, 2, 7, 8, 3):  # a resumed run begins anywhere
        assert same(ahead.at(step, X), plain.at(step, X)), step
    for other in (X[:2], X.double(), X):
        assert same(ahead.at(9, other), plain.at(9, other)), other.shape
    assert not same(plain.at(1, X), plain.at(2, X))
    assert not same(plain.at(1, X), Starts(TWO, Ball(0.1, norm=norm), 4).at(1, X))


def test_drawn_ahead_they_cost_the_next_steps_thread_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    drawers: list[int] = []
    ball = Ball(0.123)

    def watched(*arguments):
        if arguments[1] == ball:  # threads of other tests may still be drawing
            drawers.append(threading.get_ident())
        return draw(*arguments)

    monkeypatch.setattr(starts, "draw", watched)
    ahead = Starts(TWO, ball, 3, ahead=True)
    for step in range(4):
        ahead.at(step, X)
    ahead._thread.shutdown()
    assert len(drawers) == 5 and drawers.count(threading.get_ident()) == 1, "the first step alone draws for itself"


def test_a_design_without_an_adversary_draws_nothing() -> None:
    design = make("standard")
    assert not any(isinstance(view, Adversarial) for view in design.views)
    assert Starts(design, Ball(0.1), 0, ahead=True).at(0, X) == {}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: starts on a GPU are not compared with the CPU's")
def test_devices_agree() -> None:
    ball = Ball(0.1)
    gpu, cpu = Starts(TWO, ball, 3, ahead=True), Starts(TWO, ball, 3)
    for step in range(3):
        assert same({view: x.cpu() for view, x in gpu.at(step, X.cuda()).items()}, cpu.at(step, X))
