"""The page of the experiment: tables, curves, sweeps and verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

from markupsafe import Markup

from cktat.evaluation import spread
from cktat.pages.figures import banded, plot
from cktat.pages.looks import looks_of
from cktat.pages.sections import Section, write_page
from cktat.pages.text import mean_sd
from cktat.paper.experiments.accounts import Account, write_json_beside
from cktat.paper.experiments.mixtures import MIXTURES
from cktat.paper.experiments.sections import cells, definition, numbers, purified
from cktat.paper.experiments.setting import CLEAN
from cktat.paper.experiments.summary import Summary, Value, first_epoch, gap, measure, mixture, one_first

ACCURACY: dict[str, Value] = {
    "both features": measure("both clean"),
    "both, attacked": measure("both attacked"),
    "single clean": measure("single clean"),
    "single attacked": measure("single attacked"),
    "multi clean": measure("multi clean"),
    "multi attacked": measure("multi attacked"),
}
ORDER: dict[str, Value] = {"first epoch": first_epoch, "epochs to second": gap, "one first": one_first}
COLUMNS = ACCURACY | ORDER
CURVES: dict[str, tuple[str, str, Callable[[Sequence[float]], float], bool]] = {
    "phi-first": ("Phi of a class's stronger feature", "phi", max, False),
    "phi-second": ("Phi of its weaker feature", "phi", min, False),
    "accuracy-first": ("Accuracy on its better feature alone (%)", "accuracy", max, True),
    "accuracy-second": ("Accuracy on its other feature alone (%)", "accuracy", min, True),
}
"""By file: caption, key in a record's curve, which of a class's two features, whether in percent."""
TITLES = {
    "eps": "Other radii (eps)",
    "mu": "Other shares of single-view samples (mu)",
    "epochs": "Other lengths of training (epochs)",
}
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
    rows = tuple((d, *cells(summary, d, base, COLUMNS.values())) for d in setting.designs_at(base))
    account = Account(columns, rows, out / "experiment.html")
    many = f"{setting.seeds} seed{'s' if setting.seeds > 1 else ''}"
    sections = [
        Section(
            f"At {base}", (f"Mean ± standard deviation over {many}; data: {setting.described()}.",
            "cktat alone is as published (tau 5, beta 6); pgd_at start=standard has its start without its guide."),
            ("design", *ACCURACY),
            [(d, *cells(summary, d, base, ACCURACY.values())) for d in setting.designs_at(base)],
            note="Both features: share of classes of which samples that show only one feature are classified rightly (over "
            "half of them), for each of the two. Single, multi: accuracy on single-view and multi-view samples. Attacked: "
            "right under PGD-20 and CW in the L2 ball.",
        ),
        Section(
            "Which feature first, and when (Lemma B.1)", (), ("design", *ORDER),
            [(d, *cells(summary, d, base, ORDER.values())) for d in setting.designs_at(base)],
            note="First epoch: after which a class has learned its first feature. Epochs to second: from there until it has "
            "learned the other. One first: share of classes of which one came in an earlier epoch than the other, or alone. "
            "Designs that start from clean weights (cktat, start=standard) have most features from the start.",
        ),
        Section(
            "Features over training", legend=setting.designs_at(base), looks=looks_of(setting.designs_at(base)),
            figures=_curves(summary),
            note="Phi is the sum over a class's neurons of the positive part of <w, v>. Bands: standard deviation over seeds.",
        ),
        *(_sweep(summary, name) for name in ("eps", "mu", "epochs") if len(setting.swept(name)) > 1),
        *purified(summary),
        definition(summary, ("single mixture", "single worst", "multi mixture", "multi worst")),
        _verdicts(summary),
    ]  # fmt: skip
    lead = (
        f"The network of the analysis, trained by {len(setting.designs)} designs on multi-view data, "
        f"{many} each, {len(setting.conditions)} conditions; {seconds / 60:.1f} minutes."
    )
    title = "Which features does adversarial training learn?"
    write_page(out, "experiment", title, lead, sections, result=_result(summary))
    write_json_beside(out, "experiment", _numbers(summary, seconds))
    return account


def _result(summary: Summary) -> str:
    """How many of the claims hold at the base, and how many are the other way round."""
    says = [v.says for v in summary.verdicts() if v.condition == str(summary.setting.base)]
    if not says:
        return "No claim can be judged: the designs that it compares were not trained."
    holds, opposite = says.count("holds"), says.count("opposite")
    return (
        f"Of {len(says)} claims about the features that designs learn {holds} {'holds' if holds == 1 else 'hold'} at the base, "
        f"{opposite} {'is' if opposite == 1 else 'are'} found the other way round and {len(says) - holds - opposite} "
        f"cannot be told from chance with {summary.setting.seeds} seed{'s' if summary.setting.seeds > 1 else ''}."
    )


def _curves(summary: Summary) -> list[tuple[str, str, Markup]]:
    """Phi and clean accuracy of a class's stronger and weaker feature, over epochs, at the base."""
    designs, drawings = summary.setting.designs_at(summary.setting.base), []
    looks = looks_of(designs)
    for file, (caption, key, pick, percent) in CURVES.items():
        scale = 100 if percent else 1
        lines = []
        for number, design in enumerate(designs, 1):
            if found := _over_epochs(summary, design, key, pick):
                values = [[scale * v for v in seeds] for seeds in found.values()]
                lines.append(banded(number, list(found), values, looks[number - 1]))
        drawings.append((file, caption, plot(lines, title=caption, x_label="epoch", percent=percent)))
    return drawings


def _over_epochs(
    summary: Summary, design: str, key: str, pick: Callable[[Sequence[float]], float]
) -> dict[int, list[float]]:
    """The mean over classes of what `pick` takes of a class's two values, of each seed, by epoch."""
    by_epoch: dict[int, list[float]] = {}
    for record in summary.records(design, summary.setting.base):
        for entry in record["curve"]:
            by_epoch.setdefault(entry["epoch"], []).append(fmean(map(pick, entry[key])))
    return by_epoch


def _sweep(summary: Summary, name: str) -> Section:
    setting = summary.setting
    points = setting.swept(name)
    x = [float(getattr(c, name)) for c in points]
    designs = [d for d in setting.designs if all(summary.records(d, c) for c in points)]
    looks, drawings, rows = looks_of(designs), [], []
    for key, caption in SWEEPS.items():
        lines = []
        for number, design in enumerate(designs, 1):
            values = [[100 * measure(key)(r) for r in summary.records(design, c)] for c in points]  # type: ignore[operator]
            lines.append(banded(number, x, values, looks[number - 1]))
            found = [mean_sd(spread([v / 100 for v in at]), 2) for at in values]
            rows.append((f"{key}, {design}", *found))
        drawings.append(
            (f"{name}-{key.replace(' ', '-')}", caption, plot(lines, title=caption, x_label=name, percent=True))
        )
    return Section(
        TITLES[name], (f"Everything else as at {setting.base}.",), ("", *(f"{name} {value:g}" for value in x)), rows, drawings,
        legend=designs, looks=looks,
    )  # fmt: skip


def _verdicts(summary: Summary) -> Section:
    """A row per claim, a column per condition."""
    setting, base = summary.setting, summary.setting.base
    names = {str(base): "base"}
    for name, text in (("eps", "eps {:g}"), ("mu", "mu {:g}"), ("epochs", "{:g} epochs")):
        names |= {str(c): text.format(getattr(c, name)) for c in setting.swept(name) if c != base}
    found: dict[str, dict[str, str]] = {}
    for v in summary.verdicts():
        word = f" {v.says}" if v.says in ("holds", "opposite") else ""
        found.setdefault(v.claim, {})[v.condition] = f"{v.difference.mean:+.2f}{word}"
    return Section(
        "What the claims come to", (f"Mean differences, paired by seed; base is {base}.",), ("claim", *names.values()),
        [(claim, *(at.get(condition, "") for condition in names)) for claim, at in found.items()],
        note="holds, opposite: the 95 % interval (Student's t over seeds) leaves out 0; elsewhere it does not, or there is no "
        "difference. Both: share of classes with both features learned.",
    )  # fmt: skip


def _numbers(summary: Summary, seconds: float) -> dict[str, object]:
    """All means, spreads, verdicts and curves, and each seed's distances of Definition 4.1, as JSON values."""
    setting = summary.setting
    curves = {
        file: {
            design: [fmean(seeds) for seeds in _over_epochs(summary, design, key, pick).values()]
            for design in setting.designs_at(setting.base)
        }
        for file, (_, key, pick, _) in CURVES.items()
    }
    return numbers(summary, COLUMNS | {f"mixture: {name}": mixture(name) for name in MIXTURES}, seconds) | {
        "verdicts": [asdict(v) | {"half_of_95_percent": v.difference.half} for v in summary.verdicts()],
        "definition_4_1": [record["definition_4_1"] for record in summary.records(CLEAN, setting.base)],
        "curves": curves,
    }
