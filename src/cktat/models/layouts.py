"""Weights as other programs write them, under the names that a network has here.

Whoever saves a network saves names. They differ by release (`layer1.0.conv1`, `block1.layer.0.conv1`), by what the network was
wrapped into (`module.`, `model.`, `_orig_mod.`), and some files keep the normalisation of images beside the weights. Nothing
is guessed: weights fit a network if, by one of these readings, every name and every shape is there and nothing is left over.

Names are those of yaodongyu/TRADES (`models/wideresnet.py`; LBGAT, HAT, RSLAD, MART and RobustBench have the same), of
kuangliu/pytorch-cifar (`ResNet18`, `PreActResNet18`: HAT, MART, RSLAD, LBGAT, RobustBench, locuslab/robust_overfitting), and
of torchvision and timm (`downsample`, `fc`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

Weights = dict[str, Tensor]
Normal = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of images, one number per channel each."""


def _stage(found: re.Match[str]) -> str:
    return f"stages.{int(found[1]) - 1}.{found[2]}."


RENAMED: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"^conv1\.", "stem."),
    (r"^bn1\.", "bn."),
    (r"^(?:linear|fc)\.", "head."),
    (r"^layer(\d+)\.(\d+)\.", _stage),
    (r"^block(\d+)\.layer\.(\d+)\.", _stage),
    (r"\.(?:downsample|convShortcut)\.", ".shortcut."),
)
"""(names of others, ours)."""

UNUSED = "sub_block1."
"""TRADES' wide network registers its first stage a second time under this name, and never calls it."""

COUNTER = "n_averaged"
"""What torch.optim.swa_utils.AveragedModel keeps beside the weights."""

BATCHES = "num_batches_tracked"
"""A counter of BatchNorm that no answer depends on; files from before PyTorch 0.4.1 have none."""


@dataclass(frozen=True)
class Misfit:
    """What keeps weights from being those of a network; false where nothing does. shaped: (name, shape in the file, ours)."""

    lacks: tuple[str, ...]
    foreign: tuple[str, ...]
    shaped: tuple[tuple[str, list[int], list[int]], ...]

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.lacks, *self.foreign, *(name for name, _, _ in self.shaped))

    def __bool__(self) -> bool:
        return bool(self.names)

    def __str__(self) -> str:
        shapes = [f"{name} ({theirs} in the file, {ours} in the network)" for name, theirs, ours in self.shaped]
        return ", ".join(
            f"{what} {names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}"
            for what, names in (
                ("it lacks", self.lacks), ("it has", self.foreign), ("it has another shape of", shapes)
            )
            if names
        )  # fmt: skip


@dataclass(frozen=True)
class Fit:
    """Weights under a network's own names. normal: the normalisation that stood beside them, None where none did.

    within: whether the network keeps a normalisation itself, so that its images are to be left as they are.
    """

    weights: Weights
    normal: Normal | None
    misfit: Misfit
    within: bool


def fit(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], channels: int, *, without: str | None = None) -> Fit:
    """The reading of `weights` that is nearest to a network whose state is `own`.

    Args:
        own: The network's state dict; tensors on the meta device will do.
        weights: Those of a file, by the names that they have there.
        channels: Of its images.
        without: A part of the network, such as its head, that the weights need not have.

    Example:
        >>> from torch import nn
        >>> theirs = {f"module.{name}": value for name, value in nn.Linear(2, 3).state_dict().items()}
        >>> found = fit(nn.Linear(2, 3).state_dict(), theirs, channels=3)
        >>> sorted(found.weights), bool(found.misfit)
        (['bias', 'weight'], False)
    """
    rest, normal = normalisation(weights, channels)
    own = _but_for(own, without)
    found = [
        Fit(reading, carried, _misfit(own, reading), within=normal is not None and carried is None)
        for some, carried in ((weights, None), (rest, normal))
        for reading in (_but_for(names, without) for names in readings(some))
    ]
    return min(found, key=lambda one: len(one.misfit.names))  # of equals the first, which changes least


def _but_for(weights: Mapping[str, Tensor], part: str | None) -> Weights:
    return {name: value for name, value in weights.items() if part is None or not name.startswith(f"{part}.")}


def _misfit(own: Weights, weights: Weights) -> Misfit:
    return Misfit(
        lacks=tuple(name for name in own if name not in weights and not name.endswith(BATCHES)),
        foreign=tuple(name for name in weights if name not in own),
        shaped=tuple(
            (name, list(weights[name].shape), list(value.shape))
            for name, value in own.items()
            if name in weights and weights[name].shape != value.shape
        ),
    )


def normalisation(weights: Mapping[str, Tensor], channels: int) -> tuple[Weights, Normal | None]:
    """The weights without a mean and a deviation of images that stand beside each other, in any shape, and these two; all
    weights and None where there are none."""
    for name in weights:
        place, dot, last = name.rpartition(".")
        if last not in ("mean", "mu"):
            continue
        for other in (f"{place}{dot}std", f"{place}{dot}sigma"):
            if other in weights and {weights[name].numel(), weights[other].numel()} <= {1, channels}:
                rest = {key: value for key, value in weights.items() if key not in (name, other)}
                return rest, (_per_channel(weights[name], channels), _per_channel(weights[other], channels))
    return dict(weights), None


def _per_channel(values: Tensor, channels: int) -> tuple[float, ...]:
    return tuple(values.flatten().expand(channels).tolist())


def readings(weights: Mapping[str, Tensor]) -> Iterator[Weights]:
    """The same weights under all names that they may go by: as they are, without each prefix that all names share, and after
    each of these with the names of other releases replaced by ours."""
    left = dict(weights)
    yield left
    left = {name.replace("_orig_mod.", ""): value for name, value in left.items() if name != COUNTER}
    while True:
        yield left
        yield _ours(left)
        prefixes = {name.partition(".")[0] for name in left if "." in name}
        if len(prefixes) != 1 or not all("." in name for name in left):
            return
        left = {name.partition(".")[2]: value for name, value in left.items()}


def _ours(weights: Weights) -> Weights:
    used = [name for name in weights if not name.startswith(UNUSED)]
    found = {_renamed(name): weights[name] for name in used}
    if not any(".shortcut.1." in name for name in found):  # a convolution alone in a Sequential
        found = {name.replace(".shortcut.0.", ".shortcut."): value for name, value in found.items()}
    return found if len(found) == len(used) else weights  # two names that become one are of no release


def _renamed(name: str) -> str:
    for pattern, ours in RENAMED:
        name = re.sub(pattern, ours, name)
    return name
