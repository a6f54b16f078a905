"""check and cost see a network without changing it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cktat.errors import CktatError
from cktat.models import Cost, build, check, cost

SHAPE = (1, 4, 4)


class Returns(nn.Module):
    """A network whose answer is `answer(logits)`."""

    def __init__(self, answer: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 3)
        self.answer = answer

    def forward(self, x: Tensor) -> object:
        return self.answer(self.linear(x.flatten(1)))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda z: (z, z), r"logits \[N, 3\], not a tuple"),
        (lambda z: z.argmax(1), r"not torch\.int64"),
        (lambda z: z[:, :2], r"for 2 images it returned \[2, 2\]"),
        (lambda z: z[..., None], r"it returned \[2, 3, 1\]"),
        (lambda z: z * float("nan"), "returned NaN or infinity"),
        (lambda z: z / 0, "returned NaN or infinity"),
        (lambda z: z @ z, r"failed on images \[2, 1, 4, 4\]: RuntimeError: mat1"),
    ],
)
def test_check_says_what_came_back(answer: Callable[[Tensor], object], message: str) -> None:
    with pytest.raises(CktatError, match=message) as caught:
        check(Returns(answer), SHAPE, classes=3)
    assert "\n" not in str(caught.value)


def test_check_passes_the_models_own_error_on() -> None:
    model = build("small", classes=3, mean=[0.5] * 3, std=[0.2] * 3)
    with pytest.raises(CktatError, match=r"^this model takes images \[N, 3, H, W\]"):
        check(model, SHAPE, classes=3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_check_accepts_a_model_of_any_precision(dtype: torch.dtype) -> None:
    check(build("small", classes=3, channels=1, mean=[0.5], std=[0.2]).to(dtype), SHAPE, classes=3)
    check(nn.Flatten(), SHAPE, classes=16)  # nor does it need parameters


def test_what_is_to_be_trained_has_logits_that_depend_on_a_weight() -> None:
    with torch.no_grad():
        check(Returns(lambda z: z), SHAPE, classes=3, to_train=True)
    for model, classes in (
        (nn.Flatten(), 16),
        (Returns(lambda z: z.detach()), 3),
        (Returns(lambda z: z).requires_grad_(False), 3),
    ):
        with pytest.raises(CktatError, match="depend on a weight; nothing can be trained"):
            check(model, SHAPE, classes, to_train=True)


def test_check_accepts_a_model_that_standardises_each_image() -> None:
    check(Returns(lambda z: (z - z.mean(1, keepdim=True)) / z.std(1, keepdim=True)), SHAPE, classes=3)

    class Standardised(Returns):
        def forward(self, x: Tensor) -> object:
            return super().forward((x - x.mean()) / x.std((1, 2, 3), keepdim=True))

    check(Standardised(lambda z: z), SHAPE, classes=3)


def test_modes_and_buffers_are_kept() -> None:
    class Counting(nn.Module):
        """Counts its calls whatever its mode."""

        calls: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))
            self.net = build("small", classes=3, channels=1, mean=[0.5], std=[0.2])

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return self.net(x)

    model = Counting().train()
    first_bn = next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d)).eval()
    modes = [m.training for m in model.modules()]
    before = {name: t.clone() for name, t in model.state_dict().items()}
    check(model, SHAPE, classes=3)
    cost(model, SHAPE)
    assert [m.training for m in model.modules()] == modes
    assert not first_bn.training and model.training
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_modes_are_kept_when_the_check_fails() -> None:
    model = Returns(lambda z: z @ z).train()
    with pytest.raises(CktatError):
        check(model, SHAPE, classes=3)
    assert model.training


def test_cost_counts_two_per_multiply_add() -> None:
    assert cost(Returns(lambda z: z), SHAPE) == Cost(parameters=16 * 3 + 3, flops=2 * 16 * 3)
