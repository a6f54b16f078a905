"""Parts of pages that the experiments share: cells, bands, and what is said of mixtures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from cktat.pages.sections import Section
from cktat.pages.text import mean_sd
from cktat.paper.experiments.mixtures import FACTORS, RATIOS
from cktat.paper.experiments.setting import CLEAN, Condition
from cktat.paper.experiments.summary import Record, Summary, Value, mixture, spread


def cells(summary: Summary, design: str, condition: Condition, values: Iterable[Value]) -> list[str]:
    """Mean and spread of each value, empty where there is none."""
    return [mean_sd(summary.spread(design, condition, v), 2) for v in values]


def numbers(summary: Summary, values: Mapping[str, Value], seconds: float) -> dict[str, object]:
    """The setting, and mean and spread of each value of every design and condition, as JSON values."""
    setting = summary.setting
    table = [
        {"design": design, "condition": asdict(condition)}
        | {name: asdict(s) for name, value in values.items() if (s := summary.spread(design, condition, value))}
        for condition in setting.conditions
        for design in setting.designs_at(condition)
    ]
    provenance = next((r["provenance"] for r in summary.records(setting.designs[0], setting.base)), None)
    return {"setting": asdict(setting), "seconds": round(seconds, 1), "provenance": provenance, "table": table}


def purified(summary: Summary) -> tuple[Section, Section]:
    """The mixtures of the networks at the base, and what adversarial training has left of the clean one's."""
    base = summary.setting.base
    designs = summary.setting.designs_at(base)
    return (
        Section(
            "The dense mixture (Eq. 4 to 6, 13)", ("A weight is pure v + mixture m. All is per unit of pure part, a mean over "
            "the features learned.",), ("design", *RATIOS),
            [(d, *cells(summary, d, base, map(mixture, RATIOS))) for d in designs],
            note="mixture / pure: length of m. Eq. 4: size of a component of m along another feature, in units of k / d; the "
            "equation says Theta(1). Eq. 5: |<m, x>| on clean inputs, in units of (k / d) |x|; at most O~(1). Eq. 6: "
            "|<m, delta>| in units of (k / sqrt(d)) |delta|; at least Omega(1) along m, and for the deltas that PGD finds. "
            "Attack on mixture, on feature: cosine of PGD's delta with -m and with -v.",
        ),
        Section(
            "Purification (Eq. 14)", ("What clean training's mixture is multiplied by; the paper says 0 < k < 1.",),
            ("design", *FACTORS), [(d, *cells(summary, d, base, map(mixture, FACTORS))) for d in designs if d != CLEAN],
            note="k by length: length of m here beside the clean network's of the same seed. k along m: what is left along the "
            "clean network's own m; as large as the first if the mixture is merely scaled. k below 1: share of features of "
            "which the first is.",
        ),
    )  # fmt: skip


def definition(summary: Summary, places: Sequence[str]) -> Section:
    """Definition 4.1's claim on the clean networks of the base, at the places that their records name."""
    records = summary.records(CLEAN, summary.setting.base)
    rows = []
    for where in places:
        cells = [
            mean_sd(spread([_distance(r, where, field) for r in records]), 2)
            for field in ("first", "second", "both", "itself")
        ]
        rows.append((where, *cells))
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
