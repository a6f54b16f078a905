"""Whole trainings, through the command's own entry, against loops of a few lines that use torch.optim and nothing else.

What is random is drawn here as the documentation says: the order of an epoch from (seed, epoch), crops and flips from
(seed, epoch, step), the starts of attacks from (seed, step).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import cktat
from cktat.labels import Design, Learner, Schedule, Term, adversarial, clean, y
from cktat.models import build
from cktat.seeds import derive, generator

EPOCHS, STEPS, BATCH, SEED = 3, 4, 12, 3
LR, MOMENTUM, DECAY = 0.05, 0.8, 0.02
EPS, STEP = 0.1, 0.04
OPTIONS = {
    "epochs": EPOCHS, "batch_size": BATCH, "seed": SEED, "lr": LR, "momentum": MOMENTUM, "weight_decay": DECAY,
    "schedule": "linear", "points": [(0.5, 0.4), (1.0, 0.1)], "augment": "crop-flip", "eps": EPS, "step": STEP, "steps": 3,
}  # fmt: skip


def rate(step: int) -> float:
    """lr of a step: a line from 1 to 0.4 over the first half of all steps, then from 0.4 to 0.1."""
    progress = step / (EPOCHS * STEPS)
    return LR * (1 - 1.2 * progress if progress < 0.5 else 0.4 - 0.6 * (progress - 0.5))


def batches(tiny) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(step, x, y) of the whole training, every image padded by 4, cropped and perhaps flipped by itself."""
    arrays = np.load(tiny.data)
    images, labels = torch.from_numpy(arrays["x_train"]), torch.from_numpy(arrays["y_train"])
    for epoch in range(EPOCHS):
        order = torch.randperm(len(images), generator=generator(SEED, "order", epoch)).tolist()
        for step in range(STEPS):
            draws = torch.randint(162, (BATCH,), generator=generator(SEED, "augment", epoch, step)).tolist()
            chosen = order[step * BATCH : (step + 1) * BATCH]
            x = torch.zeros(BATCH, 1, 6, 6)
            for place, (index, draw) in enumerate(zip(chosen, draws, strict=True)):
                padded = nn.functional.pad(images[index].float() / 255, (4, 4, 4, 4))
                down, right = divmod(draw // 2, 9)
                crop = padded[down : down + 6, right : right + 6]
                x[place, 0] = crop.flip(1) if draw % 2 else crop
            yield epoch * STEPS + step, x, labels[chosen]


def network(tiny, number: int = 0) -> nn.Module:
    """A learner as the run begins with it."""
    arrays = np.load(tiny.data)
    mean, std = (float(f(arrays["x_train"] / 255)) for f in (np.mean, np.std))
    seed = derive(SEED, "weights", number)
    return build(tiny.model, classes=3, channels=1, mean=(mean,), std=(std,), seed=seed).train()


def worst(module: nn.Module, x: Tensor, labels: Tensor, step: int) -> Tensor:
    """x' of three steps of PGD in eval mode, from a uniform start in the ball."""
    module.eval()
    moved = (x + (2 * torch.rand(x.shape, generator=generator(SEED, "attack", step)) - 1) * EPS).clamp(0, 1)
    for _ in range(3):
        moved.requires_grad_(True)
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(module(moved), labels), moved)
        moved = moved.detach() + STEP * gradient.sign()
        moved = torch.min(torch.max(moved, x - EPS), x + EPS).clamp(0, 1)
    module.train()
    return moved.detach()


def trained(
    tiny,
    loss: Callable[[nn.Module, Tensor, Tensor, int], Tensor],
    *,
    number: int = 0,
    factor: float = 1.0,
    **sgd: float,
) -> tuple[nn.Module, list[float]]:
    """The network after the plain loop, and its mean loss in each epoch."""
    module, total = network(tiny, number), torch.zeros(EPOCHS)
    settings = {"lr": LR, "momentum": MOMENTUM, "weight_decay": DECAY, "nesterov": True} | sgd
    optimiser = torch.optim.SGD(module.parameters(), **settings)
    for step, x, labels in batches(tiny):
        optimiser.param_groups[0]["lr"] = rate(step) * factor
        found = loss(module, x, labels, step)
        optimiser.zero_grad()
        found.backward()
        optimiser.step()
        total[step // STEPS] += found.detach() / STEPS
    return module, total.tolist()


def require_equal(weights: dict[str, Tensor], module: nn.Module) -> None:
    """All weights and running statistics, up to the rounding of sums."""
    expected = module.state_dict()
    assert weights.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            weights[name], value, rtol=1e-3, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


def cross_entropy(module: nn.Module, x: Tensor, labels: Tensor, step: int) -> Tensor:
    return nn.functional.cross_entropy(module(x), labels)


def adversarial_cross_entropy(module: nn.Module, x: Tensor, labels: Tensor, step: int) -> Tensor:
    return nn.functional.cross_entropy(module(worst(module, x, labels, step)), labels)


@pytest.mark.parametrize(("design", "loss"), [("standard", cross_entropy), ("pgd_at", adversarial_cross_entropy)])
def test_a_training_is_plain_sgd_on_augmented_images(design, loss, tiny, tmp_path) -> None:
    run = cktat.train(design, store=tmp_path, show=False, **tiny.options | OPTIONS)
    module, losses = trained(tiny, loss)
    require_equal(run.load("last")[0], module)
    history = run.history()
    assert [line["loss"] for line in history] == pytest.approx(losses, rel=1e-4)
    assert [line["lr"] for line in history] == pytest.approx([rate(STEPS * (epoch + 1) - 1) for epoch in range(EPOCHS)])


def test_without_momentum_it_is_gradient_descent_and_with_it_not(tiny, tmp_path) -> None:
    options = OPTIONS | {"momentum": 0.0, "schedule": "constant", "points": [], "weight_decay": 0.0}
    run = cktat.train("standard", store=tmp_path, show=False, **tiny.options | options)
    module = network(tiny)
    with_momentum = network(tiny)
    for kept, momentum in ((module, 0.0), (with_momentum, 0.8)):
        optimiser = torch.optim.SGD(kept.parameters(), lr=LR, momentum=momentum)
        for step, x, labels in batches(tiny):
            optimiser.zero_grad()
            cross_entropy(kept, x, labels, step).backward()
            optimiser.step()
    require_equal(run.load("last")[0], module)
    with pytest.raises(AssertionError):
        require_equal(run.load("last")[0], with_momentum)


OWN_OPTIMISER = """
import torch


def make(groups, **settings):
    return torch.optim.AdamW(groups, **settings)
"""


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("adamw", {"betas": [0.8, 0.95], "eps": 1e-4}),
        ("own.py:make", {"betas": [0.8, 0.95], "eps": 1e-4}),
        ("rmsprop", {"momentum": 0.5, "alpha": 0.9}),
        ("rprop", {}),
    ],
)
def test_another_optimiser_is_that_of_torch(name, arguments, tiny, tmp_path, monkeypatch) -> None:
    """Its schedule is that of every run; weight_decay goes to those that have one, which rprop has not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN_OPTIMISER)
    own = {"optimiser": name, "optimiser_args": arguments, "momentum": None}
    run = cktat.train("pgd_at", store=tmp_path, show=False, **tiny.options | OPTIONS | own)
    module = network(tiny)
    kind = {
        "adamw": torch.optim.AdamW,
        "own.py:make": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
        "rprop": torch.optim.Rprop,
    }[name]
    decay = {} if name == "rprop" else {"weight_decay": DECAY}
    optimiser = kind(module.parameters(), lr=LR, **decay, **arguments)
    for step, x, labels in batches(tiny):
        optimiser.param_groups[0]["lr"] = rate(step)
        found = adversarial_cross_entropy(module, x, labels, step)
        optimiser.zero_grad()
        found.backward()
        optimiser.step()
    require_equal(run.load("last")[0], module)
    with pytest.raises(AssertionError):
        require_equal(run.load("last")[0], trained(tiny, adversarial_cross_entropy)[0])


def test_each_learner_has_its_own_weights_decay_and_rate(tiny, tmp_path) -> None:
    S, N = Learner("S", weight_decay=0.2, lr_factor=0.5), Learner("N")
    two = Design("Two", (Term(S(clean), y), Term(N(clean), y)))
    run = cktat.train(two, store=tmp_path, show=False, **tiny.options | OPTIONS)
    team = torch.load(run.state, weights_only=True)["team"]
    own, _ = trained(tiny, cross_entropy, number=0, factor=0.5, weight_decay=0.2)
    other, _ = trained(tiny, cross_entropy, number=1)
    require_equal(team["S"], own)
    require_equal(team["N"], other)


def test_terms_are_summed_with_their_weights(tiny, tmp_path) -> None:
    S = Learner("S")
    both = Design("Both", (Term(S(clean), y, 0.25), Term(S(adversarial(S, y)), y, 2.0)))
    run = cktat.train(both, store=tmp_path, show=False, **tiny.options | OPTIONS)

    def loss(module: nn.Module, x: Tensor, labels: Tensor, step: int) -> Tensor:
        moved = worst(module, x, labels, step)
        on_x = cross_entropy(module, x, labels, step)
        return 0.25 * on_x + 2.0 * cross_entropy(module, moved, labels, step)

    require_equal(run.load("last")[0], trained(tiny, loss)[0])


def test_schedules_of_a_design_see_how_far_training_is(tiny, tmp_path) -> None:
    seen = []

    def weight(at) -> float:
        seen.append((at.progress, at.epoch, at.epochs, at.step))
        return 1.0

    S = Learner("S")
    run = cktat.train(
        Design("Noted", (Term(S(clean), y, Schedule(weight, "noted")),)),
        store=tmp_path,
        show=False,
        **tiny.options | OPTIONS,
    )
    total = EPOCHS * STEPS
    assert run.finished
    at_all = [(step / total, step // STEPS, EPOCHS, step) for step in range(total)]
    assert list(dict.fromkeys(seen)) == [(0.0, 0, 1, 0), *at_all], "once before the run, to try the loss"
