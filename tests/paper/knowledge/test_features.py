"""Layers by name: what they give, which is taken without a name, and one clear error for the rest."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cktat.errors import CktatError
from cktat.models import build
from cktat.paper.knowledge import Feature, default_layer, layers


def made(name: str) -> nn.Module:
    return build(name, classes=3, mean=[0.5] * 3, std=[0.25] * 3, seed=0).eval()


class Odd(nn.Module):
    """A layer that is never used, one that gives a pair, and one whose output the next overwrites."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = nn.Flatten()
        self.unused = nn.Linear(2, 2)
        self.conv = nn.Conv2d(3, 4, 3)
        self.relu = nn.ReLU(inplace=True)
        self.pair = Pair()

    def forward(self, x: Tensor) -> Tensor:
        return self.pair(self.flat(self.relu(self.conv(x))))[0]


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


@pytest.mark.parametrize(
    ("name", "layer"),
    [("small", "body.stages"), ("preactresnet18", "body.bn"), ("patchnet", "body.patches")],
)
def test_without_a_name_it_is_the_last_map(name: str, layer: str) -> None:
    assert default_layer(made(name), torch.rand(1, 3, 16, 16)) == layer


def test_a_network_without_maps_needs_a_name() -> None:
    flat = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).eval()
    with pytest.raises(CktatError, match="no layer gives a map over the image; choose one of 0, 1"):
        default_layer(flat, torch.rand(1, 3, 2, 2))
    assert Feature(flat, "1")(torch.rand(5, 3, 2, 2)).shape == (5, 3)


def test_the_output_is_that_of_the_layer() -> None:
    net, x = made("small"), torch.rand(2, 3, 16, 16)
    body = net.body
    assert isinstance(body, nn.Module)
    early = torch.relu(body.bn(body.stem((x - net.mean) / net.std)))  # type: ignore[operator]
    assert torch.equal(Feature(net, "body.stages.0")(x), body.stages[0](early))  # type: ignore[index,operator]
    assert torch.equal(Feature(net, "body")(x), net(x))
    assert layers(net)[:3] == ["body", "body.stem", "body.bn"]
    assert not any(part._forward_hooks for part in net.modules())


def test_an_in_place_layer_behind_it_changes_nothing() -> None:
    net, x = Odd().eval(), torch.rand(2, 3, 5, 5)
    found = Feature(net, "conv")(x)
    assert (found < 0).any() and torch.equal(found, net.conv(x))


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("body.stage", r"unknown layer 'body.stage'; did you mean 'body.stages'"),
        ("", "unknown layer ''"),
    ],
)
def test_an_unknown_layer_is_one_clear_error(layer: str, said: str) -> None:
    with pytest.raises(CktatError, match=said):
        Feature(made("small"), layer)


@pytest.mark.parametrize(("layer", "said"), [("unused", "takes no part"), ("pair", "gives a tuple, not a tensor")])
def test_a_layer_that_gives_nothing_is_refused(layer: str, said: str) -> None:
    with pytest.raises(CktatError, match=said):
        Feature(Odd().eval(), layer)(torch.rand(1, 3, 5, 5))


def test_a_network_in_train_mode_is_refused() -> None:
    with pytest.raises(CktatError, match="eval mode"):
        Feature(made("small").train(), "body.stages")(torch.rand(1, 3, 16, 16))
