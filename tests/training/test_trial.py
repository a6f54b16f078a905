"""A network that could not be trained as the run asks for is refused before; one that can is not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cktat.api import configure
from cktat.designs import DESIGNS, make
from cktat.errors import CktatError
from cktat.labels import Design, Learner, Moment, Schedule, Term, clean, y
from cktat.models import Normalised
from cktat.training.trial import trial, trial_of_loss


class Answers(nn.Module):
    """A linear network whose answer is `answer(self, logits)`."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.linear, self.answer = nn.Linear(36, 3), answer

    def forward(self, x: Tensor) -> Any:
        return self.answer(self, self.linear(x.flatten(1)))


def tried(body: nn.Module, tiny: Any, images: int = 12, **options: Any) -> None:
    config, data = configure(design="standard", **tiny.options | options)
    trial(Normalised(body, [0.5], [0.25]), config, data, images=images, device=torch.device("cpu"))


def net(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(36, 3))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("images", [1, 12])
def test_what_can_be_trained_is_let_be(precision: str, images: int, tiny: Any) -> None:
    for body in (
        net(nn.Dropout(0.5)),
        net(nn.BatchNorm2d(1)),
        net(nn.Conv2d(1, 1, 3, padding=1), nn.ReLU()),
        Answers(lambda self, z: z.float() if self.training else z),
    ):
        before = torch.get_rng_state()
        tried(body, tiny, images, precision=precision)
        assert torch.equal(torch.get_rng_state(), before)


def raising(self: nn.Module, z: Tensor) -> Tensor:
    if self.training:
        raise ValueError("oh\nno")
    return z


def leaving(self: nn.Module, z: Tensor) -> Tensor:
    if self.training:
        raise SystemExit(0)
    return z


def too_large(self: nn.Module, z: Tensor) -> Tensor:
    if len(z) > 2:
        raise ValueError("two at a time")
    return z


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            Answers(lambda self, z: (z, z) if self.training else z),
            r"in train mode the model must return .*, not a tuple",
        ),
        (Answers(lambda self, z: z[:, :2] if self.training else z), "in train mode .*for 12 images it returned"),
        (Answers(lambda self, z: z / 0 if self.training else z), "in train mode .*NaN or infinity"),
        (Answers(lambda self, z: z.detach() if self.training else z), r"in train mode .*RuntimeError"),
        (Answers(raising), "the network failed in train mode and fp32, .*12, 1, 6, 6.*ValueError: oh$"),
        (Answers(leaving), "the network failed in train mode .*SystemExit: 0$"),
        (Answers(too_large), "the network failed in eval mode .*ValueError: two at a time"),
        (net().double(), r"1\.weight is torch\.float64; a run trains torch\.float32"),
    ],
)
def test_what_cannot_is_one_line_that_says_how_it_failed(body: nn.Module, said: str, tiny: Any) -> None:
    with pytest.raises(CktatError, match=said) as caught:
        tried(body, tiny)
    assert "\n" not in str(caught.value)


def test_one_value_per_channel_has_no_statistics(tiny: Any) -> None:
    body = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(1, 3))
    tried(body, tiny, images=2)
    with pytest.raises(CktatError, match=r"in train mode .*more than 1 value per channel"):
        tried(body, tiny, images=1)


def test_it_is_tried_in_the_runs_precision_and_memory_format(tiny: Any) -> None:
    seen = set()

    def look(self: nn.Module, z: Tensor) -> Tensor:
        if len(z) == 12:
            seen.add((self.training, z.dtype))
        return z

    tried(Answers(look), tiny, precision="bf16")
    assert seen == {(False, torch.bfloat16), (True, torch.bfloat16)}
    strides = nn.Sequential(nn.Conv2d(1, 4, 3), View())
    with pytest.raises(CktatError, match=r"the network failed in eval mode .*view size is not compatible"):
        tried(strides, tiny)


class View(nn.Module):
    """Cuts feature maps up as they lie in PyTorch's default memory format."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.view(len(x), 64))


@pytest.mark.parametrize("name", DESIGNS)
def test_the_loss_of_every_design_is_let_be(name: str) -> None:
    trial_of_loss(make(name), classes=10)
    trial_of_loss(make(name), classes=2)


@pytest.mark.parametrize(
    ("error", "said"), [(ValueError("oh\nno"), "ValueError: oh$"), (SystemExit(0), "SystemExit: 0$")]
)
def test_a_loss_that_fails_is_one_line(error: BaseException, said: str) -> None:
    def fail(moment: Moment) -> float:
        raise error

    S = Learner("S")
    with pytest.raises(CktatError, match=f"its loss failed on random logits: {said}"):
        trial_of_loss(Design("Mine", (Term(S(clean), y, Schedule(fail)),)), classes=3)
