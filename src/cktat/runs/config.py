"""The one schema of a training run: what pydantic checks, what run.json holds, what a run's identity is made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cktat.usercode import absolute, is_file_function, source_of

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10**12)]
Share = Annotated[float, Field(ge=0, le=1)]


class Recipe(BaseModel):
    """How long and with what optimiser. Rates are per step, epochs may be fractions where a schedule speaks of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    epochs: Count
    batch_size: Count
    lr: Positive
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = True
    weight_decay: NotNegative = 5e-4
    schedule: Literal["one-cycle", "piecewise", "linear", "cosine", "constant"] = "one-cycle"
    points: tuple[tuple[Share, Positive], ...] = ()
    """(share of the epochs, factor of lr), in order: piecewise drops to the factor there, linear goes straight to it."""
    rise: Share = 0.25
    """One cycle: the share of the training in which lr rises."""
    warmup_epochs: NotNegative = 0.0
    warmup_factor: Positive = 0.2
    """Factor of lr in the first `warmup_epochs`, for the other schedules."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of a moving average of weights and buffers that is deployed in the network's place; None keeps none."""
    awp: NotNegative = 0.0
    """Adversarial weight perturbation, as a share of each layer's norm; 0 is none, 0.005 to 0.01 its authors' values."""
    augment: Literal["data", "crop-flip", "none"] = "data"
    """What is done to training images; "data" is the data set's own choice."""

    @field_validator("points", mode="before")
    @classmethod
    def _as_tuples(cls, points: Any) -> Any:  # JSON and YAML have lists only
        if not isinstance(points, list):
            return points
        return tuple(tuple(point) if isinstance(point, list) else point for point in points)

    @field_validator("points")
    @classmethod
    def _in_order(cls, points: tuple[tuple[float, float], ...]) -> tuple[tuple[float, float], ...]:
        if any(later[0] < earlier[0] for earlier, later in pairwise(points)):
            raise ValueError("the shares must be in order")
        return points


class Threat(BaseModel):
    """The adversary of training, in a ball of `norm`: `eps` and `step` are lengths in it, in units of the pixel range."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    eps: NotNegative
    step: NotNegative
    steps: Count = 10
    norm: Literal["Linf", "L2"] = "Linf"


class RunConfig(BaseModel):
    """Everything that decides what a run computes, and where it lies."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    design: str
    set: dict[str, Any] = {}
    """Hyper-parameters of the design."""
    data: str
    root: str | None = None
    size: str | None = None
    """What image files are scaled and cut to, such as 64 or 48x64 (height x width); None keeps them as they are."""
    strict: bool = False
    """Whether images are refused that would have to be converted or turned."""
    examples: Count | None = None
    """The first so many training images; None is all of them."""
    held_out: Count | None = None
    """Held-out images scored after every epoch; None is a tenth of the training images, 200 at least."""
    model: str
    recipe: Recipe
    threat: Threat
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """Of the CPU; with many thousands PyTorch ends the process without a word."""
    device: str = "cpu"
    compile: bool = False
    """Whether torch.compile works on the networks; off until it was measured on a GPU."""


NOT_IDENTITY = {"design", "set", "data", "root", "size", "strict", "threads", "device", "compile"}
"""Fields that are no part of a run's identity: design and data enter it by what they are, not by their names."""


def identity(config: RunConfig, design: Any, fingerprint: str, *, adversarial: bool) -> str:
    """The name of what a run computes: 16 hex digits over the design as declared (JSON values), the data's content and
    the rest of the configuration.

    A design without adversarial views has no adversary in its identity: one clean teacher serves every radius. A user's
    `file.py:function` stands in it by its text, wherever the file lies.
    """
    fields = config.model_dump(mode="json", exclude=NOT_IDENTITY | (set() if adversarial else {"threat"}))
    declared = json.loads(json.dumps(design), parse_int=float)  # a beta of 6 is one of 6.0
    fields |= {"design": by_content(declared), "data": fingerprint, "model": by_content(config.model)}
    if is_file_function(config.design):
        fields["code"] = by_content(config.design)
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]


def code_of(config: RunConfig, design: Any) -> dict[str, str]:
    """sha256 of the text behind every `file.py:function` that a run names, by its absolute name; see `Source.sha256`."""
    named = {*_texts([config.design, config.model, config.data, config.set]), *_texts(design)}
    return {absolute(text): source_of(text).sha256 for text in sorted(named) if is_file_function(text)}


def by_content(node: Any, code: Mapping[str, str] | None = None) -> Any:
    """JSON values with every `file.py:function` replaced by the function and the sum of its text: an edited network is
    another. code: the sums to take (see `code_of`); None is those of the files as they are now."""
    if isinstance(node, dict):
        return {key: by_content(value, code) for key, value in node.items()}
    if isinstance(node, list):
        return [by_content(part, code) for part in node]
    if isinstance(node, str) and is_file_function(node):
        total = source_of(node).sha256 if code is None else code.get(absolute(node))
        return f"{node.rpartition(':')[2]} in {total}"
    return node


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict | list | tuple):
        for part in node.values() if isinstance(node, dict) else node:
            yield from _texts(part)
    elif isinstance(node, str):
        yield node
