"""Pre-activation residual networks (He et al. 2016b, arXiv:1603.05027; Zagoruyko & Komodakis 2016, arXiv:1605.07146).

FLOP counts below are of one forward pass of one image, two per multiply-add.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from cktat.models.resnet import stages


class PreActBlock(nn.Module):
    """shortcut + conv(relu(BN(conv(a)))) with a = relu(BN(x)); the shortcut is x, or a 1x1 convolution of a (not of x)
    where shapes differ: both releases do so."""

    pairs = (("conv1", "bn2"),)

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        same = stride == 1 and inputs == width
        self.shortcut = None if same else nn.Conv2d(inputs, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.bn1(x))
        shortcut = x if self.shortcut is None else self.shortcut(a)
        return shortcut + self.conv2(F.relu(self.bn2(self.conv1(a))))


class PreActResNet(nn.Module):
    """Stem, stages, BN and ReLU, global average (so any image size works), linear layer: [N, channels, H, W] ->
    [N, classes]. The last block ends in a sum that no block normalises any more, hence the final BN and ReLU."""

    def __init__(
        self, *, classes: int, channels: int, stem: int, widths: Sequence[int], strides: Sequence[int], blocks: int
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, stem, 3, padding=1, bias=False)
        self.stages = stages(PreActBlock, stem, widths, blocks, strides)
        self.bn = nn.BatchNorm2d(widths[-1])
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn(self.stages(self.stem(x))))  # [N, widths[-1], h, w]
        return self.head(out.mean(dim=(2, 3)))


def preactresnet18(*, classes: int, channels: int = 3) -> PreActResNet:
    """PreActResNet-18 of Rice et al. 2020 (locuslab/robust_overfitting, preactresnet.py), PyTorch's initialisation.

    3x32x32, 10 classes: 11,172,170 parameters, 1,110,845,440 FLOP.
    """
    return PreActResNet(
        classes=classes, channels=channels, stem=64, widths=(64, 128, 256, 512), strides=(1, 2, 2, 2), blocks=2
    )


def wrn34_10(*, classes: int, channels: int = 3) -> PreActResNet:
    """WideResNet-34-10 of yaodongyu/TRADES, models/wideresnet.py, without its `sub_block1`: a second copy of stage 1
    that is registered but never used. Convolutions start from normal(0, sqrt(2 / (k * k * outputs))) and the linear
    layer's bias from 0, as there.

    3x32x32, 10 classes: 46,160,474 parameters, 13,317,812,736 FLOP.
    """
    return _wide(classes, channels, blocks=5)


def wrn28_10(*, classes: int, channels: int = 3) -> PreActResNet:
    """WideResNet-28-10: `wrn34_10` with four blocks a stage, the network of many checkpoints in RobustBench.

    3x32x32, 10 classes: 36,479,194 parameters, 10,486,657,536 FLOP.
    """
    return _wide(classes, channels, blocks=4)


def _wide(classes: int, channels: int, blocks: int) -> PreActResNet:
    net = PreActResNet(
        classes=classes, channels=channels, stem=16, widths=(160, 320, 640), strides=(1, 2, 2), blocks=blocks
    )
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
            nn.init.normal_(module.weight, 0.0, math.sqrt(2 / fan_out))
    nn.init.zeros_(net.head.bias)
    return net
