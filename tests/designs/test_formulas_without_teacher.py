"""Standard training, PGD-AT, TRADES, MART, HAT and Generalist against the released losses of their authors.

Each formula is written as its authors write it: the same torch calls and reductions, a detach where they have one.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cktat.designs import DESIGNS
from cktat.labels import Outputs


def kl_sum(log_q, p):
    return F.kl_div(log_q, p, reduction="sum")  # nn.KLDivLoss(size_average=False)


def test_standard_is_cross_entropy_on_x(agrees):
    agrees(DESIGNS["standard"](), lambda z, y: nn.CrossEntropyLoss()(z["S(x)"], y))


def test_pgd_at_is_cross_entropy_on_x_prime(agrees):
    # MadryLab/cifar10_challenge model.py (xent, mean), train.py L51
    agrees(DESIGNS["pgd_at"](), lambda z, y: nn.CrossEntropyLoss()(z["S(x')"], y))


@pytest.mark.parametrize("beta", [1.0, 6.0])
def test_trades(agrees, beta):
    def formula(z, y):  # yaodongyu/TRADES trades.py L79-84
        loss_natural = F.cross_entropy(z["S(x)"], y)
        loss_robust = (1.0 / len(y)) * kl_sum(F.log_softmax(z["S(x')"], dim=1), F.softmax(z["S(x)"], dim=1))
        return loss_natural + beta * loss_robust

    agrees(DESIGNS["trades"](beta=beta), formula)


def test_trades_with_beta_0_is_standard_training(agrees):
    agrees(DESIGNS["trades"](beta=0.0), lambda z, y: F.cross_entropy(z["S(x)"], y))


def mart(logits, logits_adv, y, beta):  # YisenWang/MART mart.py L38-56
    kl = nn.KLDivLoss(reduction="none")
    adv_probs = F.softmax(logits_adv, dim=1)
    tmp1 = torch.argsort(adv_probs, dim=1)[:, -2:]
    new_y = torch.where(tmp1[:, -1] == y, tmp1[:, -2], tmp1[:, -1])
    loss_adv = F.cross_entropy(logits_adv, y) + F.nll_loss(torch.log(1.0001 - adv_probs + 1e-12), new_y)
    nat_probs = F.softmax(logits, dim=1)
    true_probs = torch.gather(nat_probs, 1, y.unsqueeze(1)).squeeze(1)
    loss_robust = (1.0 / len(y)) * torch.sum(
        torch.sum(kl(torch.log(adv_probs + 1e-12), nat_probs), dim=1) * (1.0000001 - true_probs)
    )
    return loss_adv + beta * loss_robust


@pytest.mark.parametrize("beta", [5.0, 6.0, 0.0])
def test_mart(agrees, beta):
    agrees(DESIGNS["mart"](beta=beta), lambda z, y: mart(z["S(x)"], z["S(x')"], y, beta))


@pytest.mark.parametrize("adversarial_gap", [9.0, 25.0, 32.0])
@pytest.mark.parametrize("clean_gap", [0.5, 15.0, 18.0])
def test_marts_constants_where_each_of_them_decides(adversarial_gap, clean_gap):
    """A sure and wrong S(x') meets 1.0001 and both 1e-12; a sure and right S(x) meets 1.0000001."""
    design, y = DESIGNS["mart"](), torch.tensor([0])
    clean = torch.tensor([[clean_gap, 0.0, -1.0]], dtype=torch.float64)
    adversarial = torch.tensor([[0.0, adversarial_gap, 1.0]], dtype=torch.float64)
    leaves = [leaf.clone().requires_grad_() for leaf in (clean, adversarial)]
    loss = design.loss(Outputs(dict(zip(design.cells, leaves, strict=True)), y, 3))
    theirs = [leaf.clone().requires_grad_() for leaf in (clean, adversarial)]
    wanted = mart(*theirs, y, 5.0)
    torch.testing.assert_close(loss, wanted, rtol=1e-11, atol=1e-11)
    for ours, author in zip(torch.autograd.grad(loss, leaves), torch.autograd.grad(wanted, theirs), strict=True):
        torch.testing.assert_close(ours, author, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("beta", "gamma"), [(2.5, 0.5), (6.0, 1.0), (2.5, 0.0)])
def test_hat_with_the_helpers_most_likely_class(agrees, beta, gamma):
    def formula(z, y):  # imrahulr/hat core/utils/hat.py L64-76
        loss_natural = F.cross_entropy(z["S(x)"], y)
        loss_robust = (1.0 / len(y)) * kl_sum(F.log_softmax(z["S(x')"], dim=1), F.softmax(z["S(x)"], dim=1))
        if gamma == 0:
            return loss_natural + beta * loss_robust
        with torch.no_grad():
            y_hr = z["H(x')"].argmax(dim=1)
        return loss_natural + beta * loss_robust + gamma * F.cross_entropy(z["S(x'')"], y_hr)

    agrees(DESIGNS["hat"](beta=beta, gamma=gamma), formula)


def test_hat_with_the_helpers_most_likely_other_class(agrees):
    def formula(z, y):  # the CKTAT paper's Table 2: the helper's class other than y
        with torch.no_grad():
            first, second = z["H(x')"].topk(2, dim=1).indices.unbind(dim=1)
            y_hr = torch.where(first == y, second, first)
        assert not (y_hr == y).any()
        smooth = F.kl_div(F.log_softmax(z["S(x')"], dim=1), F.softmax(z["S(x)"], dim=1), reduction="batchmean")
        return F.cross_entropy(z["S(x)"], y) + 2.5 * smooth + 0.5 * F.cross_entropy(z["S(x'')"], y_hr)

    agrees(DESIGNS["hat"](helper_label="other"), formula)


@pytest.mark.parametrize("form", ["released", "paper"])
def test_generalist_trains_each_learner_by_its_own_cross_entropy(agrees, form):
    # PKU-ML/Generalist main.py L122-175: two backward passes, one per learner; no gradient crosses
    criterion = nn.CrossEntropyLoss()
    agrees(DESIGNS["generalist"](form=form), lambda z, y: criterion(z["R(x')"], y) + criterion(z["N(x)"], y))


def test_generalist_reports_the_loss_of_each_learner(random_outputs):
    design = DESIGNS["generalist"]()
    outputs = random_outputs(design)
    z = {str(cell): logits for cell, logits in outputs.logits.items()}
    losses = design.losses(outputs)
    assert list(losses) == ["R(x'):y", "N(x):y"]
    torch.testing.assert_close(losses["R(x'):y"], F.cross_entropy(z["R(x')"], outputs.y))
    torch.testing.assert_close(losses["N(x):y"], F.cross_entropy(z["N(x)"], outputs.y))
