"""Labels that stand still: y, y smoothed, and what one network says at several temperatures, each held against the truth."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cktat.attacks import answer, attacked
from cktat.data import Split, ordered
from cktat.errors import CktatError
from cktat.evaluation import Subject
from cktat.evaluation.measure import true_fp32
from cktat.labels import (
    Cell,
    Frozen,
    Label,
    Mixture,
    Moment,
    Output,
    Outputs,
    Trust,
    clean,
    mix,
    top,
    uniform,
    value,
    y,
)
from cktat.lens.guidance import Guidance, finite, guidance

TAUS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0)
SMOOTHED = (0.05,)
SHOWN = 24
"""Images that a page shows."""

T = Frozen("T")


@dataclass(frozen=True, eq=False)
class Judged:
    """A label by its name, and how right it is of every image.

    tau, share: of a label that is T's to this share, and y's for the rest; None of others. entropy: in nats per image.
    """

    name: str
    tau: float | None
    share: float | None
    found: Guidance
    entropy: float

    @property
    def half(self) -> float:
        """Half of the 95 % interval of the mean KL, over images; NaN where one is infinite."""
        kl = self.found.kl
        finite_ones = bool(torch.isfinite(kl).all()) and len(kl) > 1
        return 1.96 * float(kl.std()) / math.sqrt(len(kl)) if finite_ones else math.nan

    def row(self) -> tuple[str, ...]:
        """What tables show of it, under COLUMNS."""
        means = self.found.means()
        half = "" if math.isnan(self.half) else f"± {self.half:.3f}"
        numbers = (
            f"{means['brier']:.3f}",
            f"{100 * means['agrees']:.1f}",
            f"{means['calibration']:.3f}",
            f"{self.entropy:.3f}",
        )
        return (self.name, finite(means["kl"]), half, *numbers)

    def record(self) -> dict[str, Any]:
        """The same in JSON values: None for what is infinite."""
        means = {name: value if math.isfinite(value) else None for name, value in self.found.means().items()}
        half = None if math.isnan(self.half) else self.half
        about = {"label": self.name, "tau": self.tau, "share": self.share}
        return {**about, **means, "kl_half": half, "entropy": self.entropy, "images": len(self.found.kl)}


COLUMNS = ("label", "KL, nats", "95 %", "Brier", "agrees %", "calibration", "entropy, nats")


def standing_labels(
    taus: Sequence[float] = TAUS, smoothed: Sequence[float] = SMOOTHED, shares: Sequence[float] = ()
) -> dict[str, Label]:
    """The labels by name: y, y smoothed by each share of the uniform distribution, T's class, T at each temperature, and its
    interpolations with y, in which T has each share.

    Raises CktatError for a temperature or a share that makes no sense.
    """
    for share in shares:
        if not 0 < share < 1:
            raise CktatError(f"T's share in an interpolation with y must be between 0 and 1, not {share:g}")
    labels: dict[str, Label] = {"y": y}
    labels |= {f"y smoothed by {share:g}": mix(uniform, y, share) for share in smoothed}
    labels["the largest class of T"] = top(T(clean))
    labels |= {f"T at tau {tau:g}": T(clean, tau) for tau in taus}
    return labels | {
        f"{share:g} of T at tau {tau:g}, y": mix(T(clean, tau), y, share) for share in shares for tau in taus
    }


def logits_on(subject: Subject, split: Split, watch: Callable[[int], None] = lambda done: None) -> Tensor:
    """What a network says of the images of a split: logits [N, K], in fp32."""
    device, rows = next(subject.module.parameters()).device, []
    with torch.no_grad(), true_fp32(), attacked(subject.module):
        for batch in ordered(split, 250, levels=subject.data.levels, device=device):
            rows.append(answer(subject.module, batch.x.contiguous(memory_format=torch.channels_last)).cpu())
            watch(sum(map(len, rows)))
    return torch.cat(rows)


def judge(labels: Mapping[str, Label], logits: Tensor, classes: Tensor, truth: Tensor | None = None) -> list[Judged]:
    """How right each label is.

    Args:
        labels: by name, of y and of the frozen network `T` at x.
        logits: of that network [N, K].
        classes: y [N].
        truth: what people say, as probabilities [N, K]; None is y.

    Raises:
        CktatError: a label speaks of something else.
    """
    at = Outputs({Cell(T, clean): logits.double()}, classes, logits.shape[1])
    if truth is not None and len(truth) != len(logits):
        raise CktatError(f"there are answers of people on {len(truth)} images and logits of {len(logits)}")
    found = []
    for name, label in labels.items():
        tau, share = _tempered(label)
        found.append(judged_label(name, label.log_probs(at), classes, truth, tau=tau, share=share))
    return found


def judged_label(
    name: str,
    log_p: Tensor,
    classes: Tensor,
    truth: Tensor | None = None,
    *,
    tau: float | None = None,
    share: float | None = None,
) -> Judged:
    """How right a label is of the first images: log-probabilities [n, K], held against the first n rows of the truth."""
    entropy = float(torch.special.entr(log_p.exp()).sum(dim=1).mean())
    right = guidance(log_p, (classes if truth is None else truth)[: len(log_p)])
    return Judged(name, tau, share, right, entropy)


def _tempered(label: Label) -> tuple[float | None, float | None]:
    """Temperature and share of T in a label; None and None of one without T's output."""
    moment = Moment()
    if isinstance(label, Mixture):
        tau, _ = _tempered(label.soft)
        if tau is None or isinstance(label.share, Trust):  # a share that differs from image to image is none to plot
            return (None, None)
        return (tau, value(label.share, moment))
    return (value(label.tau, moment), 1.0) if isinstance(label, Output) else (None, None)


def most_right(found: Sequence[Judged]) -> Judged:
    """The label of the lowest mean KL, of Brier score where all are infinite."""
    return min(found, key=lambda one: (one.found.means()["kl"], one.found.means()["brier"]))


def by_class(found: Sequence[Judged], classes: Tensor, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Mean KL of each label over the images of each class, a row for each class; "" where there is no image of it."""
    rows = []
    for number, name in enumerate(names):
        of = classes == number
        cells = (finite(float(one.found.kl[of].mean())) if bool(of.any()) else "" for one in found)
        rows.append((name, *cells))
    return rows


def most_wrong(one: Judged, count: int = SHOWN) -> list[int]:
    """The images of whose labels the truth is farthest, the farthest first."""
    return one.found.kl.argsort(descending=True, stable=True)[:count].tolist()
