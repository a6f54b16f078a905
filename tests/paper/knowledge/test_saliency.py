"""Saliency and Grad-CAM against captum's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from cktat.errors import CktatError
from cktat.models import build
from cktat.paper.knowledge import grad_cam, saliency

attr = pytest.importorskip("captum.attr", reason="captum is the oracle of these tests")


@pytest.fixture
def net() -> nn.Module:
    made = build("small", classes=4, mean=[0.5] * 3, std=[0.25] * 3, seed=0).double().eval()
    for part in made.modules():  # statistics other than 0 and 1, so that eval mode shows
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.running_mean, -0.1, 0.1)
    return made


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(0)
    return torch.rand(4, 3, 16, 16, generator=draws, dtype=torch.float64), torch.tensor([0, 3, 1, 1])


def test_saliency_is_captums(net: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    found = saliency(net, x, y)
    assert found.shape == x.shape and found.max() > 0
    assert torch.allclose(found, attr.Saliency(net).attribute(x.clone().requires_grad_(), target=y), rtol=1e-9, atol=0)


@pytest.mark.parametrize("layer", ["body.stages", "body.stages.1", "body.stages.2.1.conv1"])
def test_grad_cam_is_captums(net: nn.Module, batch: tuple[Tensor, Tensor], layer: str) -> None:
    x, y = batch
    found = grad_cam(net, layer, x, y)
    theirs = attr.LayerGradCam(net, net.get_submodule(layer)).attribute(x, target=y, relu_attributions=True)
    assert found.max() > 0 and torch.allclose(found, theirs[:, 0], rtol=1e-9, atol=1e-15)


def test_networks_without_parameters_to_train_are_asked_all_the_same(
    net: nn.Module, batch: tuple[Tensor, Tensor]
) -> None:
    before = saliency(net, *batch), grad_cam(net, "body.stages", *batch)
    net.requires_grad_(False)
    after = saliency(net, *batch), grad_cam(net, "body.stages", *batch)
    assert torch.equal(before[0], after[0]) and torch.equal(before[1], after[1])


def test_grad_cam_needs_a_map(net: nn.Module, batch: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(CktatError, match=r"'body\.head' does not"):
        grad_cam(net, "body.head", *batch)
    assert not any(part._forward_hooks for part in net.modules())
