"""Calibration equals a search written out, follows the scale of the logits, and sees held-out images only."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from cktat.attacks import Ball, pgd
from cktat.data import Split
from cktat.designs import make
from cktat.labels import Calibrated, Design, Frozen, Learner, Term, adversarial, clean, mix, y
from cktat.runs import Threat
from cktat.seeds import generator
from cktat.training.calibrate import best_point, calibrate, tempered_teacher

S, T = Learner("S"), Frozen("T")
TAU, SHARE = Calibrated("tau"), Calibrated("share")
RATIO = (16.0 / 0.2) ** (1 / 99)
"""Between neighbours on the grid of temperatures."""

ON_CLEAN = Design("d", (Term(S(clean), T(clean, TAU)),))
ON_ADVERSARIAL = Design("d", (Term(S(adversarial(S, y)), mix(T(adversarial(S, y), TAU), y, SHARE)),))


def drawn(n: int = 60, classes: int = 4, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of a teacher that is right more often than not, of an overfitted one, and labels."""
    draws = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (n,), generator=draws)
    onehot = nn.functional.one_hot(labels, classes)
    logits, last = (torch.randn(n, classes, generator=draws, dtype=torch.float64) for _ in range(2))
    return 2 * logits + 2.5 * onehot, 6 * last + 7 * onehot, labels


def brute(logits: Tensor, last: Tensor, labels: Tensor, shared: bool) -> tuple[float, tuple[float, float]]:
    """The least negative log-likelihood over the authors' two grids, and where it is."""
    points = []
    rows = list(zip(logits.tolist(), last.tolist(), labels.tolist(), strict=True))
    for i in range(0, 100, 1):
        tau = math.exp(math.log(0.2) + (math.log(16) - math.log(0.2)) * i / 99)
        pairs = []
        for z, w, label in rows:
            p, q = (math.exp(v[label] / tau) / sum(math.exp(u / tau) for u in v) for v in (z, w))
            pairs.append((p, q))
        for j in range(100) if shared else [99]:
            share = 0.01 + 0.99 * j / 99
            loss = -sum(math.log(share * p + (1 - share) * q + 1e-8) for p, q in pairs) / len(pairs)
            points.append((loss, tau, share))
    loss, tau, share = min(points)
    return loss, (tau, share)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_point_is_the_best_of_the_grid(seed: int, shared: bool) -> None:
    logits, last, labels = drawn(n=25, seed=seed)
    _, wanted = brute(logits, last, labels, shared)
    found = best_point(logits, last, labels, shared=shared)
    assert found == pytest.approx(wanted, rel=1e-12)
    assert 0.2 < found[0] < 16.0 and (found[1] == 1.0 or shared)  # not at the edge by accident


def test_a_share_below_1_is_found_where_the_last_checkpoint_helps() -> None:
    logits, last, labels = drawn()
    assert 0.01 < best_point(logits, last, labels, shared=True)[1] < 1.0


@pytest.mark.parametrize("power", [-20, -5, 7, 15])
def test_logits_scaled_by_a_factor_get_a_temperature_scaled_by_it(power: int) -> None:
    logits, last, labels = drawn()
    tau, share = best_point(logits, last, labels, shared=True)
    scaled, same = best_point(RATIO**power * logits, RATIO**power * last, labels, shared=True)
    assert scaled / tau == pytest.approx(RATIO**power, rel=1e-9) and same == share


def test_the_temperature_of_a_calibrated_teacher_is_about_1() -> None:
    draws = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(20_000, 4, generator=draws, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(dim=1), 1, generator=draws).squeeze(1)
    assert best_point(logits, logits, labels, shared=False)[0] == pytest.approx(1.0, rel=0.05)


class Seeing(nn.Module):
    """A linear network on images that remembers what it was shown, and in which mode."""

    def __init__(self, seed: int, scale: float = 1.0) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 4)
        draws = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.layer.weight.copy_(3 * scale * torch.randn(4, 8, generator=draws))
            self.layer.bias.copy_(scale * torch.randn(4, generator=draws))
        self.seen: list[Tensor] = []
        self.modes: set[bool] = set()

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        self.modes.add(self.training)
        return self.layer(x.flatten(1))


def held_out(n: int = 37) -> Split:
    draws = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (n, 2, 2, 2), generator=draws, dtype=torch.uint8)
    logits = Seeing(0)(images.float() / 255)
    return Split(images, torch.multinomial(logits.softmax(dim=1), 1, generator=draws).squeeze(1))


def settings(**changes) -> dict:
    threat = Threat(eps=0.1, step=0.025, steps=5)
    return {"levels": 255, "threat": threat, "ball": Ball(0.1), "batch_size": 10, "seed": 0} | changes


def test_on_clean_images_it_is_the_search_over_the_teachers_logits() -> None:
    teacher, last, split = Seeing(0), Seeing(1), held_out()
    found = calibrate(ON_CLEAN, teacher, last, split, **settings())
    with torch.no_grad():
        x = split.images.float() / 255
        wanted = best_point(teacher(x), last(x), split.labels, shared=False)
    assert found == {"tau": wanted[0]}
    assert 0.2 < found["tau"] < 16


@pytest.mark.parametrize("power", [-10, 10])
def test_a_teacher_with_scaled_logits_gets_a_scaled_temperature(power: int) -> None:
    split = held_out()
    plain = calibrate(ON_CLEAN, Seeing(0), Seeing(1), split, **settings())["tau"]
    scaled = calibrate(ON_CLEAN, Seeing(0, RATIO**power), Seeing(1), split, **settings())["tau"]
    assert scaled / plain == pytest.approx(RATIO**power, rel=0.05)  # within a step of the grid


def test_on_adversarial_images_both_networks_see_those_of_the_teacher() -> None:
    teacher, last, split = Seeing(0), Seeing(1), held_out()
    found = calibrate(ON_ADVERSARIAL, teacher, last, split, **settings())
    assert set(found) == {"tau", "share"}
    shown = torch.cat(last.seen)
    draws = generator(0, "calibrate")
    wanted = []
    for first in range(0, len(split), 10):
        x = split.images[first : first + 10].float() / 255
        labels = split.labels[first : first + 10]
        wanted.append(pgd(Seeing(0), x, labels, eps=0.1, step=0.025, steps=5, seed=draws))
    assert torch.equal(shown, torch.cat(wanted))
    with torch.no_grad():
        point = best_point(Seeing(0)(shown), Seeing(1)(shown), split.labels, shared=True)
    assert (found["tau"], found["share"]) == point


def test_it_sees_held_out_images_only_each_in_eval_mode_and_leaves_the_networks_alone() -> None:
    teacher, last, split = Seeing(0).train(), Seeing(1).train(), held_out()
    calibrate(ON_ADVERSARIAL, teacher, last, split, **settings())
    images = split.images.float() / 255
    for network in (teacher, last):
        for shown in network.seen:
            distance = (shown.unsqueeze(1) - images.unsqueeze(0)).abs().flatten(2).amax(dim=2)
            assert bool((distance.min(dim=1).values <= 0.1 + 1e-6).all())
        assert network.modes == {False} and network.training
        assert all(p.requires_grad and p.grad is None for p in network.parameters())
    assert sum(map(len, last.seen)) == len(split)


def test_it_is_the_same_each_time_and_another_with_another_seed() -> None:
    results = []
    for seed in (0, 0, 1):
        last = Seeing(1)
        calibrate(ON_ADVERSARIAL, Seeing(0), last, held_out(), **settings(seed=seed))
        results.append(torch.cat(last.seen))
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])


def test_the_tempered_teacher_and_the_view_of_its_label() -> None:
    assert tempered_teacher(ON_CLEAN) == (T, clean)
    assert tempered_teacher(ON_ADVERSARIAL) == (T, adversarial(S, y))
    design = make("kd_at_auto")
    teacher, view = tempered_teacher(design)
    assert teacher in design.frozen and view in design.views and view is not clean


def test_a_teacher_that_is_a_design_keeps_its_own_temperature_to_itself() -> None:
    taught = Frozen("U", of=make("kd_at_auto"))
    design = Design("d", (Term(S(clean), taught(clean)), Term(S(clean), T(clean, TAU))))
    assert tempered_teacher(design) == (T, clean)


def test_what_nothing_calibrates_is_refused(one_line) -> None:
    other = Design("mine", (Term(S(clean), T(clean, TAU), Calibrated("beta")),))
    with one_line("design 'mine' leaves 'beta' open, which nothing calibrates; give it a number"):
        tempered_teacher(other)
    with one_line("'beta'"):
        calibrate(other, Seeing(0), Seeing(1), held_out(), **settings())
    untempered = Design("mine", (Term(S(clean), y), Term(S(clean, TAU), T(clean))))
    with one_line("design 'mine' leaves tau open, but no frozen teacher is tempered by it"):
        tempered_teacher(untempered)
    with one_line("leaves share open, but no frozen teacher is tempered by it; give it a number"):
        tempered_teacher(make("kd_at_auto", tau=2.0))
    own = Design("mine", (Term(S(clean), S(clean, TAU)),))
    with one_line("no frozen teacher"):
        tempered_teacher(own)
