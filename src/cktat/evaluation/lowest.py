"""The lowest accuracy found, over all that was measured of the same weights in the same ball, and a claim held against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cktat.errors import CktatError
from cktat.evaluation.evaluate import ending_of
from cktat.evaluation.result import CLEAN, Result, worst_case
from cktat.evaluation.rows import card_of, current_rows, group_of, in_order, is_of
from cktat.evaluation.subject import Subject
from cktat.runs import Kept, RunFolder, read_sealed, write_sealed

Answer = Literal["refuted", "undecided", "not refuted under these attacks"]


def measured_on(run: RunFolder, weights: str, images: int, *, eps: float, norm: str) -> list[Result]:
    """Every result of the `weights` now in the folder, in that ball and without an attack, on the first `images` test
    images: those of more images are cut to them, those of fewer are left out.

    Raises CktatError if a file is broken.
    """
    rows = current_rows(run, weights)
    return [row.first(images) for row in rows if row.in_ball(eps, norm) and row.images >= images]


def lowest(results: Sequence[Result]) -> Result | None:
    """The worst case over results of the same images, None if no attack is among them."""
    return worst_case(results) if any(result.attack != CLEAN for result in results) else None


def lowest_text(found: Result) -> str:
    """Such as "14.0 % [9.9, 19.5] of 200 images, over pgd20, aa-fast"."""
    low, high = (100 * end for end in found.interval)
    attacks = in_order({name: None for name in found.protocol["worst_of"] if name != CLEAN})
    return f"{100 * found.accuracy:.1f} % [{low:.1f}, {high:.1f}] of {found.images} images, over {', '.join(attacks)}"


@dataclass(frozen=True)
class ClaimedAccuracy:
    """An accuracy under attack that somebody claims, in percent, beside the lowest that was found."""

    claimed: float
    found: Result

    def __post_init__(self) -> None:
        check_claimed(self.claimed)

    @property
    def says(self) -> Answer:
        """Whether the claim stands.

        What attacks leave bounds the accuracy under all attacks from above, so a claim can be refuted and never confirmed.
        It is refuted where the upper end of Wilson's 95 % interval of the worst case lies below it: that end alone is a
        one-sided bound at 97.5 %, so that a true claim is refuted at most once in 40 times by the choice of test images.
        It is undecided where less was found than is claimed, but that end does not lie below it.
        """
        if 100 * self.found.interval[1] < self.claimed:
            return "refuted"
        return "undecided" if 100 * self.found.accuracy < self.claimed else "not refuted under these attacks"

    def __str__(self) -> str:
        low, high = self.found.interval
        found = f"{100 * self.found.accuracy:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        return f"claimed {self.claimed:.1f}, found at most {found}: {self.says}"

    def write(self, path: Path) -> None:
        """Writes it as JSON with a sum of the content."""
        found: dict[str, Any] = {"accuracy": self.found.accuracy, "interval": list(self.found.interval)}
        found |= {
            "correct": self.found.correct,
            "images": self.found.images,
            "worst_of": self.found.protocol["worst_of"],
        }
        of = {"weights_sha256": self.found.provenance["weights_sha256"]}
        write_sealed(path, {"claimed": self.claimed, "says": self.says, "found": found} | of)


class ClaimKept(Kept):
    """The file of a claim."""

    claimed: float
    says: Answer
    weights_sha256: str


def check_claimed(claimed: float) -> float:
    """A claimed accuracy in percent. Raises CktatError for anything else, a share between 0 and 1 included."""
    if isinstance(claimed, bool) or not isinstance(claimed, int | float) or not 1 < claimed <= 100:
        raise CktatError(f"a claimed accuracy is in percent, above 1 and at most 100 (56.0, not 0.56); got {claimed!r}")
    return float(claimed)


def _claim_file(run: RunFolder, weights: str, ending: str) -> Path:
    """Where a claim about results whose files end so is kept."""
    return run.results / f"{weights}-claimed{ending}.json"


def claim_of(run: RunFolder, weights: str) -> ClaimedAccuracy | None:
    """The last claim about the results that tables show of the `weights`, held against what is there now; None if
    there is none of these weights. Raises CktatError if a file is broken.
    """
    ending, results = group_of(run, weights)
    path, found = _claim_file(run, weights, ending), lowest(list(results.values()))
    if found is None or not path.is_file():
        return None
    fields = read_sealed(path, ClaimKept, "a claim of `cktat evaluate`", "remove it, and it is made anew")
    return ClaimedAccuracy(fields["claimed"], found) if is_of(fields, card_of(run, weights)) else None


def headline(subject: Subject, test_images: int | None, eps: float | None, claimed: float | None = None) -> list[str]:
    """What an evaluation of so many images at that radius comes to, in lines: the lowest accuracy found, and what becomes of
    a claim, which is written. Nothing where no attack was measured. Raises CktatError for a claim that is no percentage."""
    images = len(subject.data.test) if test_images is None else test_images
    radius = subject.card["eps"] if eps is None else eps
    found = lowest(measured_on(subject.run, subject.weights, images, eps=radius, norm=subject.norm))
    if found is None:
        return []
    said = [f"worst case: {lowest_text(found)}"]
    if claimed is not None:
        claim = ClaimedAccuracy(claimed, found)
        subject.run.require_begun()
        claim.write(_claim_file(subject.run, subject.weights, ending_of(subject, eps, test_images)))
        said.append(str(claim))
    return said
