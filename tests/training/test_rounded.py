"""bf16 without bf16 units: products of bf16 numbers, summed in fp32, rounded to bf16."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

from cktat.training import rounded as module
from cktat.training.rounded import Rounded, rounded


def results(context, dtype: torch.dtype) -> list[Tensor]:
    """Outputs and gradients of a convolution and a linear layer on numbers that bf16 can hold."""
    torch.manual_seed(0)
    conv, linear = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 5)
    for parameter in (*conv.parameters(), *linear.parameters()):
        parameter.data = parameter.data.bfloat16().to(dtype)
    x = torch.randn(2, 3, 6, 6).bfloat16().to(dtype).requires_grad_(True)
    with context:
        maps = conv(x)
        leaf = maps.detach().bfloat16().to(dtype).requires_grad_(True)  # both computed from the same numbers
        out = linear(leaf.mean(dim=(2, 3)).detach().bfloat16().to(dtype).requires_grad_(True))
        gradients = torch.autograd.grad(maps.sum(), (x, conv.weight, conv.bias))
        more = torch.autograd.grad(out.sum(), (linear.weight, linear.bias))
    return [maps, out, *gradients, *more]


def test_a_product_is_exact_but_for_one_rounding() -> None:
    found, exact = results(Rounded(), torch.bfloat16), results(nullcontext(), torch.float64)
    assert all(tensor.dtype == torch.bfloat16 for tensor in found)
    for number in (0, 2, 3, 4):  # what no earlier rounding enters
        wanted = exact[number].detach()
        assert float((found[number].detach().double() - wanted).abs().max()) <= 2**-8 * float(wanted.abs().max()), (
            number
        )
    plain = results(nullcontext(), torch.bfloat16)  # PyTorch's own bf16, summed in another order
    for ours, theirs in zip(found, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2**-6, atol=2**-6)


def test_numbers_of_other_types_are_let_be() -> None:
    for dtype in (torch.float32, torch.float64):
        for ours, theirs in zip(results(Rounded(), dtype), results(nullcontext(), dtype), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("units", [False, True])
def test_it_stands_in_only_where_there_are_no_units_and_bf16_is_asked_for(
    units: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "has_bf16", lambda device: units)
    assert isinstance(rounded("bf16", torch.device("cpu")), Rounded) != units
    assert not isinstance(rounded("fp32", torch.device("cpu")), Rounded)
