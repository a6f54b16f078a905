"""A folded network answers as the network does, with less to do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cktat.models import MODELS, Normalised, build, folded


def counted(module: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())


@pytest.mark.parametrize("name", [name for name in MODELS if name != "wrn34-10"])
def test_logits_and_gradients_are_the_same_up_to_rounding(name: str) -> None:
    module = build(name, classes=7, channels=3, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25), seed=0).double()
    draws = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.copy_(torch.randn(part.num_features, generator=draws))
            part.running_var.copy_(0.5 + torch.rand(part.num_features, generator=draws))
    module.train()
    weights = {key: value.clone() for key, value in module.state_dict().items()}
    quick = folded(module).double()
    assert module.training and all(torch.equal(value, weights[key]) for key, value in module.state_dict().items())
    assert counted(quick) < counted(module) or counted(module) == 0
    module.eval()
    answers = []
    for network in (module, quick):
        x = torch.rand(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
        logits = network(x)
        answers.append((logits, *torch.autograd.grad(logits.square().sum(), x)))
    for one, other in zip(*answers, strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-6 * float(one.detach().abs().max()))


def test_what_cannot_be_traced_stays_as_it_is() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)[:, :2] if float(x.sum()) > 0 else -x.flatten(1)[:, :2]

    module = Normalised(Branching(), (0.5,), (0.5,))
    assert folded(module) is module
