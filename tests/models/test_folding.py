"""A folded network answers as the network does, with less to do."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.utils._python_dispatch import TorchDispatchMode

from cktat.models import MODELS, Normalised, build, folded, folding
from cktat.models.resnet import BasicBlock, ResNet


def counted(module: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())


def lived_in(name: str) -> Normalised:
    """A network whose BatchNorm does something: statistics, factors and shifts of its own."""
    module = build(name, classes=7, channels=3, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25), seed=0).eval()
    draws = torch.Generator().manual_seed(1)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None and part.running_var is not None
            part.running_mean.copy_(torch.randn(part.num_features, generator=draws))
            part.running_var.copy_(0.5 + torch.rand(part.num_features, generator=draws))
            part.weight.data.copy_(0.5 + torch.rand(part.num_features, generator=draws))
            part.bias.data.copy_(torch.randn(part.num_features, generator=draws))
    return module.requires_grad_(False)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "wrn34-10"])
def test_logits_and_gradients_are_the_same_up_to_rounding(name: str) -> None:
    module = lived_in(name).double()
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


class Operations(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen[func._overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def slope_at(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    logits = module(x).to(x.dtype)
    return logits.detach(), torch.autograd.grad(logits.logsumexp(dim=1).sum() - logits[:, 0].sum(), x)[0]


def norms(module: nn.Module, x: Tensor) -> int:
    with Operations() as counted, torch.no_grad():
        module(x)
    return sum(times for name, times in counted.seen.items() if "batch_norm" in name)


@pytest.mark.parametrize(("name", "left"), [("small", 0), ("resnet18", 0), ("preactresnet18", 9)])
def test_in_place_logits_and_gradients_are_the_same_and_the_network_is_itself_again(name: str, left: int) -> None:
    module = lived_in(name).double()
    x = torch.rand(2, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    before, weights = slope_at(module, x), {key: value.clone() for key, value in module.state_dict().items()}
    with folding(module):
        quick = slope_at(module, x)
        assert norms(module, x) == left
        assert all(torch.equal(value, weights[key]) for key, value in module.state_dict().items())
    for one, other in zip(before, quick, strict=True):
        assert not torch.equal(one, other), "nothing was folded"
        assert float((one - other).abs().max()) < 1e-12 * float(one.abs().max())
    with pytest.raises(ZeroDivisionError), folding(module, module):
        raise ZeroDivisionError
    assert all(map(torch.equal, before, slope_at(module, x)))
    assert not any("forward" in vars(part) for part in module.modules())


@pytest.mark.parametrize(("bits", "bound"), [(torch.float32, 1e-5), (torch.bfloat16, 0.15)])
def test_its_gradient_is_as_near_to_the_exact_one_as_that_of_the_network(bits: torch.dtype, bound: float) -> None:
    """Folding moves what is rounded, not how much: against float64, the error is at most a half more than without it."""
    module = lived_in("small")
    x = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bits == torch.bfloat16):
        plain = slope_at(module, x)
        with folding(module):
            quick = slope_at(module, x)
    for exact, one, other in zip(slope_at(module.double(), x.double()), plain, quick, strict=True):
        own, of_folded = (float((found.double() - exact).norm() / exact.norm()) for found in (one, other))
        print(own, of_folded)
        assert 0 < of_folded < max(1.5 * own, bound / 10) and of_folded < bound


def with_hook(module: Normalised) -> Normalised:
    module.body.get_submodule("bn").register_forward_hook(lambda *_: None)
    return module


def in_train_mode(module: Normalised) -> Normalised:
    module.body.get_submodule("bn").train()
    return module


def reparametrised(module: Normalised) -> Normalised:
    parametrizations.spectral_norm(module.body.get_submodule("stem"))
    return module.eval()


@pytest.mark.parametrize("change", [with_hook, in_train_mode, reparametrised])
def test_a_pair_that_does_more_stays_as_it_is(change: Any) -> None:
    module, x = lived_in("small"), torch.rand(2, 3, 8, 8)
    assert norms(module, x) == 15
    with folding(change(module)):
        assert norms(module, x) == 1


def test_what_names_no_pairs_of_its_own_stays_as_it_is() -> None:
    class Other(ResNet):
        """Reads its stem twice."""

        def forward(self, x: Tensor) -> Tensor:
            out = self.stem(x)
            return self.head(self.stages(torch.relu(self.bn(out) + out)).mean(dim=(2, 3)))

    module = Other(classes=3, channels=1, widths=(4, 8), strides=(1, 2)).eval()
    x = torch.rand(2, 1, 8, 8)
    blocks = [part for part in module.modules() if isinstance(part, BasicBlock)]
    with folding(module, lambda images: images):
        assert "forward" not in vars(module.stem) and "forward" in vars(blocks[0].conv1)
        quick = module(x)
    assert torch.allclose(quick, module(x), atol=1e-5)


def test_a_compiled_network_stays_as_it_is() -> None:
    module = lived_in("small")
    module.compile()
    with folding(module):
        assert not any("forward" in vars(part) for part in module.modules())
