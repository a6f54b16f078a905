"""The page of the regime: shares by condition, the border, and how well Eq. 11 foretells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from cktat.pages.figures import banded, plot
from cktat.pages.sections import Section, write_page
from cktat.pages.text import mean_sd
from cktat.paper.experiments.accounts import Account, write_json_beside
from cktat.paper.experiments.border import fates, foretold, missing, over, verdict
from cktat.paper.experiments.regime import RegimeCondition, RegimeSetting

ConditionRecords = Sequence[dict[str, Any]]
SHARES = ("known", "left", "lost", "gained")
NAMES = ("clean learns both", "one left", "both lost", "gained")


def report(setting: RegimeSetting, records: ConditionRecords, out: Path) -> Account:
    """Writes regime.html, its figure and regime.json to `out`; the rows are shares by value of each condition."""
    values = [(f.name, v) for f in fields(RegimeCondition) for v in dict.fromkeys(getattr(setting, f.name))]
    rows = [
        (f"{name} {value:g}", str(len(found)), *_cells(found), _counted(found))
        for name, value in values
        for found in [[r for r in records if r["condition"][name] == value]]
    ]
    rows.append(("all", str(len(records)), *_cells(records), _counted(records)))
    columns = ("where", "conditions", *NAMES, "sure: misses, gains")
    says = foretold(records)
    hit, false, miss, quiet = says.table
    predicted = (
        ("rank correlation", str(says.rank)), ("of those left, foretold", str(says.found)),
        ("of the others, foretold", str(says.alarms)), ("the first less the second", str(says.skill)),
    )  # fmt: skip
    longest = max(setting.epochs)
    border = [
        (f"{_neurons(m)}, alike {alike:g}", *(mean_sd(over(
            _at(records, neurons=m, alike=alike, eps=eps, epochs=longest), "left"), 2) for eps in setting.eps))
        for m in setting.neurons
        for alike in setting.alike
    ]  # fmt: skip
    figures = [(f"regime-alike-{alike:g}", f"One left, alike {alike:g}", _figure(setting, _at(
        records, alike=alike, epochs=longest))) for alike in dict.fromkeys(setting.alike)]  # fmt: skip
    write_json_beside(
        out, "regime",
        {
            "setting": asdict(setting), "provenance": records[0]["provenance"],
            "processor_seconds": round(sum(r["provenance"]["processor_seconds"] for r in records), 1),
            "foretold": asdict(says), "conditions": [_condition(record) for record in records],
        },
    )  # fmt: skip
    sections = (
        Section("Which second features adversarial training leaves", (
            "Shares of classes, mean and standard deviation over seeds. One left: clean training learned both features, "
            "adversarial training one. Both lost: and neither. Gained: the other way round, adversarial training learned both.",
            f"Sure: conditions whose 95 % interval over seeds says so. By chance {0.025 * len(records):.0f} of {len(records)} "
            "would, each way."), columns, rows),
        Section("The border", (f"Share of classes with one feature left, over mu and noise, at {longest} epochs.",),
                ("network", *(f"eps {eps:g}" for eps in setting.eps)), border, figures,
                legend=[f"{_neurons(m)} per class" for m in setting.neurons]),
        Section("Does Eq. 11 foretell it?", (
            f"Of {hit + false + miss + quiet} classes of which clean training learned both features and adversarial training "
            f"one or both, Eq. 11 foretells {hit + false} to be left; {hit + miss} are, {hit} of them foretold.",),
            ("quantity", "value (95 % interval, conditions redrawn)"), predicted),
    )  # fmt: skip
    kinds = Counter(verdict(record) for record in records)
    result = (
        f"In {kinds['holds']} of {len(records)} conditions adversarial training surely leaves features that clean training "
        f"learns, in {kinds['opposite']} it surely learns more."
    )
    title, lead = "Where a second feature stays unlearned", "A grid of conditions."
    page = write_page(out, "regime", title, lead, sections, result=result)
    return Account(columns, (*rows, *((name, "", value, "", "", "", "") for name, value in predicted)), page)  # fmt: skip


def _at(records: ConditionRecords, **where: float) -> list[dict[str, Any]]:
    return [r for r in records if all(r["condition"][name] == value for name, value in where.items())]


def _neurons(m: int) -> str:
    return f"{m} neuron{'' if m == 1 else 's'}"


def _cells(records: ConditionRecords) -> list[str]:
    return [mean_sd(over(records, name), 2) for name in SHARES]


def _counted(records: ConditionRecords) -> str:
    said = Counter(verdict(record) for record in records)
    return f"{said['holds']}, {said['opposite']}"


def _condition(record: dict[str, Any]) -> dict[str, Any]:
    found = fates(record)
    spread = missing(record)
    return {
        **record["condition"], **{name: found.share(name) for name in SHARES}, "rise": found.rise.tolist(),
        "missing": asdict(spread) if spread else None, "says": verdict(record),
    }  # fmt: skip


def _figure(setting: RegimeSetting, records: ConditionRecords) -> Any:
    """Share of classes with one feature left, in %, over eps: a line for each width."""
    eps = sorted(setting.eps)
    lines = []
    for number, m in enumerate(setting.neurons, 1):
        each = [[100 * s for s in _by_seed(_at(records, neurons=m, eps=e))] for e in eps]
        lines.append(banded(number, eps, each))
    return plot(lines, title="Classes with one feature left, %", x_label="eps", percent=True, zoomed=True)


def _by_seed(records: ConditionRecords) -> list[float]:
    shares = [fates(record).share("left") for record in records]
    return [sum(column) / len(column) for column in zip(*shares, strict=True)]
