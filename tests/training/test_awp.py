"""Adversarial weight perturbation against the closed form of a linear network, and what it must leave alone."""

import pytest
import torch
from torch import nn

from cktat.training.awp import perturbed


def test_each_matrix_moves_by_its_share_of_its_norm_along_the_gradient() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)).double()
    x = torch.randn(5, 4, dtype=torch.float64)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    # loss = sum of outputs = sum_n 1' (V (W x_n + b) + c): dL/dV = 1 (sum_n h_n)', dL/dW = V' 1 (sum_n x_n)'
    W, V = before["0.weight"], before["1.weight"]
    h = x @ W.T + before["0.bias"]
    gradients = {"1.weight": torch.ones(2, 1, dtype=torch.float64) * h.sum(0), "0.weight": V.sum(0)[:, None] * x.sum(0)}
    with perturbed([net], 0.01, lambda: net(x).sum()):
        for name, p in net.named_parameters():
            if name in gradients:
                g = gradients[name]
                wanted = before[name] + 0.01 * before[name].norm() * g / g.norm()
                torch.testing.assert_close(p.detach(), wanted, rtol=1e-12, atol=1e-14)
            else:
                assert torch.equal(p, before[name]), "biases have one dimension and stay"
    for name, p in net.named_parameters():
        torch.testing.assert_close(p.detach(), before[name], rtol=1e-12, atol=1e-14)


def test_running_statistics_are_as_if_the_extra_pass_had_not_been() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    before = {name: b.clone() for name, b in net.named_buffers()}
    with perturbed([net], 0.1, lambda: net(torch.randn(4, 1, 5, 5)).square().mean()):
        assert all(torch.equal(b, before[name]) for name, b in net.named_buffers())
    assert all(p.grad is None for p in net.parameters())


def test_a_matrix_without_gradient_and_one_of_zeros_stay() -> None:
    used, unused = nn.Linear(2, 2), nn.Linear(2, 2)
    nn.init.zeros_(used.weight)
    kept = unused.weight.detach().clone()
    with perturbed([used, unused], 0.5, lambda: used(torch.ones(1, 2)).sum()):
        assert torch.equal(unused.weight, kept)
        assert torch.count_nonzero(used.weight) == 0


def test_the_perturbation_is_taken_off_after_the_step_that_was_made_at_it() -> None:
    net = nn.Linear(2, 1, bias=False)
    nn.init.constant_(net.weight, 1.0)
    with perturbed([net], 0.1, lambda: net(torch.tensor([[1.0, 0.0]])).sum()), torch.no_grad():
        assert net.weight[0, 0] == pytest.approx(1 + 0.1 * 2**0.5)
        net.weight.sub_(0.25)
    torch.testing.assert_close(net.weight.detach(), torch.full((1, 2), 0.75))
