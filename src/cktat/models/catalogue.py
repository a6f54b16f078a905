"""The networks by name. Adding one = one function (classes, channels) -> nn.Module and one line in `MODELS`."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from cktat.errors import CktatError, unknown
from cktat.models.normalised import Normalised
from cktat.models.preact import preactresnet18, wrn28_10, wrn34_10
from cktat.models.resnet import resnet18, resnet18_wide_map, small
from cktat.registry import Registry
from cktat.usercode import handed_over, is_file_function, is_object, load_file_function, name_of

MODELS: Registry[Callable[..., nn.Module]] = Registry(
    "cktat.models",
    {
        "small": small,
        "resnet18": resnet18,
        "preactresnet18": preactresnet18,
        "wrn34-10": wrn34_10,
        "wrn28-10": wrn28_10,
        "resnet18-wide-map": resnet18_wide_map,
    },
    "a function (classes, channels) that returns an nn.Module",
)
"""The networks by name; others come with `MODELS.register`, or by an entry point in the group "cktat.models"."""


Body = nn.Module | Callable[..., nn.Module]
"""A network that takes normalised images, or a function that makes one."""


def build(
    name: str | Body,
    *,
    classes: int,
    channels: int = 3,
    mean: Sequence[float],
    std: Sequence[float],
    seed: int | None = None,
) -> Normalised:
    """The network `name` of `MODELS`, or the one a user's `file.py:function` returns, with its normalisation inside.

    Instead of a name, a module (of which a copy is taken) or a function. A function is called with those of classes= and
    channels= (or num_classes=, in_channels=) that it takes, and returns an nn.Module from normalised images [N, C, H, W] to
    logits [N, classes]; `check` says whether it does once the image size is known. With `seed` the initial weights are drawn
    on the CPU under that seed, and the global generator stays where it was. Raises CktatError for an unknown name, a function
    that fails, fewer than 2 classes, no channel, or a `mean` or `std` that does not fit the channels.

    Example:
        >>> import torch
        >>> network = build("small", classes=10, channels=1, mean=[0.5], std=[0.25], seed=0)
        >>> network(torch.rand(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    if classes < 2:
        raise CktatError(f"model {name!r} needs at least 2 classes, not {classes}")
    if channels < 1:
        raise CktatError(f"model {name!r} needs at least 1 channel, not {channels}")
    if len(mean) != channels or len(std) != channels:
        raise CktatError(f"model {name!r} has {channels} channels, but mean has {len(mean)} and std {len(std)} numbers")
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would reseed the GPUs, too
        return Normalised(_body(name, classes, channels), mean, std)


def _body(name: str | Body, classes: int, channels: int) -> nn.Module:
    thing = handed_over(name, "model") if isinstance(name, str) and is_object(name) else name
    if isinstance(thing, nn.Module):
        return copy.deepcopy(thing)
    if callable(thing):
        return _checked(thing(**fitting(thing, classes=classes, channels=channels)), name_of(thing))
    assert isinstance(name, str)
    if not is_file_function(name):
        if name not in MODELS:
            raise unknown("model", name, MODELS, hint="or your own, as file.py:function")
        return MODELS[name](classes=classes, channels=channels)
    function = load_file_function(name, "model")
    return _checked(function(**fitting(function, classes=classes, channels=channels)), name)


def _checked(body: object, name: str) -> nn.Module:
    if not isinstance(body, nn.Module):
        raise CktatError(f"model {name!r} must return an nn.Module, not a {type(body).__name__}")
    for part, weight in (*body.named_parameters(), *body.named_buffers()):
        if is_lazy(weight):  # asked first, because such a weight answers nothing else
            raise CktatError(
                f"model {name!r}: {part} is lazy: it gets its shape from the first images; give it its size"
            )
        if weight.is_inference():
            raise CktatError(
                f"model {name!r} is made under torch.inference_mode(), so that it can be neither trained nor attacked"
            )
    return body


ALSO = {"num_classes": "classes", "in_channels": "channels"}
"""What other people call these."""


def fitting(function: Callable[..., object], **known: object) -> dict[str, object]:
    """Those of the arguments that a function takes by name, or by another name of ALSO."""
    try:
        takes = inspect.signature(function).parameters
    except (TypeError, ValueError):  # some built-in ones do not tell
        return known
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values()):
        return known
    return {name: known[ALSO.get(name, name)] for name in takes if ALSO.get(name, name) in known}
