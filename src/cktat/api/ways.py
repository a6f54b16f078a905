"""How a network that a user has may be taken: as which architecture, and with which normalisation of its images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from cktat.api.checkpoints import Checkpoint
from cktat.data import Dataset
from cktat.errors import CktatError
from cktat.evaluation import flags
from cktat.models import MODELS, Fit, Normalised, build, check, fit, require_types
from cktat.models.layouts import UNUSED, Misfit, Normal
from cktat.runs import device_of
from cktat.runs.processes import Say

INPUTS = ("auto", "raw", "data")
TRIED = 256
"""Images by which it is seen how a network wants its images."""


@dataclass(frozen=True)
class Described:
    """What a user says of a network; None is what nothing is said of.

    model: its architecture, a name or `file.py:function`. inputs: "raw" hands it images in [0, 1] as they are, "data"
    normalises them by the data set's mean and std, "auto" takes what the file carries, or else what is right more often. mean,
    std: one number per channel, instead of these. part: which of several networks in the file. new_head: take all but the
    last layer, which is drawn anew. device: where images are tried.
    """

    model: str | None = None
    inputs: str = "auto"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    part: str | None = None
    new_head: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.inputs not in INPUTS:
            raise CktatError(f"inputs must be {', '.join(INPUTS[:-1])} or {INPUTS[-1]}, not {self.inputs!r}")
        if (self.mean is None) != (self.std is None):
            raise CktatError("mean and std go together: give both, or neither")
        if self.mean is not None and self.inputs != "auto":
            raise CktatError(f"a mean and std say how images are normalised; leave inputs {self.inputs} out")

    @property
    def normal(self) -> Normal | None:
        return None if self.mean is None or self.std is None else (self.mean, self.std)


@dataclass(frozen=True, eq=False)
class Way:
    """One way to take a file: as which network, and with which normalisation, called `how`. open: whether it may be chosen."""

    model: str
    module: Normalised
    how: str
    open: bool


def ways_of_file(found: Checkpoint, described: Described, data: Dataset, say: Say) -> list[Way]:
    """All ways to take what is in a file, none of which leaves a weight out. Raises CktatError if there is none."""
    named = f"{found.file}{f', {found.part},' if found.part else ''}"
    fits: dict[str, Fit] = {}
    heads: dict[str, str] = {}
    for model in [*MODELS] if described.model is None else [described.model]:
        with torch.device("meta" if model in MODELS else "cpu"):  # names and shapes need no numbers
            module = module_of(model, data)
        heads[model] = _head(module)
        without = heads[model] if described.new_head else None
        fits[model] = fit(module.body.state_dict(), found.weights, data.channels, without=without)
    whole = [model for model in fits if not fits[model].misfit]
    if not whole:
        nearest = min(fits, key=lambda model: len(fits[model].misfit.names))
        raise _none_fits(named, nearest, fits[nearest].misfit, heads[nearest], described, data)
    unused = [name for name in found.weights if UNUSED in name]
    but = f", but for {len(unused)} of {UNUSED.rstrip('.')}, which that network never calls" if unused else ""
    say(f"{named} holds {len(found.weights)} tensors, which are those of {' or '.join(whole)}{but}")
    ways = []
    for model in whole:
        module, one = module_of(model, data), fits[model]
        filled = module.state_dict() | {f"body.{name}": value for name, value in one.weights.items()}
        require_types(module, filled, str(found.file))
        module.load_state_dict(filled)
        ways += ways_of(model, module, one.normal or found.normal, described, data, within=one.within)
    return ways


def _none_fits(named: str, nearest: str, misfit: Misfit, head: str, described: Described, data: Dataset) -> CktatError:
    """The error for weights of no network that is known, which says how the nearest differs."""
    if head and misfit.shaped and all(name.startswith(f"{head}.") for name in misfit.names):
        outputs = misfit.shaped[0][1][0]
        return CktatError(
            f"{named} is of architecture {nearest!r} with {outputs} outputs, and data {data.name!r} have "
            f"{len(data.classes)} classes; --new-head takes all but its last layer, to train from it"
        )
    if described.model is not None:
        return CktatError(
            f"{named} is not of architecture {nearest!r}: {misfit}; give yours with --model file.py:function"
        )
    return CktatError(
        f"{named} is of no architecture that has a name here; compared with the nearest, {nearest!r}, {misfit}; give its code "
        f"with --model file.py:function"
    )


def ways_of(
    model: str, module: Normalised, carried: Normal | None, described: Described, data: Dataset, *, within: bool = False
) -> list[Way]:
    """The ways to hand images to a network; open are those that what was said, or else what the file carries, leaves open."""
    raw: Normal = ((0.0,) * data.channels, (1.0,) * data.channels)
    all_ = {
        "given": ("--mean and --std", described.normal),
        "carried": ("the mean and std in the file", carried),
        "raw": ("raw inputs", raw),
        "data": ("the data's mean and std", None if data.only_tests else (data.mean, data.std)),
    }
    if described.normal is not None:
        for name, numbers in zip(("mean", "std"), described.normal, strict=True):
            if len(numbers) != data.channels:
                raise CktatError(f"{name} has {len(numbers)} numbers, and data {data.name!r} {data.channels} channels")
        open_ = {"given"}
    elif described.inputs == "data" and data.only_tests:
        raise CktatError(
            f"data {data.name!r} hold test images alone, so that there is no mean and std of training images"
        )
    elif described.inputs != "auto":
        open_ = {described.inputs}
    elif carried is not None:
        open_ = {"carried"}
    else:
        open_ = {"raw"} if within else {"raw", "data"}
    return [
        Way(model, Normalised(module.body, *normal), how, key in open_)
        for key, (how, normal) in all_.items()
        if normal is not None
    ]


def chosen(ways: list[Way], described: Described, data: Dataset, named: str, say: Say) -> Way:
    """The way that is right most often on some held-out images (test images, where there are no others), of those that are
    open. Says what was seen."""
    for module in {way.model: way.module for way in ways}.values():
        check(module, (data.channels, *data.size), len(data.classes))
    open_ = [way for way in ways if way.open]
    if described.new_head:  # nothing can be tried
        if len(open_) > 1:
            words = " or ".join(f"{way.model} with {way.how}" for way in open_)
            raise CktatError(
                f"{named} without its last layer cannot be tried: say with --model and --inputs which, {words}"
            )
        return open_[0]
    part, kind = (data.test, "test") if data.only_tests else (data.held_out, "held-out")
    images = part.first(min(TRIED, len(part)))
    device = device_of(described.device)
    right = {
        way: int(flags(way.module.to(device), images, None, eps=0.0, levels=data.levels, device=device).sum())
        for way in ways
    }
    several = len({way.model for way in ways}) > 1
    names = {way: f"{way.model}, {way.how}" if several else way.how for way in ways}
    best, chosen = max(ways, key=lambda way: right[way]), max(open_, key=lambda way: right[way])
    shares = ", ".join(f"{100 * right[way] / len(images):.1f} % ({names[way]})" for way in ways)
    better = f"; right more often is: {names[best]}" if right[best] > right[chosen] else ""
    say(f"of {len(images)} {kind} images it has right {shares}; taken: {names[chosen]}{better}")
    return chosen


def module_of(model: str, data: Dataset) -> Normalised:
    """A network for the data, drawn the same every time, that takes its images as they are."""
    raw = [0.0] * data.channels, [1.0] * data.channels
    return build(model, classes=len(data.classes), channels=data.channels, mean=raw[0], std=raw[1], seed=0)


def _head(module: Normalised) -> str:
    """The name of the layer that makes the logits, the last linear one; "" if there is none."""
    layers = [name for name, part in module.body.named_modules() if isinstance(part, nn.Linear)]
    return layers[-1] if layers else ""
