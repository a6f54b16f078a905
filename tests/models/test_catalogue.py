"""build: normalisation inside, reproducible starts, users' own networks, and one clear line for each mistake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cktat.errors import CktatError
from cktat.models import Normalised, build, check

GREY: dict[str, Any] = {"classes": 10, "channels": 1, "mean": [0.3], "std": [0.2]}


def test_normalisation_is_the_formula() -> None:
    body = nn.Flatten()
    x = torch.rand(4, 3, 2, 2)
    out = Normalised(body, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))(x).view_as(x)
    for c, (mean, std) in enumerate([(0.1, 0.5), (0.2, 0.6), (0.3, 0.7)]):
        torch.testing.assert_close(out[:, c], (x[:, c] - mean) / std)


def test_checkpoint_carries_the_normalisation() -> None:
    model = build("small", **GREY, seed=0)
    assert model.mean.shape == model.std.shape == (1, 1, 1, 1)
    model(torch.rand(4, 1, 8, 8))  # moves the running statistics
    other = build("small", classes=10, channels=1, mean=[0.5], std=[0.5], seed=1)
    other.load_state_dict(model.state_dict())
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(model.eval()(x), other.eval()(x))


def test_seed_decides_the_start_and_leaves_the_global_generator() -> None:
    def weights(seed: int | None) -> torch.Tensor:
        return torch.cat([p.detach().flatten() for p in build("small", **GREY, seed=seed).parameters()])

    before = torch.get_rng_state()
    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(0)
    assert torch.equal(weights(None), weights(0))  # without a seed the global generator draws
    assert not torch.equal(torch.get_rng_state(), before)


def test_head_makes_the_logits() -> None:
    model = build("small", **GREY, seed=0).eval()
    x = torch.rand(2, 1, 8, 8)
    logits = model(x)
    assert model.head.out_features == 10
    with torch.no_grad():
        model.head.weight.mul_(2)
        model.head.bias.mul_(2)
    torch.testing.assert_close(model(x), 2 * logits)


def test_head_is_the_last_linear_layer() -> None:
    body = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.Linear(5, 3))
    assert Normalised(body, [0.5], [0.5]).head is body[2]
    with pytest.raises(CktatError, match=r"Flatten has no nn\.Linear"):
        _ = Normalised(nn.Flatten(), [0.5], [0.5]).head


@pytest.fixture
def user_file(tmp_path: Path) -> Callable[[str], str]:
    def write(body: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text("from torch import nn\ndef net(classes, channels):\n" + body)
        return f"{path}:net"

    return write


def test_users_own_network(user_file: Callable[[str], str]) -> None:
    spec = user_file("    return nn.Sequential(nn.Flatten(), nn.Linear(channels * 64, classes))\n")
    model = build(spec, **GREY, seed=3)
    check(model, (1, 8, 8), classes=10)
    assert torch.equal(model.head.weight, build(spec, **GREY, seed=3).head.weight)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("    return [1]\n", "must return an nn.Module, not a list"),
        ("    return nn.Sequential(nn.Flatten(), nn.LazyLinear(10))\n", r"1\.weight is lazy: .*give it its size"),
        ("    return nn.Sequential(nn.LazyBatchNorm2d(affine=False), nn.Flatten())\n", r"0\.running_mean is lazy"),
        ("    return 1 / 0\n", r"function failed: ZeroDivisionError: .*\(mine\.py, line 3, in net\)"),
        ("    raise ValueError('one\\ntwo')\n", r"failed: ValueError: one \(mine\.py, line 3, in net\)$"),
    ],
)
def test_users_bad_network(user_file: Callable[[str], str], body: str, message: str) -> None:
    with pytest.raises(CktatError, match=message):
        build(user_file(body), **GREY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "resnet-18"}, "unknown model 'resnet-18'; did you mean 'resnet18'"),
        ({"name": "nowhere.py:net"}, r"there is no file .*nowhere\.py"),
        ({"classes": 1}, "at least 2 classes, not 1"),
        ({"channels": 0}, "at least 1 channel, not 0"),
        ({"channels": 3}, "3 channels, but mean has 1 and std 1"),
        ({"std": [0.0]}, "std positive"),
        ({"std": [float("nan")]}, "must be finite"),
        ({"mean": [float("inf")]}, "must be finite"),
    ],
)
def test_bad_input_is_one_clear_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(CktatError, match=message) as caught:
        build(**({"name": "small"} | GREY | change))
    assert "\n" not in str(caught.value)


def test_images_of_the_wrong_kind_do_not_broadcast() -> None:
    model = build("small", classes=10, mean=[0.5] * 3, std=[0.2] * 3)
    for shape in ((2, 1, 8, 8), (3, 8, 8)):
        with pytest.raises(CktatError, match=r"takes images \[N, 3, H, W\]"):
            model(torch.rand(shape))
    with pytest.raises(CktatError, match="not 0 and 0"):
        Normalised(nn.Flatten(), [], [])


def test_a_network_made_under_inference_mode_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "nets.py"
    file.write_text(
        "import torch\n\n\n@torch.inference_mode()\ndef net(classes, channels):\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, classes))\n"
    )
    with pytest.raises(CktatError, match=r"nets.py:net' is made under torch.inference_mode\(\)"):
        build(f"{file}:net", **GREY)
