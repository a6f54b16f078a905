"""The page of the purification experiment: Eq. 4 to 6 and 13 to 15 on networks trained on sparse-coding data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from markupsafe import Markup

from cktat.pages.figures import INK, banded, drawn, plain_axes, plot
from cktat.pages.looks import COLOURS, looks_of
from cktat.pages.sections import Section, write_page
from cktat.paper.experiments.accounts import Account, write_json_beside
from cktat.paper.experiments.mixtures import MIXTURES
from cktat.paper.experiments.sections import cells, definition, numbers, purified
from cktat.paper.experiments.setting import CLEAN, CONTROL
from cktat.paper.experiments.summary import Summary, Value, measure, mixture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ACCURACY: dict[str, Value] = {
    name: measure(name) for name in ("clean", "attacked", "ideal clean", "ideal attacked", "features learned")
}
FIRST = {name: ACCURACY[name] for name in ("clean", "attacked")} | {
    name: mixture(name) for name in ("mixture / pure", "attack on mixture", "k by length", "k along m")
}
"""The columns of the terminal."""


def report(summary: Summary, out: Path, seconds: float) -> Account:
    """Writes purification.html, its drawings and purification.json (all means and spreads); returns the main table."""
    setting, base = summary.setting, summary.setting.base
    designs = setting.designs_at(base)
    many = f"{setting.seeds} seed{'s' if setting.seeds > 1 else ''}"
    rows = tuple((d, *cells(summary, d, base, FIRST.values())) for d in designs)
    sections = [
        Section(
            "One weight, before and after", figures=(("one-weight", *_one_weight(summary)),),
            note="Components of omega^v along all features, v first, per unit of pure part; seed 0. Eq. 13 calls all but the "
            "first the mixture.",
        ),
        *purified(summary),
        Section(
            f"Accuracy at {base}", (f"Mean ± standard deviation over {many}; data: {setting.described()}.",),
            ("design", *ACCURACY), [(d, *cells(summary, d, base, ACCURACY.values())) for d in designs],
            note="Attacked: right under PGD-20 and CW in the L2 ball. Ideal: the same network with every mixture taken away "
            "(Eq. 15), attacked anew. A feature is learned where its pure part is above 5 % of the largest.",
        ),
        Section(
            "Over training", legend=designs, looks=looks_of(designs), figures=_over_training(summary),
            note="Mixture: mean length per unit of pure part. Bands: standard deviation over seeds.",
        ),
        *_over_radius(summary),
        definition(summary, ("mixture", "worst")),
    ]  # fmt: skip
    lead = (
        f"A two-layer network on x = M z + noise (Section 3.1.2), trained by {len(designs)} designs, {many} each; "
        f"{seconds / 60:.1f} minutes."
    )
    account = Account(("design", *FIRST), rows, out / "purification.html")
    title = "What adversarial training takes out of the weights"
    write_page(out, "purification", title, lead, sections, result=_result(summary))
    found = numbers(summary, ACCURACY | {name: mixture(name) for name in MIXTURES}, seconds)
    claim = [record["definition_4_1"] for record in summary.records(CLEAN, base)]
    write_json_beside(out, "purification", found | {"definition_4_1": claim})
    return account


def _result(summary: Summary) -> str:
    """What is left of the clean network's mixtures, least and most, at the base."""
    base = summary.setting.base
    left = {d: summary.spread(d, base, mixture("k by length")) for d in summary.setting.designs_at(base) if d != CLEAN}
    known = sorted(((found.mean, d) for d, found in left.items() if found), key=lambda pair: pair[0])
    if not known:
        return "Nothing was learned that could be purified."
    (least, first), (most, last) = known[0], known[-1]
    said = f"{first} leaves {least:.2f} of the length of the clean network's mixtures"
    said += f" and {last} leaves {most:.2f}" if len(known) > 1 else ""
    return f"{said}; the paper says that less than 1 is left."


def _one_weight(summary: Summary) -> tuple[str, Markup]:
    """omega^v of the clean network and of the adversarially trained one, as stems."""
    designs = summary.setting.designs_at(summary.setting.base)
    design = next((d for d in (CONTROL, "pgd_at", *designs[::-1]) if d in designs), CLEAN)
    clean, left = next(iter(summary.records(design, summary.setting.base)))["one_weight"]
    caption = f"A feature's weight after clean training (above) and after {design} (below)"

    def draw(figure: Figure) -> None:
        for number, (values, name) in enumerate(((clean, "clean training"), (left, design))):
            axes = figure.add_axes((0.08, 0.6 - 0.46 * number, 0.9, 0.34))
            plain_axes(axes, "feature" if number else "", "component")
            axes.vlines(range(len(values)), 0, values, color=COLOURS[number], linewidth=3)
            axes.axhline(0, color=INK, linewidth=0.6)
            axes.set_xticks([])
            axes.set_ylim(-1, 1.05)
            axes.text(0.98, 0.9, name, color=INK, ha="right", va="top", transform=axes.transAxes)
            axes.text(len(values) / 60, 0.97, "v", color=INK, va="top")

    return caption, drawn(draw, title=caption, size=(7.2, 3.4))


def _over_training(summary: Summary) -> list[tuple[str, str, Markup]]:
    """Length of the mixture, features learned and clean accuracy of every design at the base, over epochs."""
    base, drawings = summary.setting.base, []
    designs = summary.setting.designs_at(base)
    looks = looks_of(designs)
    for file, caption, key, scale in (
        ("mixture-over-training", "Mixture beside the pure part", "size", 1),
        ("learned-over-training", "Features learned (%)", "learned", 100),
        ("clean-over-training", "Accuracy, clean (%)", "clean", 100),
    ):
        lines = []
        for number, design in enumerate(designs, 1):
            curves = [[e[key] for e in r["curve"]] for r in summary.records(design, base)]
            if curves and curves[0] and all(value is not None for curve in curves for value in curve):
                at = [[scale * value for value in values] for values in zip(*curves, strict=False)]
                lines.append(banded(number, range(1, len(at) + 1), at, looks[number - 1]))
        drawings.append((file, caption, plot(lines, title=caption, x_label="epoch", percent=scale == 100)))
    return drawings


def _over_radius(summary: Summary) -> list[Section]:
    """k of Eq. 14 and accuracy under attack of the designs that were trained at every radius."""
    setting = summary.setting
    points = setting.swept("eps")
    if len(points) < 2:
        return []
    x = [c.eps for c in points]
    designs = [d for d in setting.designs if d != CLEAN and all(summary.records(d, c) for c in points)]
    looks = looks_of(designs)
    drawings: list[tuple[str, str, Markup]] = []
    rows: list[Sequence[str]] = []
    for file, caption, value, scale in (
        ("eps-k-by-length", "k by length (%)", mixture("k by length"), 100),
        ("eps-k-along", "k along m (%)", mixture("k along m"), 100),
        ("eps-attacked", "Accuracy, attacked (%)", measure("attacked"), 100),
    ):
        lines = []
        for number, design in enumerate(designs, 1):
            at = [[v for r in summary.records(design, c) if (v := value(r)) is not None] for c in points]
            if all(at):
                lines.append(banded(number, x, [[scale * v for v in values] for values in at], looks[number - 1]))
            rows.append((f"{caption.removesuffix(' (%)')}, {design}", *(f"{fmean(v):.2f}" if v else "" for v in at)))
        drawings.append((file, caption, plot(lines, title=caption, x_label="eps, L2 radius", percent=True)))
    columns = ("", *(f"eps {value:g}" for value in x))
    return [Section("Purification over the radius", (), columns, rows, drawings, legend=designs, looks=looks)]
