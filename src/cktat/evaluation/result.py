"""One measured number with its evidence: which images were classified rightly, by what weights, under what attack."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from cktat.errors import CktatError
from cktat.evaluation.statistics import wilson
from cktat.runs import Kept, read_sealed, write_sealed

CLEAN = "clean"
WORST = "worst case"


class Provenance(Kept):
    """Of what weights a file is; beside it stands what else is known of them."""

    weights_sha256: Annotated[str, Field(min_length=1)]


class ResultKept(Kept):
    """A result file."""

    attack: Annotated[str, Field(min_length=1)]
    robust: Annotated[str, Field(pattern="^[01]+$")]
    labels: list[Annotated[int, Field(ge=0)]]
    classes: Annotated[list[str], Field(min_length=2)]
    protocol: dict[str, Any]
    provenance: Provenance

    @model_validator(mode="after")
    def _fits(self) -> ResultKept:
        if len(self.labels) != len(self.robust):
            raise ValueError(f"it has {len(self.labels)} labels for {len(self.robust)} images")
        if max(self.labels) >= len(self.classes):
            raise ValueError(f"it has label {max(self.labels)} with {len(self.classes)} classes")
        return self


@dataclass(frozen=True)
class Result:
    """Accuracy of one network under one attack ("clean" for none).

    robust: one character per test image, in the data set's order: "1" if it is classified rightly, also unattacked.
    labels: the true class of each. protocol: the attack's settings and those of the evaluation. provenance: run, weights,
    data, commit, versions, hardware, when, and how long it took.
    """

    attack: str
    robust: str
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    protocol: dict[str, Any]
    provenance: dict[str, Any]

    @property
    def images(self) -> int:
        return len(self.robust)

    @property
    def correct(self) -> int:
        return self.robust.count("1")

    @property
    def accuracy(self) -> float:
        """Share of images classified rightly, in [0, 1]."""
        return self.correct / self.images

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy."""
        return wilson(self.correct, self.images)

    def first(self, images: int) -> Result:
        """The same of the first so many of its images."""
        return replace(self, robust=self.robust[:images], labels=self.labels[:images])

    def per_class(self) -> dict[str, tuple[int, int]]:
        """(rightly classified, images) of every class."""
        counts = {name: [0, 0] for name in self.classes}
        for flag, label in zip(self.robust, self.labels, strict=True):
            counts[self.classes[label]][0] += flag == "1"
            counts[self.classes[label]][1] += 1
        return {name: (right, images) for name, (right, images) in counts.items()}

    def write(self, path: Path) -> None:
        """Writes it as JSON, with the derived numbers for readers and a sum of the content."""
        low, high = self.interval
        own = {each.name: getattr(self, each.name) for each in fields(Result)}
        derived = {"accuracy": self.accuracy, "interval": [low, high], "correct": self.correct, "images": self.images}
        write_sealed(path, {"attack": self.attack} | derived | own | {"per_class": self.per_class()})

    @classmethod
    def read(cls, path: Path) -> Result:
        """Reads what `write` wrote. Raises CktatError if the file is broken or was edited since."""
        kept = read_sealed(path, ResultKept, "a result of `cktat evaluate`")
        return cls(
            kept["attack"],
            kept["robust"],
            tuple(kept["labels"]),
            tuple(kept["classes"]),
            kept["protocol"],
            kept["provenance"],
        )


def result_name(weights: str, attack: str, *, eps: float | None = None, images: int | None = None) -> str:
    """The file of a result in a run's results/. eps: None is the run's own radius; images: None is all test images."""
    return f"{weights}-{attack}{ending(eps, images)}.json"


def ending(eps: float | None, images: int | None) -> str:
    """What a file's name says of a radius and a number of test images that are not the usual ones."""
    return f"{'' if eps is None else f'-eps{eps:.5f}'}{'' if images is None else f'-first{images}'}"


def worst_case(results: Iterable[Result]) -> Result:
    """Per image the worst of several results of one network on the same images: right only if right under all of them."""
    results = list(results)
    first = results[0]
    if any(
        r.labels != first.labels or r.provenance["weights_sha256"] != first.provenance["weights_sha256"]
        for r in results
    ):
        raise CktatError("the worst case is taken over attacks on the same images and weights only")
    flags = "".join("1" if set(column) == {"1"} else "0" for column in zip(*(r.robust for r in results), strict=True))
    protocol = {"worst_of": [r.attack for r in results]}
    return Result(WORST, flags, first.labels, first.classes, protocol, first.provenance)
