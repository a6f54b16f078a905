"""The figures of the error accounting: where the learning condition holds, and what the errors are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from cktat.evaluation.figures import COLOURS, INK
from cktat.experiments.theory.drawing import drawn, plain_axes
from cktat.theory import EXAMPLE, boundary_mu, least_k2, worked_example
from cktat.theory.accounting import softmax_of_two

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIRST = (0.0, EXAMPLE["k1"], 0.6)
"""Values of k1, one panel each; the second is the worked example's."""
LACKING, BETTER, WORSE = COLOURS[1], COLOURS[2], COLOURS[1]


def phase_diagram(a: float = EXAMPLE["a"], D: float = EXAMPLE["D"]) -> Markup:
    """Where in (mu, k1, k2) adversarial training lacks the incentive to learn a second feature: the shaded side of the
    closed-form boundary."""

    def draw(figure: Figure) -> None:
        k2 = np.linspace(0, 1, 400)
        for panel, k1 in enumerate(FIRST):
            axes = figure.add_axes((0.075 + 0.315 * panel, 0.15, 0.27, 0.72))
            plain_axes(axes, "k2, mixture left of the second feature", "mu, share of single-view" if not panel else "")
            edge = boundary_mu(k1, k2, a, D)
            axes.fill_between(k2, 0, edge, color=LACKING, alpha=0.22, linewidth=0)
            axes.plot(k2, edge, color=LACKING, linewidth=1.5)
            axes.axvline(float(least_k2(a, D)), color=INK, alpha=0.6, linewidth=0.8, linestyle=(0, (3, 3)))
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 1)
            axes.set_title(f"k1 = {k1:g}", color=INK, fontsize=8, loc="left")
            axes.text(0.97, 0.06, "learning hurts", color=INK, ha="right")
            axes.text(0.04, 0.92, "learning pays", color=INK)
            axes.text(float(least_k2(a, D)) - 0.02, 0.5, "k2 = a / D", color=INK, rotation=90, ha="right", va="center")
            if k1 == EXAMPLE["k1"] and (a, D) == (EXAMPLE["a"], EXAMPLE["D"]):
                found = worked_example()
                axes.plot([EXAMPLE["k2"]], [EXAMPLE["mu"]], "o", color=COLOURS[0], markersize=5)
                text = f"R2 - R1 = {found.by_formula:.3f}\nas printed {found.as_printed:.3f}"
                axes.annotate(
                    text, (EXAMPLE["k2"], EXAMPLE["mu"]), (-8, -7), textcoords="offset points", color=INK, ha="right", va="top"
                )

    return drawn(draw, title="Where the learning condition holds", size=(8.2, 2.9))


def terms(mu: float, k1: float, k2: float, a: float, D: float) -> list[dict[str, object]]:
    """The rows that Eq. 7 and 8 sum: kind of sample, features, its share, and before and after learning the second feature
    the exponents for the label and for l_max, and the error."""
    error = 1 - np.asarray([softmax_of_two(a - k1 * D), softmax_of_two(a - k2 * D), softmax_of_two(2 * a - (k1 + k2) * D)])
    first, second, both = (float(e) for e in error)
    one, two, sum_ = (f"{k:.2g} D" for k in (k1, k2, k1 + k2))
    return [
        {"kind": "multi-view", "features": "v1 and v2", "share": 1 - mu, "before": ("a", one, first), "after": ("2a", sum_, both)},
        {"kind": "single-view", "features": "v1", "share": mu / 2, "before": ("a", one, first), "after": ("a", one, first)},
        {"kind": "single-view", "features": "v2", "share": mu / 2, "before": ("none", "none", 1.0), "after": ("a", two, second)},
    ]  # fmt: skip


def composition(**given: float) -> Markup:
    """How the robust errors before and after are composed, from data kind, feature and weight part to the output: the place
    of the paper's Figure 1, drawn from the terms themselves. given: mu, k1, k2, a, D (default: the worked example)."""
    rows = terms(**(EXAMPLE | given))

    def draw(figure: Figure) -> None:
        heads = ("samples", "share", "shown", "pure part: label", "mixture: l_max", "error", "share x error")
        places = (0.01, 0.12, 0.18, 0.27, 0.41, 0.54, 0.62)
        widest = max(float(row["share"]) * row[when][2] for row in rows for when in ("before", "after"))  # type: ignore[index, arg-type]
        for block, when in enumerate(("before", "after")):
            top = 0.9 - 0.5 * block
            total = sum(float(row["share"]) * row[when][2] for row in rows)  # type: ignore[index, arg-type]
            name = f"R{block + 1} robust, {when} learning v2 (Eq. {7 + block}): {total:.3f}"
            figure.text(0.01, top + 0.05, name, color=INK, fontweight="bold")
            for place, head in zip(places, heads, strict=True):
                figure.text(place, top - 0.04, head, color=INK, alpha=0.65)
            for line, row in enumerate(rows):
                label, rival, error = row[when]  # type: ignore[misc]
                y, part = top - 0.12 - 0.085 * line, float(row["share"]) * error  # type: ignore[arg-type]
                texts = (row["kind"], f"{row['share']:.2f}", row["features"], label, rival, f"{error:.3f}")
                for place, text in zip(places[:-1], texts, strict=True):
                    figure.text(place, y, str(text), color=INK)
                axes = figure.add_axes((places[-1], y - 0.015, 0.3, 0.055))
                axes.set_axis_off()
                axes.barh([0], [part], color=COLOURS[block], height=1)
                axes.set_xlim(0, widest)
                figure.text(places[-1] + 0.3 * part / widest + 0.008, y, f"{part:.3f}", color=INK)

    return drawn(draw, title="What the robust errors before and after are composed of", size=(8.2, 3.4))
