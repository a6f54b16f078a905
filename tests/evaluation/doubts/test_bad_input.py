"""What makes no sense is one clear error, before or instead of a verdict."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from cktat.errors import CktatError
from cktat.evaluation import examine


class Answering(nn.Module):
    """A linear network whose answer is spoilt."""

    def __init__(self, spoil=lambda logits: logits) -> None:
        super().__init__()
        self.line, self.spoil = nn.Linear(4, 3), spoil

    def forward(self, x):
        return self.spoil(self.line(x.flatten(1)))


def images() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(12, 1, 2, 2, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3


def refused(message: str, model=None, **changes) -> None:
    x, y = images()
    settings = {"x": x, "y": y, "eps": 0.1} | changes
    with pytest.raises(CktatError, match=message) as caught:
        examine(model or Answering().eval(), settings.pop("x"), settings.pop("y"), **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda z: (z, z), "must return a tensor of logits .*, not a tuple; if it returns several things"),
        (lambda z: {"logits": z}, "not a dict"),
        (lambda z: z * math.nan, "logits that are not finite"),
        (lambda z: z / 0, "logits that are not finite"),
        (lambda z: z[:, 0], r"for 12 images it returned \[12\]"),
        (lambda z: z[:1], r"for 12 images it returned \[1, 3\]"),
        (lambda z: z[:, :1], r"for 12 images it returned \[12, 1\]"),
        (lambda z: z.unsqueeze(2), r"it returned \[12, 3, 1\]"),
        (lambda z: z.long(), "floating logits .*, not torch.int64"),
        (lambda z: z[:, :2], "a label is 2, but the model has 2 classes"),
    ],
)
def test_answers_that_are_no_logits(spoil, message: str) -> None:
    refused(message, Answering(spoil).eval())


def test_a_network_that_lets_no_gradient_through(images=images) -> None:
    net = Answering(torch.detach).eval()
    x, _ = images()
    refused("carry no gradient", net, y=net(x).argmax(dim=1))


def test_images_and_labels() -> None:
    x, y = images()
    refused("float images, not torch.uint8; divide", x=(255 * x).to(torch.uint8))
    refused("outside the data's box", x=2 * x)
    refused("outside the data's box", x=x - 0.5)
    refused("NaN or infinite", x=x * math.nan)
    refused("at least one image, got none", x=x[:0], y=y[:0])
    refused("a label is 3, but the model has 3 classes", y=y + 1)
    refused("labels of 0 or more", y=y - 1)
    refused("one integer label per image", y=y[:5])
    refused("one integer label per image", y=y.float())


@pytest.mark.parametrize("number", [0, -1, 1.5, True, None])
def test_numbers_of_images(number) -> None:
    refused(f"cannot examine {number!r} images", images=number)


def test_radii_and_results() -> None:
    refused("eps 8 is wider than the data's box", eps=8)
    refused("eps must be 0 or more", eps=-0.1)
    refused("unknown norm", norm="L1")
    refused("flags of the same images", results={"pgd20": [True], "cw": [True, False]})
