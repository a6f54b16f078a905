"""Weights of other releases, wrapped in any way, make the very network that they were saved from; nothing loads half."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from cktat.models.layouts import fit
from cktat.models.preact import PreActResNet
from cktat.models.resnet import ResNet
from tests.models.releases import PRE_ACTIVATED, RELEASES, STRIDES, Theirs, trained

Weights = dict[str, Tensor]
WIDTHS, CLASSES = (4, 6, 8), 5


def pair(release: str) -> tuple[nn.Module, nn.Module]:
    """A network of a release, and ours of the same architecture with other weights. Both take 3 channels."""
    stem = 3 if release in ("TRADES", "wide") else WIDTHS[0]
    if release in PRE_ACTIVATED:
        ours: nn.Module = PreActResNet(classes=CLASSES, channels=3, stem=stem, widths=WIDTHS, strides=STRIDES, blocks=2)
    else:
        ours = ResNet(classes=CLASSES, channels=3, widths=WIDTHS, strides=STRIDES)
    return trained(Theirs(release, stem, WIDTHS, CLASSES)), ours.eval()


def logits(network: nn.Module) -> Tensor:
    images = torch.rand((3, 3, 9, 9), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        return network(images)


def beginning(prefix: str) -> Callable[[Weights], Weights]:
    return lambda weights: {prefix + name: value for name, value in weights.items()}


WRAPPED: dict[str, Callable[[Weights], Weights]] = {
    "as it is": lambda weights: weights,
    "module.": beginning("module."),
    "model.": beginning("model."),
    "net.": beginning("net."),
    "_orig_mod.": beginning("_orig_mod."),
    "_orig_mod.module.": beginning("_orig_mod.module."),
    "module._orig_mod.": beginning("module._orig_mod."),
    "module.model.net.": beginning("module.model.net."),
    "a Sequential of one": beginning("module.0."),
    "behind a normalisation without weights": beginning("module.1."),
    "averaged": lambda weights: beginning("module.")(weights) | {"n_averaged": torch.tensor(9)},
    "averaged in parallel": lambda weights: beginning("module.module.")(weights) | {"n_averaged": torch.tensor(9)},
    "before there were counters": lambda weights: {n: w for n, w in weights.items() if "num_batches" not in n},
}


@pytest.mark.parametrize("wrapped", WRAPPED)
@pytest.mark.parametrize("release", RELEASES)
def test_it_answers_as_the_network_that_was_saved(release: str, wrapped: str) -> None:
    theirs, ours = pair(release)
    found = fit(ours.state_dict(), WRAPPED[wrapped](theirs.state_dict()), channels=3)
    assert not found.misfit and found.normal is None and not found.within
    assert not torch.allclose(logits(ours), logits(theirs)), "they differ before"
    ours.load_state_dict(ours.state_dict() | found.weights)
    torch.testing.assert_close(logits(ours), logits(theirs), rtol=1e-5, atol=1e-6)


NORMAL = (0.5, 0.4, 0.3), (0.25, 0.2, 0.125)
BESIDE = {
    "mean and std": ("mean", "std", ""),
    "mu and sigma": ("mu", "sigma", ""),
    "normalize": ("normalize.mean", "normalize.std", ""),
    "beside a model": ("mean", "std", "model."),
    "a Sequential of two": ("0.mean", "0.std", "1."),
    "in parallel": ("module.0.mu", "module.0.sigma", "module.1."),
}


@pytest.mark.parametrize("shape", [(3,), (1, 3, 1, 1), (3, 1, 1)])
@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("release", ["pytorch-cifar", "wide"])
def test_a_normalisation_beside_the_weights_is_taken_with_them(
    release: str, beside: str, shape: tuple[int, ...]
) -> None:
    theirs, ours = pair(release)
    mean, std, prefix = BESIDE[beside]
    file = {mean: torch.tensor(NORMAL[0]).view(shape), std: torch.tensor(NORMAL[1]).view(shape)}
    found = fit(ours.state_dict(), file | beginning(prefix)(theirs.state_dict()), channels=3)
    assert not found.misfit
    assert found.normal == (pytest.approx(NORMAL[0]), pytest.approx(NORMAL[1]))
    ours.load_state_dict(ours.state_dict() | found.weights)
    torch.testing.assert_close(logits(ours), logits(theirs), rtol=1e-5, atol=1e-6)


def test_one_number_stands_for_every_channel() -> None:
    theirs, ours = pair("pytorch-cifar")
    file = {"mean": torch.tensor([0.5]), "std": torch.tensor(0.25)} | theirs.state_dict()
    assert fit(ours.state_dict(), file, channels=3).normal == ((0.5,) * 3, (0.25,) * 3)


def test_a_network_that_keeps_a_normalisation_itself_keeps_it() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.full((1, 3, 1, 1), 0.5))
            self.register_buffer("std", torch.full((1, 3, 1, 1), 0.25))
            self.linear = nn.Linear(3, CLASSES)

    found = fit(Own().state_dict(), beginning("module.")(Own().state_dict()), channels=3)
    assert not found.misfit and found.within and found.normal is None
    assert {"mean", "std"} <= found.weights.keys()


@given(st.data())
def test_nothing_loads_half(data: st.DataObject) -> None:
    theirs, ours = pair(data.draw(st.sampled_from(RELEASES)))
    own, weights = ours.state_dict(), dict(theirs.state_dict())
    names = [name for name in weights if "num_batches" not in name and not name.startswith("sub_block1")]
    name = data.draw(st.sampled_from(names))
    match data.draw(st.sampled_from(["gone", "more", "shape"])):
        case "gone":
            del weights[name]
        case "more":
            weights[f"{name}_too"] = weights[name]
        case "shape":
            weights[name] = torch.cat([weights[name], weights[name]])
    assert fit(own, WRAPPED[data.draw(st.sampled_from(list(WRAPPED)))](weights), channels=3).misfit


def test_what_differs_is_said_by_name_and_shape() -> None:
    theirs, ours = pair("pytorch-cifar")
    weights = dict(theirs.state_dict()) | {"linear.bias": torch.zeros(9), "third.weight": torch.zeros(2)}
    del weights["layer1.0.bn1.bias"]
    said = str(fit(ours.state_dict(), weights, channels=3).misfit)
    assert "it lacks stages.0.0.bn1.bias" in said and "it has third.weight" in said
    assert f"head.bias ([9] in the file, [{CLASSES}] in the network)" in said


@pytest.mark.parametrize("classes", [2, CLASSES, 100])
def test_a_body_fits_without_its_head(classes: int) -> None:
    theirs, ours = pair("wide")
    weights = dict(theirs.state_dict()) | {"fc.weight": torch.ones(classes, 8), "fc.bias": torch.ones(classes)}
    found = fit(ours.state_dict(), weights, channels=3, without="head")
    assert not found.misfit and not any(name.startswith("head") for name in found.weights)
    assert {f"head.{kind}" for kind in ("weight", "bias")} == ours.state_dict().keys() - found.weights.keys()
