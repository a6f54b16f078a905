"""The figures of the error accounting: where the learning condition holds, and what the errors are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from cktat.pages.figures import INK, drawn, plain_axes
from cktat.pages.looks import COLOURS
from cktat.paper.theory import EXAMPLE, boundary_mu, least_k2, worked_example
from cktat.paper.theory.accounting import softmax_of_two

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIRST = (0.0, EXAMPLE["k1"], 0.6)
"""Values of k1, one panel each; the second is the worked example's."""
LACKING = COLOURS[1]


def phase_diagram(a: float = EXAMPLE["a"], D: float = EXAMPLE["D"]) -> Markup:
    """Where in (mu, k1, k2) adversarial training lacks the incentive to learn a second feature: the shaded side of the
    closed-form boundary."""

    def draw(figure: Figure) -> None:
        k2 = np.linspace(0, 1, 151)
        for panel, k1 in enumerate(FIRST):
            axes = figure.add_axes((0.075 + 0.315 * panel, 0.15, 0.27, 0.72))
            plain_axes(axes, "k2, mixture left of the second feature", "mu, share of single-view" if not panel else "")
            edge = boundary_mu(k1, k2, a, D)
            axes.fill_between(k2, 0, edge, color=LACKING, alpha=0.22, linewidth=0)
            axes.plot(k2, edge, color=LACKING, linewidth=1.5)
            if (turn := float(least_k2(a, D))) < 1:
                axes.axvline(turn, color=INK, alpha=0.6, linewidth=0.8, linestyle=(0, (3, 3)))
                axes.text(turn - 0.02, 0.5, "k2 = a / D", color=INK, rotation=90, ha="right", va="center")
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 1)
            axes.set_title(f"k1 = {k1:g}", color=INK, fontsize=8, loc="left")
            axes.text(0.97, 0.06, "learning hurts", color=INK, ha="right")
            axes.text(0.04, 0.96, "learning\npays", color=INK, va="top")
            if k1 == EXAMPLE["k1"] and (a, D) == (EXAMPLE["a"], EXAMPLE["D"]):
                found = worked_example()
                axes.plot([EXAMPLE["k2"]], [EXAMPLE["mu"]], "o", color=COLOURS[0], markersize=5)
                text = f"R2 - R1 = {found.by_formula:.3f}\nas printed {found.as_printed:.3f}"
                axes.annotate(
                    text,
                    (EXAMPLE["k2"], EXAMPLE["mu"]),
                    (0, -8),
                    textcoords="offset points",
                    color=INK,
                    ha="center",
                    va="top",
                )

    return drawn(draw, title="Where the learning condition holds", size=(8.2, 2.9))


@dataclass(frozen=True)
class ErrorTerm:
    """What one kind of sample adds to a robust error: its share, what it shows, the exponents of the label and of l_max in
    the softmax, and the error."""

    kind: str
    share: float
    shown: str
    label: str
    rival: str
    error: float

    @property
    def part(self) -> float:
        return self.share * self.error


def terms(mu: float, k1: float, k2: float, a: float, D: float) -> dict[str, tuple[ErrorTerm, ...]]:
    """The terms that Eq. 7 ("before" the second feature is learned) and Eq. 8 ("after") sum."""
    one, two, both = (1 - float(softmax_of_two(u)) for u in (a - k1 * D, a - k2 * D, 2 * a - (k1 + k2) * D))
    d1, d2, d12 = (f"{k:.2g} D" for k in (k1, k2, k1 + k2))
    multi, first, second = (
        ("multi-view", 1 - mu, "v1 and v2"),
        ("single-view", mu / 2, "v1"),
        ("single-view", mu / 2, "v2"),
    )
    return {
        "before": (
            ErrorTerm(*multi, "a", d1, one),
            ErrorTerm(*first, "a", d1, one),
            ErrorTerm(*second, "none", "none", 1.0),
        ),
        "after": (
            ErrorTerm(*multi, "2a", d12, both),
            ErrorTerm(*first, "a", d1, one),
            ErrorTerm(*second, "a", d2, two),
        ),
    }


def composition(**given: float) -> Markup:
    """How the robust errors before and after are composed, from data kind, feature and weight part to the output: the place
    of the paper's Figure 1, drawn from the terms themselves. given: mu, k1, k2, a, D (default: the worked example)."""
    blocks = terms(**(EXAMPLE | given))
    heads = ("samples", "share", "shown", "pure part: label", "mixture: l_max", "error", "share x error")
    places = (0.01, 0.12, 0.18, 0.27, 0.41, 0.54, 0.62)
    widest = max(term.part for block in blocks.values() for term in block)

    def draw(figure: Figure) -> None:
        for number, (when, block) in enumerate(blocks.items()):
            top, total = 0.9 - 0.5 * number, sum(term.part for term in block)
            name = f"R{number + 1} robust, {when} learning v2 (Eq. {7 + number}): {total:.3f}"
            figure.text(0.01, top + 0.05, name, color=INK, fontweight="bold")
            for place, head in zip(places, heads, strict=True):
                figure.text(place, top - 0.04, head, color=INK, alpha=0.65)
            for line, term in enumerate(block):
                y = top - 0.12 - 0.085 * line
                texts = (term.kind, f"{term.share:.2f}", term.shown, term.label, term.rival, f"{term.error:.3f}")
                for place, text in zip(places, texts, strict=False):
                    figure.text(place, y, text, color=INK)
                axes = figure.add_axes((places[-1], y - 0.015, 0.3, 0.055))
                axes.set_axis_off()
                axes.barh([0], [term.part], color=COLOURS[number], height=1)
                axes.set_xlim(0, widest)
                figure.text(places[-1] + 0.3 * term.part / widest + 0.008, y, f"{term.part:.3f}", color=INK)

    return drawn(draw, title="What the robust errors before and after are composed of", size=(8.2, 3.4))
