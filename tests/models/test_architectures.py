"""The networks are the ones their docstrings name: sizes and costs by hand, forward passes by their formulas."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cktat.models import MODELS, Normalised, build, cost
from cktat.models.preact import PreActBlock, PreActResNet
from cktat.models.resnet import BasicBlock, ResNet

# name -> stem, widths, strides, blocks per stage, whether pre-activated
LAYOUT: dict[str, tuple[int, Sequence[int], Sequence[int], int, bool]] = {
    "small": (16, (16, 32, 64), (1, 2, 2), 2, False),
    "resnet18": (64, (64, 128, 256, 512), (1, 2, 2, 2), 2, False),
    "resnet18-wide-map": (64, (64, 128, 256, 512), (1, 1, 2, 2), 2, False),
    "preactresnet18": (64, (64, 128, 256, 512), (1, 2, 2, 2), 2, True),
    "wrn34-10": (16, (160, 320, 640), (1, 2, 2), 5, True),
    "wrn28-10": (16, (160, 320, 640), (1, 2, 2), 4, True),
}
KNOWN = {"resnet18": 11_173_962, "preactresnet18": 11_172_170, "wrn34-10": 46_160_474, "wrn28-10": 36_479_194}
"""As others report them."""


def by_hand(name: str, channels: int, size: int, classes: int) -> tuple[int, int]:
    """Parameters and FLOP of square images, layer by layer."""
    stem, widths, strides, blocks, preactivated = LAYOUT[name]
    parameters = multiplications = 0

    def conv(inputs: int, outputs: int, kernel: int) -> None:
        nonlocal parameters, multiplications
        parameters += inputs * outputs * kernel**2
        multiplications += inputs * outputs * kernel**2 * size**2

    conv(channels, stem, 3)
    inputs = stem
    for width, first in zip(widths, strides, strict=True):
        for stride in (first, *[1] * (blocks - 1)):
            size = -(-size // stride)
            conv(inputs, width, 3)
            conv(width, width, 3)
            parameters += 2 * (inputs if preactivated else width) + 2 * width  # two BNs
            if stride != 1 or inputs != width:
                conv(inputs, width, 1)
                parameters += 0 if preactivated else 2 * width
            inputs = width
    parameters += 2 * (widths[-1] if preactivated else stem)  # the last BN, or the stem's
    return parameters + (inputs + 1) * classes, 2 * (multiplications + inputs * classes)


def on_meta(name: str, channels: int = 3, classes: int = 10) -> Normalised:
    with torch.device("meta"):
        return build(name, classes=classes, channels=channels, mean=[0.5] * channels, std=[0.25] * channels)


def test_every_model_is_laid_out_here() -> None:
    assert set(LAYOUT) == set(MODELS) - {
        "patchnet",
        "patchnet-wide",
    }  # which have no layers to sum; see test_patchnet.py


@pytest.mark.parametrize("name", LAYOUT)
@pytest.mark.parametrize(("channels", "size", "classes"), [(3, 32, 10), (3, 32, 7), (1, 8, 10), (2, 9, 101)])
def test_cost_is_the_sum_over_layers(name: str, channels: int, size: int, classes: int) -> None:
    found = cost(on_meta(name, channels, classes), (channels, size, size))
    assert (found.parameters, found.flops) == by_hand(name, channels, size, classes)


@pytest.mark.parametrize("name", MODELS)
def test_docstring_states_the_measured_cost(name: str) -> None:
    found = cost(on_meta(name), (3, 32, 32))
    stated = f"3x32x32, 10 classes: {found.parameters:,} parameters, {found.flops:,} FLOP."
    assert stated in (MODELS[name].__doc__ or "")
    assert found.parameters == KNOWN.get(name, found.parameters)


def test_docstring_of_small_states_its_cost_on_digits() -> None:
    found = cost(on_meta("small", channels=1), (1, 8, 8))
    stated = f"1x8x8, 10 classes: {found.parameters:,} parameters, {found.flops:,} FLOP."
    assert stated in (MODELS["small"].__doc__ or "")


@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_every_parameter(name: str) -> None:
    model = on_meta(name)
    logits = model(torch.empty(2, 3, 32, 32, device="meta"))
    logits.sum().backward()
    assert logits.shape == (2, 10)
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


@settings(max_examples=15)
@given(
    channels=st.integers(1, 4),
    classes=st.integers(2, 12),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
)
def test_any_image_size_channels_and_classes(channels: int, classes: int, height: int, width: int) -> None:
    model = build("small", classes=classes, channels=channels, mean=[0.5] * channels, std=[0.25] * channels).eval()
    logits = model(torch.rand(2, channels, height, width))
    assert logits.shape == (2, classes)
    assert logits.isfinite().all()


def test_eval_mode_is_deterministic_and_per_image() -> None:
    model = build("small", classes=10, channels=1, mean=[0.5], std=[0.25], seed=0).eval()
    x = torch.rand(3, 1, 8, 8)
    together = model(x)
    assert torch.equal(together, model(x))
    torch.testing.assert_close(together[1:2], model(x[1:2]))


def bn(x: Tensor, layer: nn.Module) -> Tensor:
    """Train-mode batch normalisation written out."""
    assert isinstance(layer, nn.BatchNorm2d)
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    scale, shift = (p.view(1, -1, 1, 1) for p in (layer.weight, layer.bias))
    return (x - mean) / (var + layer.eps).sqrt() * scale + shift


@pytest.mark.parametrize(("inputs", "width", "stride"), [(4, 4, 1), (4, 8, 2), (4, 8, 1), (4, 4, 2)])
def test_blocks_follow_their_formulas(inputs: int, width: int, stride: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, inputs, 6, 6)
    same = inputs == width and stride == 1

    post = BasicBlock(inputs, width, stride)
    short = x
    if not same:
        assert isinstance(post.shortcut[0], nn.Conv2d)
        short = bn(F.conv2d(x, post.shortcut[0].weight, stride=stride), post.shortcut[1])
    inner = bn(F.conv2d(x, post.conv1.weight, stride=stride, padding=1), post.bn1).relu()
    expected = (bn(F.conv2d(inner, post.conv2.weight, padding=1), post.bn2) + short).relu()
    torch.testing.assert_close(post(x), expected, atol=1e-5, rtol=1e-4)

    pre = PreActBlock(inputs, width, stride)
    a = bn(x, pre.bn1).relu()
    short = x if same else F.conv2d(a, pre.get_submodule("shortcut").get_parameter("weight"), stride=stride)
    inner = bn(F.conv2d(a, pre.conv1.weight, stride=stride, padding=1), pre.bn2).relu()
    expected = short + F.conv2d(inner, pre.conv2.weight, padding=1)
    torch.testing.assert_close(pre(x), expected, atol=1e-5, rtol=1e-4)


def test_where_the_networks_activate() -> None:
    """Post-activation nets have BN and ReLU after the stem, pre-activation nets after the last block."""
    torch.manual_seed(0)
    x = torch.rand(2, 3, 8, 8)
    post = ResNet(classes=5, channels=3, widths=(4, 8), strides=(1, 2))
    features = post.stages(bn(post.stem(x), post.bn).relu())
    torch.testing.assert_close(post(x), post.head(F.adaptive_avg_pool2d(features, 1).flatten(1)))

    pre = PreActResNet(classes=5, channels=3, stem=4, widths=(8, 12), strides=(1, 2), blocks=1)
    features = bn(pre.stages(pre.stem(x)), pre.bn).relu()
    torch.testing.assert_close(pre(x), pre.head(F.adaptive_avg_pool2d(features, 1).flatten(1)))


def test_wrn_starts_as_its_release_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every convolution from normal(0, sqrt(2 / fan_out)), the bias of the head 0. On meta, by what is asked for."""
    drawn: dict[int, tuple[float, float]] = {}
    zeroed: set[int] = set()
    monkeypatch.setattr(nn.init, "normal_", lambda t, mean, std: drawn.update({id(t): (mean, std)}))
    monkeypatch.setattr(nn.init, "zeros_", lambda t: zeroed.add(id(t)))
    body = on_meta("wrn34-10").body
    convolutions = [m for m in body.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 1 + 2 * 15 + 3
    for conv in convolutions:
        assert drawn[id(conv.weight)] == (0.0, pytest.approx((2 / conv.weight[:, 0].numel()) ** 0.5))
    assert isinstance(body, PreActResNet)
    assert id(body.head.bias) in zeroed
