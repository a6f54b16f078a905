"""Residual networks under the names of other releases, written anew for tests: what they save is what has to be read.

`pytorch-cifar`: kuangliu/pytorch-cifar, and with it TRADES, MART, RSLAD, HAT, LBGAT and RobustBench. `torchvision`:
torchvision and timm. `robust_overfitting`: locuslab/robust_overfitting, HAT and RobustBench. `TRADES`: the wide network of
yaodongyu/TRADES, MART, RSLAD and LBGAT, with its unused stage; `wide`: the same without, of HAT and RobustBench.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDES = (1, 2, 2)
RELEASES = ("pytorch-cifar", "torchvision", "robust_overfitting", "TRADES", "wide")
PRE_ACTIVATED = ("robust_overfitting", "TRADES", "wide")


class Block(nn.Module):
    """Two convolutions and a shortcut, its parts called as `release` calls them."""

    def __init__(self, release: str, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.before, same = release in PRE_ACTIVATED, stride == 1 and inputs == width
        self.bn1 = nn.BatchNorm2d(inputs if self.before else width)
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.called = {"torchvision": "downsample", "TRADES": "convShortcut", "wide": "convShortcut"}.get(
            release, "shortcut"
        )
        if not same:
            straight = nn.Conv2d(inputs, width, 1, stride, bias=False)
            alone = release in ("TRADES", "wide")
            parts = (straight,) if self.before else (straight, nn.BatchNorm2d(width))
            setattr(self, self.called, straight if alone else nn.Sequential(*parts))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = getattr(self, self.called, nn.Identity())
        if self.before:
            a = F.relu(self.bn1(x))
            past = shortcut(a) if not isinstance(shortcut, nn.Identity) else x
            return past + self.conv2(F.relu(self.bn2(self.conv1(a))))
        return F.relu(shortcut(x) + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class Layer(nn.Module):
    """A stage of a wide network, which keeps its blocks under `layer`."""

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layer = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Theirs(nn.Module):
    """A network of a release with stages of these widths, two blocks each."""

    def __init__(self, release: str, stem: int, widths: Sequence[int], classes: int, channels: int = 3) -> None:
        super().__init__()
        self.release, self.stages = release, []
        self.conv1 = nn.Conv2d(channels, stem, 3, 1, 1, bias=False)
        wide = release in ("TRADES", "wide")
        for i, (inputs, width, stride) in enumerate(zip((stem, *widths), widths, STRIDES, strict=False), start=1):
            blocks = [Block(release, inputs, width, stride), Block(release, width, width, 1)]
            self.stages.append(f"block{i}" if wide else f"layer{i}")
            setattr(self, self.stages[-1], Layer(blocks) if wide else nn.Sequential(*blocks))
            if release == "TRADES" and i == 1:
                self.sub_block1 = Layer([Block(release, inputs, width, 1), Block(release, width, width, 1)])
        self.last = "bn" if release == "robust_overfitting" else "bn1"
        setattr(self, self.last, nn.BatchNorm2d(widths[-1] if release in PRE_ACTIVATED else stem))
        self.head = "fc" if wide or release == "torchvision" else "linear"
        setattr(self, self.head, nn.Linear(widths[-1], classes))

    def forward(self, x: Tensor) -> Tensor:
        norm = getattr(self, self.last)
        x = self.conv1(x)
        x = x if self.release in PRE_ACTIVATED else F.relu(norm(x))
        for stage in self.stages:
            x = getattr(self, stage)(x)
        x = F.relu(norm(x)) if self.release in PRE_ACTIVATED else x
        return getattr(self, self.head)(F.adaptive_avg_pool2d(x, 1).flatten(1))


def trained(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network in eval mode with statistics as training leaves them: none is what a new network has."""
    draws = torch.Generator().manual_seed(seed)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor, low, high in ((part.running_mean, -1, 1), (part.running_var, 0.5, 2)):
                tensor.uniform_(low, high, generator=draws)  # type: ignore[union-attr]
            part.weight.data.uniform_(0.5, 1.5, generator=draws)
            part.bias.data.uniform_(-1, 1, generator=draws)
            part.num_batches_tracked.fill_(7)  # type: ignore[union-attr]
    return network.eval()
