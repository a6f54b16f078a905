"""LTD, LBGAT, KD-AT-Auto, ARD, IAD and RSLAD against the losses of their authors.

Each formula is written as its authors write it: the same torch calls and reductions, a detach where they have one.
Where a design's KL lacks the entropy that a soft cross-entropy adds, the difference is a named constant.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cktat.designs import DESIGNS


def batchmean(log_q, p):
    return F.kl_div(log_q, p, reduction="batchmean")


def soft_cross_entropy(p, logits):
    return -(p * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


def entropy(p):
    return -torch.xlogy(p, p).sum(dim=1).mean()


@pytest.mark.parametrize(("tau", "beta"), [(5.0, 6.0), (1.0, 1.0), (3.0, 0.0)])
def test_ltd_up_to_the_entropy_of_the_tempered_teacher(agrees, tau, beta):
    def formula(z, y):  # arXiv 2111.02331 on TRADES; no code is released, the form is Table 2's of the CKTAT paper
        q = F.softmax(z["T(x)"] / tau, dim=1).detach()
        loss = soft_cross_entropy(q, z["S(x)"])
        if beta:
            loss = loss + beta * batchmean(F.log_softmax(z["S(x')"], dim=1), F.softmax(z["S(x)"], dim=1))
        return loss

    def entropy_of_teacher(z, y):
        return entropy(F.softmax(z["T(x)"] / tau, dim=1))

    agrees(DESIGNS["ltd"](tau=tau, beta=beta), formula, constant=entropy_of_teacher)


@pytest.mark.parametrize("beta", [0.0, 6.0])
def test_lbgat_with_a_teacher_that_trains_too(agrees, beta):
    def formula(z, y):  # dvlab-research/LBGAT lbgat.py L69-79
        mse, criterion_kl = nn.MSELoss(), nn.KLDivLoss(reduction="sum")
        out_adv, out_natural, out_orig = z["S(x')"], z["S(x)"], z["T(x)"]
        loss_mse = mse(out_adv, out_orig)
        loss_kl = (1.0 / len(y)) * criterion_kl(F.log_softmax(out_adv, dim=1), F.softmax(out_natural, dim=1))
        return loss_mse + nn.CrossEntropyLoss()(out_orig, y) + beta * loss_kl

    agrees(DESIGNS["lbgat"](beta=beta), formula)


@pytest.mark.parametrize("beta", [0.0, 6.0])
def test_lbgat_with_a_frozen_teacher_drops_the_teachers_cross_entropy(agrees, beta):
    def formula(z, y):
        loss = nn.MSELoss()(z["S(x')"], z["T(x)"].detach())
        return loss + beta * batchmean(F.log_softmax(z["S(x')"], dim=1), F.softmax(z["S(x)"], dim=1))

    agrees(DESIGNS["lbgat"](beta=beta, teacher="standard"), formula)


SETTLED = [(5.0, 0.5), (1.0, 0.9), (0.3, 0.01), (16.0, 1.0), (2.0, 0.0)]


@pytest.mark.parametrize(("tau", "share"), SETTLED)
def test_kd_at_auto_two_terms_up_to_the_entropy_of_the_tempered_teacher(agrees, tau, share):
    def formula(z, y):  # the authors' trainer, _ad_loss_kd with the robust teacher only
        hard = F.cross_entropy(z["S(x')"], y, reduction="none")
        if not share:
            return hard.mean()
        p = F.softmax(z["T(x')"] / tau, dim=1).detach()
        soft = -(p * F.log_softmax(z["S(x')"] / tau, dim=1)).sum(dim=1)
        return ((1 - share) * hard + share * tau**2 * soft).mean()

    def entropy_of_teacher(z, y):
        return share * tau**2 * entropy(F.softmax(z["T(x')"] / tau, dim=1)) if share else torch.zeros(())

    agrees(DESIGNS["kd_at_auto"]().settle(tau=tau, share=share), formula, constant=entropy_of_teacher)


@pytest.mark.parametrize(("tau", "share"), SETTLED)
def test_kd_at_auto_mix_is_the_papers_rectified_label_up_to_its_entropy(agrees, tau, share):
    def rectified(z, y):  # arXiv 2110.03135: p_rect = share * softmax(z_T / tau) + (1 - share) * onehot(y)
        onehot = F.one_hot(y, z["S(x')"].shape[1]).double()
        return (share * F.softmax(z["T(x')"] / tau, dim=1) + (1 - share) * onehot).detach()

    agrees(
        DESIGNS["kd_at_auto"](form="mix").settle(tau=tau, share=share),
        lambda z, y: soft_cross_entropy(rectified(z, y), z["S(x')"]),
        constant=lambda z, y: entropy(rectified(z, y)),
    )


@pytest.mark.parametrize("per_class", [True, False])
@pytest.mark.parametrize(("tau", "alpha"), [(30.0, 1.0), (30.0, 0.7), (1.0, 0.7), (4.0, 0.0)])
def test_ard(agrees, tau, alpha, per_class):
    # goldblum/AdversariallyRobustDistillation main.py L113-127; per_class=False is ZFancy/IAD ARD.py L164 (batchmean)
    def kl(log_q, p):
        per_entry = F.kl_div(log_q, p, reduction="none")
        return per_entry.mean() if per_class else per_entry.sum() / len(p)  # .mean() is KLDivLoss' default "mean"

    def formula(z, y):
        loss = (1.0 - alpha) * nn.CrossEntropyLoss()(z["S(x)"], y)
        if alpha:
            target = F.softmax(z["T(x)"] / tau, dim=1).detach()
            loss = loss + alpha * tau * tau * kl(F.log_softmax(z["S(x')"] / tau, dim=1), target)
        return loss

    agrees(DESIGNS["ard"](tau=tau, alpha=alpha, per_class=per_class), formula)


def trust(teacher_logits, y, beta):
    """The weights a_n one by one as numbers, which is how the release computes (and detaches) them."""
    probabilities = F.softmax(teacher_logits, dim=1)
    return torch.tensor([torch.pow(probabilities[n][y[n]], beta).item() for n in range(len(y))], dtype=torch.float64)


@pytest.mark.parametrize(("progress", "introspects"), [(0.0, False), (0.29, False), (0.3, True), (1.0, True)])
@pytest.mark.parametrize(("tau", "alpha", "beta"), [(1.0, 1.0, 0.1), (2.0, 1.0, 0.1), (2.0, 0.6, 0.5)])
def test_iad_1(agrees, progress, introspects, tau, alpha, beta):
    def formula(z, y):  # ZFancy/IAD IAD-I.py L165-181; begin 60 of 200 epochs
        log_student = F.log_softmax(z["S(x')"] / tau, dim=1)
        guide = alpha * tau * tau * batchmean(log_student, F.softmax(z["T(x)"] / tau, dim=1).detach())
        loss = guide + (1.0 - alpha) * nn.CrossEntropyLoss()(z["S(x)"], y)
        if introspects:
            kl = nn.KLDivLoss(reduction="none")
            self_kl = kl(F.log_softmax(z["S(x')"], dim=1), F.softmax(z["S(x)"], dim=1)).sum(dim=1)
            loss = loss + alpha * ((1 - trust(z["T(x')"], y, beta)) * self_kl).mean()
        return loss

    agrees(DESIGNS["iad"](tau=tau, alpha=alpha, beta=beta), formula, progress=progress)


@pytest.mark.parametrize(("progress", "introspects"), [(0.0, False), (0.19, False), (0.2, True), (1.0, True)])
@pytest.mark.parametrize(("tau", "alpha", "alpha_clean"), [(1.0, 0.5, 0.25), (2.0, 0.5, 0.25), (2.0, 0.3, 0.6)])
def test_iad_2(agrees, progress, introspects, tau, alpha, alpha_clean):
    def formula(z, y):  # ZFancy/IAD IAD-II.py L178-190; begin 40 of 200 epochs, before it a is 1
        kl = nn.KLDivLoss(reduction="none")
        a = trust(z["T(x')"], y, 0.1) if introspects else torch.ones(len(y), dtype=torch.float64)
        log_student = F.log_softmax(z["S(x')"] / tau, dim=1)
        guide = (a * kl(log_student, F.softmax(z["T(x')"] / tau, dim=1).detach()).sum(dim=1)).mean()
        self_kl = kl(F.log_softmax(z["S(x')"], dim=1), F.softmax(z["S(x)"], dim=1)).sum(dim=1)
        clean_guide = batchmean(log_student, F.softmax(z["C(x')"] / tau, dim=1).detach())
        hard = (1.0 - alpha - alpha_clean) * nn.CrossEntropyLoss()(z["S(x')"], y)
        soft = alpha * tau * tau * (guide + ((1 - a) * self_kl).mean())
        return hard + soft + alpha_clean * tau * tau * clean_guide

    agrees(DESIGNS["iad"](variant="II", tau=tau, alpha=alpha, alpha_clean=alpha_clean), formula, progress=progress)


@pytest.mark.parametrize("begin", [0.0, 0.5])
def test_iads_begin_can_be_moved(agrees, begin):
    def formula(z, y):
        guide = batchmean(F.log_softmax(z["S(x')"], dim=1), F.softmax(z["T(x)"], dim=1).detach())
        if begin > 0.4:
            return guide
        kl = F.kl_div(F.log_softmax(z["S(x')"], dim=1), F.softmax(z["S(x)"], dim=1), reduction="none").sum(dim=1)
        return guide + ((1 - trust(z["T(x')"], y, 0.1)) * kl).mean()

    agrees(DESIGNS["iad"](begin=begin), formula, progress=0.4)


@pytest.mark.parametrize(("scale", "share"), [(1.0, 5 / 6), (10.0, 5 / 6), (1.0, 0.5)])
@pytest.mark.parametrize("per_class", [True, False])
def test_rslad_up_to_the_shift_of_its_1e_5(agrees, scale, share, per_class):
    # zibojia/RSLAD resnet18_rslad_cifar10.py L38-40, L59-63 (cifar100: both KL times 10)
    def reduced(per_entry):
        return per_entry.mean() if per_class else per_entry.sum(dim=1).mean()

    def kl_loss(a, b):
        return -a * b + torch.log(b + 1e-5) * b

    def formula(z, y):
        teacher = F.softmax(z["T(x)"], dim=1).detach()
        robust = scale * reduced(kl_loss(F.log_softmax(z["S(x')"], dim=1), teacher))
        nature = scale * reduced(kl_loss(F.log_softmax(z["S(x)"], dim=1), teacher))
        return share * robust + (1 - share) * nature

    def shift_of_1e_5(z, y):
        p = F.softmax(z["T(x)"], dim=1)
        return scale * reduced(torch.log(p + 1e-5) * p - torch.xlogy(p, p))

    agrees(DESIGNS["rslad"](scale=scale, adversarial_share=share, per_class=per_class), formula, constant=shift_of_1e_5)
