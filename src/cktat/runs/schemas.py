"""What each file of a run's folder holds: one schema per kind, checked whenever the file is read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from cktat.runs.door import Kept
from cktat.schema import RunConfig

Text = Annotated[str, Field(max_length=10_000)]
ShareKept = Annotated[float, Field(ge=0, le=1)]
NotNegativeKept = Annotated[float, Field(ge=0)]
CountKept = Annotated[int, Field(ge=1, le=2**40)]
Sum = Annotated[str, Field(pattern="^[0-9a-z]{64}$")]


class OfData(Kept):
    name: Text
    fingerprint: Text
    training_images: CountKept | None = None
    notes: list[Text] | None = None


class HeldOut(Kept):
    images: CountKept
    clean: ShareKept
    pgd: ShareKept
    single_step: ShareKept | None = None


class CardKept(Kept):
    """What weights are. epoch: None for an imported network."""

    model: Text
    classes: Annotated[list[Text], Field(min_length=2)]
    channels: CountKept
    size: Annotated[list[CountKept], Field(min_length=2, max_length=2)]
    mean: list[float]
    std: list[Annotated[float, Field(gt=0)]]
    eps: NotNegativeKept
    norm: Literal["Linf", "L2"]
    data: OfData
    design: Text
    seed: Annotated[int, Field(ge=0)]
    run: Text
    epoch: CountKept | None
    held_out: HeldOut | None = None
    code: dict[str, Sum] | None = None
    weights_sha256: Sum


class OfDesign(Kept):
    name: Text
    declared: Any = None


class RunKept(Kept):
    """run.json. imported: the name of the file that a network came from; source: the sum of this file and of what was asked of
    it; notes: what was found."""

    identity: Text
    design: OfDesign
    config: RunConfig
    code: dict[str, Sum] | None = None
    data: OfData | None = None
    commit: Text | None = None
    versions: dict[str, str | None] | None = None
    hardware: dict[str, Any] | None = None
    inputs: dict[str, dict[str, Any]] | None = None
    calibrated: dict[str, float] | None = None
    imported: Text | None = None
    source: Sum | None = None
    notes: list[Text] | None = None
    started: Text | None = None
    finished: dict[str, Any] | None = None


class EpochKept(Kept):
    """A line of log.jsonl."""

    epoch: CountKept
    loss: float
    held_out: HeldOut
    seconds: float
    lr: NotNegativeKept | None = None
    terms: dict[str, float] | None = None
    seconds_held_out: float | None = None
    attack_passes: NotNegativeKept | None = None
    overfitting: Text | None = None


class StateKept(Kept):
    """state.pt, beside its tensors."""

    steps: Annotated[int, Field(ge=0)]
    team: dict[str, Any]
    optimiser: dict[str, Any]
    history: list[EpochKept]
    best: list[float]
    seconds: float
    passes: NotNegativeKept = 0.0
