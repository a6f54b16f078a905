"""The one schema of a training run: what pydantic checks, what run.json holds, what the options of a run are made from.

The text under a field is its help on the command line.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10**12)]
Share = Annotated[float, Field(ge=0, le=1)]
Own = Annotated[str, Field(pattern=r"\.py:|^object:")]
"""A function of a user's: `file.py:function`, or one that a program handed over."""


class Recipe(BaseModel):
    """How long and with what optimiser. Rates are per step, epochs may be fractions where a schedule speaks of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    epochs: Count
    """Passes over the training images."""
    batch_size: Count
    """Images per step."""
    lr: Positive
    """Highest learning rate."""
    optimiser: str = "sgd"
    """A class of torch.optim by its name in lower case, such as sgd, adamw or rmsprop, or file.py:function."""
    optimiser_args: dict[str, Any] = {}
    """An argument of the optimiser, such as eps=1e-6; may be repeated."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of sgd; another optimiser takes its own as an argument."""
    nesterov: bool = True
    """Nesterov's momentum in sgd."""
    weight_decay: NotNegative = 5e-4
    """Weight decay, for the optimisers that have one."""
    schedule: Literal["one-cycle", "piecewise", "linear", "cosine", "constant"] | Own = "one-cycle"
    """How lr changes during training; a function of yours maps the share that is done, 0 to 1, to the factor of lr."""
    points: tuple[tuple[Share, Positive], ...] = ()
    """Share of the epochs and factor of lr, in order: piecewise drops to the factor there, linear goes straight to it."""
    rise: Share = 0.25
    """One cycle: the share of the training in which lr rises."""
    warmup_epochs: NotNegative = 0.0
    """Epochs at lr times the warmup factor before the other schedules begin."""
    warmup_factor: Positive = 0.2
    """Factor of lr in the warmup epochs."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Deploy a moving average of the weights with this decay, such as 0.995."""
    awp: NotNegative = 0.0
    """Adversarial weight perturbation, as a share of each layer's norm: 0 is none, 0.005 to 0.01 its authors' values."""
    inputs: Literal["data", "raw"] = "data"
    """What new networks get: images normalised by the data's mean and std, or raw ones in [0, 1]. A network whose weights
    come from elsewhere keeps what it was trained with."""
    augment: Literal["data", "crop-flip", "none"] | Own = "data"
    """What is done to training images; data is the data set's own choice. A function of yours maps a batch (uint8
    [B, C, H, W]) to one of the same shape and type, and draws from PyTorch's generator."""

    @field_validator("points", mode="before")
    @classmethod
    def _as_tuples(cls, points: Any) -> Any:
        """JSON and YAML have lists only; the command line has text, such as 0.5:0.1,0.75:0.01."""
        if isinstance(points, str):
            try:
                points = [[float(number) for number in point.split(":", 1)] for point in points.split(",")]
            except ValueError:
                points = [[]]
            if any(len(point) != 2 for point in points):
                raise ValueError("points are a share and a factor each, such as 0.5:0.1,0.75:0.01")
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

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    eps: NotNegative
    """Radius, a share of the pixel range such as 8/255."""
    step: NotNegative
    """Length of a step of the attack; follows eps where it is not given."""
    steps: Count = 10
    """Steps of PGD, in training and on held-out images."""
    norm: Literal["Linf", "L2"] = "Linf"
    """The norm of the ball."""
    inner: Literal["pgd", "rs-fgsm", "n-fgsm"] = "pgd"
    """The inner maximisation of training: PGD, or one step from a random start in the ball (rs-fgsm) or from stronger noise,
    without a projection (n-fgsm). On held-out images it is PGD whatever is said here."""
    alpha: Positive | None = None
    """Length of that one step; 1.25 eps (rs-fgsm) or eps (n-fgsm) if not given."""
    noise: Positive = 2.0
    """Radius of the noise of n-fgsm, in eps."""
    steps_from: Count | None = None
    """Steps of PGD in the first epoch, from which they grow to all steps in the last; all in every epoch if not given."""
    stop_margin: NotNegative | None = None
    """Stop the attack of an image once a wrong logit is above the true one by this margin; 0 as soon as it is wrong."""
    overfitting: Literal["stop", "warn"] = "stop"
    """When a single-step training overfits catastrophically: end it, or warn and go on. Good weights are kept either way."""

    @model_validator(mode="after")
    def _goes_together(self) -> Threat:
        single = self.inner != "pgd"
        if self.alpha is not None and not single:
            raise ValueError("alpha is the length of the one step of rs-fgsm and n-fgsm; the steps of pgd have step")
        if self.noise != 2.0 and self.inner != "n-fgsm":
            raise ValueError(f"noise is that of n-fgsm, and inner is {self.inner}")
        for name in ("steps_from", "stop_margin"):
            if single and getattr(self, name) is not None:
                raise ValueError(f"{name} is for the many steps of pgd, and {self.inner} makes one")
        if self.steps_from is not None and self.steps_from > self.steps:
            raise ValueError(f"steps_from must be at most steps, {self.steps}, not {self.steps_from}")
        return self


class RunConfig(BaseModel):
    """Everything that decides what a run computes, and where it lies."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    design: str
    """The label design: a name (see `cktat designs`) or your own file.py:function."""
    set: dict[str, Any] = {}
    """A hyper-parameter of the design, such as tau=3; may be repeated."""
    data: str
    """digits, cifar10, cifar100, FILE.npz, FILE.csv, a folder of images, file.py:function."""
    root: str | None = None
    """Where data sets lie (default: CKTAT_DATA)."""
    size: str | None = None
    """Scale and cut image files: 64, or HEIGHTxWIDTH."""
    strict: bool = False
    """Refuse images that would have to be converted or turned."""
    examples: Count | None = None
    """Train on the first so many images; all if not given."""
    held_out: Count | None = None
    """Held-out images scored after every epoch; a tenth of the training images, 200 at least, if not given."""
    model: str
    """small, resnet18, preactresnet18, wrn34-10, file.py:function."""
    recipe: Recipe
    teacher_recipe: Literal["same", "authors"] = "same"
    """How the networks that the run needs are trained, its teachers and starts: by its own recipe, or each by its
    authors' (what --recipe authors means where this is not given). They get the images that the run gets."""
    teacher_epochs: Count | None = None
    """Passes of those networks over the training images; as their recipe says if not given."""
    threat: Threat
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Everything random follows from it."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of training; auto goes by what the device supports."""
    # with many thousands PyTorch ends the process without a word
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """CPU threads."""
    device: str = "cpu"
    """auto, cpu, cuda or cuda:0."""
    # off until it was measured on a GPU
    compile: bool = False
    """Let torch.compile work on the networks."""

    @model_validator(mode="after")
    def _compiles_one_size(self) -> RunConfig:
        if self.compile and self.threat.stop_margin is not None:
            raise ValueError(
                "stop_margin makes batches of many sizes, which torch.compile would compile one by one; leave one out"
            )
        return self


BESIDE: dict[str, dict[str, Any]] = {
    "recipe": {"about": "common (one for all designs) or authors (each its own): what is not given comes from it."},
    "points": {"kinds": (str, tuple, list), "takes": "SHARE:FACTOR,..."},
    "root": {"kinds": (str, Path), "takes": "DIR"},
    "size": {"kinds": (str, int), "takes": "SIZE"},
    "precision": {"choices": ("auto", "fp32", "bf16")},
}
"""Where an option is not given as its field is kept: a recipe by its name, points as text, "auto" for the machine's own choice.
Keys are attributes of an `Option`. (A number may be written as a fraction everywhere.)"""
