"""The one schema of a training run: what pydantic checks, what run.json holds, what a run's identity is made from."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cktat.errors import is_file_function

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


NOT_IDENTITY = {"design", "set", "data", "root", "threads", "device", "compile"}
"""Fields that are no part of a run's identity: design and data enter it by what they are, not by their names."""


def identity(config: RunConfig, design: Any, fingerprint: str, *, adversarial: bool) -> str:
    """The name of what a run computes: 16 hex digits over the design as declared (JSON values), the data's content and
    the rest of the configuration.

    A design without adversarial views has no adversary in its identity: one clean teacher serves every radius.
    """
    fields = config.model_dump(mode="json", exclude=NOT_IDENTITY | (set() if adversarial else {"threat"}))
    declared = json.loads(json.dumps(design), parse_int=float)  # a beta of 6 is one of 6.0
    fields |= {"design": declared, "data": fingerprint, "model": _by_content(config.model)}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]


def _by_content(model: str) -> str:
    """A model's name; for a user's own, its function and the sum of the file, because an edited network is another."""
    if not is_file_function(model):
        return model
    path, _, function = model.rpartition(":")
    return f"{function} in {hashlib.sha256(Path(path).expanduser().read_bytes()).hexdigest()}"
