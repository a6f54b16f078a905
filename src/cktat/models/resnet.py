"""Post-activation residual networks (He et al. 2016a, arXiv:1512.03385) with the 3x3 stem used for small images.

Initialisation is PyTorch's default, as in the releases of TRADES, MART, HAT, Generalist and LBGAT.
FLOP counts below are of one forward pass of one image, two per multiply-add.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """relu(shortcut(x) + BN(conv(relu(BN(conv(x)))))); the shortcut is a 1x1 convolution and BN where shapes differ."""

    pairs = (("conv1", "bn1"), ("conv2", "bn2"), ("shortcut.0", "shortcut.1"))

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != width:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


def stages(
    block: Callable[[int, int, int], nn.Module], stem: int, widths: Sequence[int], blocks: int, strides: Sequence[int]
) -> nn.Sequential:
    """One stage per width, each of `blocks` blocks; a stage's first block takes its stride. `stem` channels come in."""
    made = []
    for inputs, width, stride in zip((stem, *widths[:-1]), widths, strides, strict=True):
        made.append(nn.Sequential(block(inputs, width, stride), *(block(width, width, 1) for _ in range(blocks - 1))))
    return nn.Sequential(*made)


class ResNet(nn.Module):
    """Stem, stages, global average (so any image size works), linear layer: [N, channels, H, W] -> [N, classes]."""

    pairs = (("stem", "bn"),)

    def __init__(
        self, *, classes: int, channels: int, widths: Sequence[int], strides: Sequence[int], blocks: int = 2
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(widths[0])
        self.stages = stages(BasicBlock, widths[0], widths, blocks, strides)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        out = self.stages(F.relu(self.bn(self.stem(x))))  # [N, widths[-1], h, w]
        return self.head(out.mean(dim=(2, 3)))


def small(*, classes: int, channels: int = 3) -> ResNet:
    """Three stages of two blocks, widths 16-32-64, strides 1-2-2: trains on a CPU, for 8x8 as for 32x32 images.

    3x32x32, 10 classes: 175,258 parameters, 53,314,816 FLOP.
    1x8x8, 10 classes: 174,970 parameters, 3,296,512 FLOP.
    """
    return ResNet(classes=classes, channels=channels, widths=(16, 32, 64), strides=(1, 2, 2))


def resnet18(*, classes: int, channels: int = 3) -> ResNet:
    """The CIFAR ResNet-18 of adversarial training (TRADES, MART, HAT and Generalist release the same one).

    3x32x32, 10 classes: 11,173,962 parameters, 1,110,845,440 FLOP.
    """
    return ResNet(classes=classes, channels=channels, widths=(64, 128, 256, 512), strides=(1, 2, 2, 2))


def resnet18_wide_map(*, classes: int, channels: int = 3) -> ResNet:
    """LBGAT's natural network: ResNet-18 with strides 1-1-2-2, so every map after stage 1 is twice as wide and high.

    `ResNet18_cifar` of dvlab-research/LBGAT, models/resnetcifar.py; the parameters of `resnet18` at three times its
    cost.

    3x32x32, 10 classes: 11,173,962 parameters, 3,526,764,544 FLOP.
    """
    return ResNet(classes=classes, channels=channels, widths=(64, 128, 256, 512), strides=(1, 1, 2, 2))
