"""The page of the experiment: tables, curves, sweeps and verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean

from markupsafe import Markup

from cktat.evaluation import Spread, spread
from cktat.evaluation.figures import banded, plot
from cktat.experiments.theory.accounts import Account, write_json_beside
from cktat.experiments.theory.page import Section, write_page
from cktat.experiments.theory.setting import CLEAN, Condition
from cktat.experiments.theory.summary import (
    Record,
    Summary,
    Value,
    first_epoch,
    gap,
    measure,
    mixture,
    one_first,
)

COLUMNS: dict[str, Value] = {
    "both features": measure("both clean"),
    "both, attacked": measure("both attacked"),
    "single clean": measure("single clean"),
    "single attacked": measure("single attacked"),
    "multi clean": measure("multi clean"),
    "multi attacked": measure("multi attacked"),
    "first epoch": first_epoch,
    "epochs to second": gap,
    "one first": one_first,
}
MIXTURES = ("size", "eq4", "eq5", "eq6 along m", "eq6 found", "toward mixture", "toward feature", "k size", "k along")
SWEEPS = {
    "single clean": "Single-view accuracy, clean (%)",
    "single attacked": "Single-view accuracy, attacked (%)",
    "multi attacked": "Multi-view accuracy, attacked (%)",
    "both clean": "Classes with both features learned (%)",
}


def report(summary: Summary, out: Path, seconds: float) -> Account:
    """Writes experiment.html, its drawings and experiment.json (all means, spreads and verdicts); returns the main table."""
    setting, base = summary.setting, summary.setting.base
    columns = ("design", *COLUMNS)
    rows = tuple((d, *_cells(summary, d, base, COLUMNS.values())) for d in setting.designs_at(base))
    verdicts = tuple((v.claim, v.condition, _signed(v.difference), v.says) for v in summary.verdicts())
    account = Account(columns, rows, out / "experiment.html")
    many = f"{setting.seeds} seed{'s' if setting.seeds > 1 else ''}"
    sections = [
        Section(
            f"At {base}", (f"Mean ± standard deviation over {many}; data: {setting.described()}.",), columns, rows,
            note="Both features: share of classes of which samples that show only one feature are classified rightly (over "
            "half of them), for each of the two. Attacked: right under PGD-20 and CW in the L2 ball. First epoch: after which "
            "a class has its first feature. One first: share of classes of which one came in an earlier epoch (Lemma B.1).",
        ),
        Section(
            "Features over training", legend=setting.designs_at(base), figures=_curves(summary),
            note="Phi is the sum over a class's neurons of the positive part of <w, v>. Bands: standard deviation over seeds.",
        ),
        *(_sweep(summary, name) for name in ("eps", "mu", "epochs") if len(setting.swept(name)) > 1),
        Section(
            "The dense mixture (Eq. 4 to 6, 13 to 15)", (), ("design", *MIXTURES),
            [(d, *_cells(summary, d, base, map(mixture, MIXTURES))) for d in setting.designs_at(base)],
            note="Per unit of pure part. eq4, eq5, eq6: in units of what the equation says, so that about 1 agrees. k: what "
            "Eq. 14 scales the mixture of clean training by, by length and along that mixture; the paper says 0 < k < 1.",
        ),
        _claim(summary),
        Section(
            "What the claims come to", ("Differences are paired by seed; a claim holds, or its opposite is seen, where the 95 "
            "% interval (Student's t) leaves out 0.",), ("claim", "where", "difference", "says"), verdicts,
        ),
    ]  # fmt: skip
    lead = (
        f"The network of the analysis, trained by {len(setting.designs)} designs on multi-view data, "
        f"{many} each, {len(setting.conditions)} conditions; {seconds / 60:.1f} minutes."
    )
    write_page(out, "experiment", "Which features does adversarial training learn?", lead, sections)
    write_json_beside(out, "experiment", _numbers(summary, seconds))
    return account


def _cells(summary: Summary, design: str, condition: Condition, values: Iterable[Value]) -> list[str]:
    return [str(found) if (found := summary.spread(design, condition, v)) else "" for v in values]


def _signed(difference: Spread) -> str:
    half = "" if difference.half is None else f" ± {difference.half:.2f}"
    return f"{difference.mean:+.2f}{half}"


def _curves(summary: Summary) -> list[tuple[str, str, Markup]]:
    """Phi and clean accuracy of a class's stronger and weaker feature, over epochs, at the base."""
    panels: dict[str, tuple[str, str, Callable[[Sequence[float]], float], bool]] = {
        "phi-first": ("Phi of a class's stronger feature", "phi", max, False),
        "phi-second": ("Phi of its weaker feature", "phi", min, False),
        "accuracy-first": ("Accuracy on its better feature alone (%)", "accuracy", max, True),
        "accuracy-second": ("Accuracy on its other feature alone (%)", "accuracy", min, True),
    }
    drawings = []
    for file, (caption, key, pick, percent) in panels.items():
        scale = 100 if percent else 1
        lines = []
        for number, design in enumerate(summary.setting.designs_at(summary.setting.base), 1):
            records = summary.records(design, summary.setting.base)
            per_seed = [[scale * fmean(map(pick, e[key])) for e in r["curve"]] for r in records if r["curve"]]
            if per_seed:
                epochs = [e["epoch"] for e in records[0]["curve"]]
                lines.append(banded(number, epochs, list(zip(*per_seed, strict=False))))
        drawings.append((file, caption, plot(lines, title=caption, x_label="epoch", percent=percent)))
    return drawings


def _sweep(summary: Summary, name: str) -> Section:
    setting = summary.setting
    points = setting.swept(name)
    x = [float(getattr(c, name)) for c in points]
    designs = [d for d in setting.designs if all(summary.records(d, c) for c in points)]
    drawings, rows = [], []
    for key, caption in SWEEPS.items():
        lines = []
        for number, design in enumerate(designs, 1):
            values = [[100 * measure(key)(r) for r in summary.records(design, c)] for c in points]  # type: ignore[operator]
            lines.append(banded(number, x, values))
            found = [spread([v / 100 for v in at]) for at in values]
            rows.append((f"{key}, {design}", *map(str, found)))
        drawings.append(
            (f"{name}-{key.replace(' ', '-')}", caption, plot(lines, title=caption, x_label=name, percent=True))
        )
    fixed = replace(setting.base)
    return Section(
        f"Sweep of {name}", (f"Everything else as at {fixed}.",), ("", *(f"{value:g}" for value in x)), rows, drawings,
        legend=designs,
    )  # fmt: skip


def _claim(summary: Summary) -> Section:
    """Definition 4.1's claim on the clean networks of the base."""
    records = summary.records(CLEAN, summary.setting.base)
    rows = []
    for where in ("single mixture", "single worst", "multi mixture", "multi worst"):
        cells = [
            spread([_distance(r, where, field) for r in records]) for field in ("first", "second", "both", "itself")
        ]
        rows.append((where, *map(str, cells)))
    columns = (
        "samples, sigma",
        "clean(x), ideal(x)",
        "ideal(x), ideal(x')",
        "clean(x), ideal(x')",
        "clean(x), clean(x')",
    )
    return Section(
        "Definition 4.1", ("Is what the clean network says of x what a network without mixture says of x' = x + sigma? "
        "Distance of the two distributions, 0 to 1.",), columns, rows,
        note="sigma along the mixture of the clean network, and the worst that PGD finds against the ideal one.",
    )  # fmt: skip


def _distance(record: Record, where: str, field: str) -> float:
    return float(record["definition_4_1"][where][field])


def _numbers(summary: Summary, seconds: float) -> dict[str, object]:
    """All means, spreads and verdicts, as JSON values."""
    setting = summary.setting
    values = COLUMNS | {f"mixture: {name}": mixture(name) for name in MIXTURES}
    table = [
        {"design": design, "condition": asdict(condition)}
        | {name: asdict(s) for name, value in values.items() if (s := summary.spread(design, condition, value))}
        for condition in setting.conditions
        for design in setting.designs_at(condition)
    ]
    provenance = next((r["provenance"] for r in summary.records(setting.designs[0], setting.base)), None)
    said = [asdict(v) | {"half_of_95_percent": v.difference.half} for v in summary.verdicts()]
    return {
        "setting": asdict(setting), "seconds": round(seconds, 1), "provenance": provenance, "table": table, "verdicts": said,
    }  # fmt: skip
