"""Train-mode passes as releases make them: what they do to running statistics, and to the loss nothing."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cktat import AdversarialLoss
from cktat.designs import make

EPS, STEPS = 0.05, 3


def trades_release(model, x: Tensor, x_adv: Tensor, y: Tensor) -> Tensor:
    """yaodongyu/TRADES trades.py L79-84, on a given x'."""
    logits = model(x)
    loss_robust = F.kl_div(F.log_softmax(model(x_adv), dim=1), F.softmax(model(x), dim=1), reduction="sum") / len(x)
    return F.cross_entropy(logits, y) + 6.0 * loss_robust


@pytest.mark.parametrize("third_pass", [True, False])
def test_trades_third_pass_leaves_statistics_as_the_release_does(third_pass, small_net, batch) -> None:
    x, y = batch
    model = small_net(0).train()
    model.drop.eval()
    twin = copy.deepcopy(model)
    loss = AdversarialLoss(make("trades", third_pass=third_pass), model, eps=EPS, steps=STEPS)
    views, known = loss.attack(*loss._checked(x, y))
    x_adv = next(images for view, images in views.items() if view.sign == "x'")
    ours = sum(loss.losses(views, known, y).values())
    theirs = trades_release(twin, x, x_adv, y)
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), abs=1e-12)
    gradients = zip(
        torch.autograd.grad(ours, model.parameters()), torch.autograd.grad(theirs, twin.parameters()), strict=True
    )
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in gradients)
    same = [
        torch.allclose(a.double(), b.double(), atol=1e-12) for a, b in zip(model.buffers(), twin.buffers(), strict=True)
    ]
    assert all(same) == third_pass and any(same) == third_pass


def test_a_whole_run_in_train_mode_counts_every_pass_of_its_attack(runs, tmp_path) -> None:
    counted = {}
    for mode in ("eval", "train"):
        run = runs.train("pgd_at", tmp_path, set={"attack_mode": mode}, epochs=1, steps=runs.Steps())
        counted[mode] = int(run.load("last")[0]["body.1.num_batches_tracked"])
    assert counted == {"eval": 4, "train": 4 * (1 + 2)}  # 4 steps of the optimiser, 2 of the attack
