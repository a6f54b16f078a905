"""The map's picture, table and page: every design at its two numbers, and what they say of the accuracy it reached."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from cktat.data import Dataset, Split
from cktat.evaluation import CLEAN, spread
from cktat.lens.map_sections import marked_images, over_training
from cktat.lens.placed import MapRecord, Placed, placed
from cktat.lens.relate import FEWEST, Relation, foretold, relation
from cktat.pages.figures import Point, picture, scatter
from cktat.pages.looks import looks_of
from cktat.pages.sections import Section, write_page
from cktat.pages.text import mean_sd, number
from cktat.runs import write_json

COLUMNS = (
    "design", "n", "guidance KL", "Brier", "agrees %", "difficulty", "left, nats", "to learn, nats", "area", "conflict",
    "jumps %", "clean %",
)  # fmt: skip
AXES: dict[str, Callable[[MapRecord], float | None]] = {
    "guidance KL": lambda seen: _number(seen["guidance"]["kl"]),
    "guidance Brier": lambda seen: _number(seen["guidance"]["brier"]),
    "difficulty": lambda seen: _number(seen["difficulty"]["relative"]),
    "area": lambda seen: None if seen["area"] is None else _number(seen["area"]),
}
"""Numbers of a run that may foretell its accuracy; higher is less right, or harder."""


def relations(designs: Sequence[Placed]) -> dict[tuple[str, str], Relation]:
    """Of each axis and each accuracy the rank correlation over the adversarial designs that have both; none of fewer than 4."""
    found: dict[tuple[str, str], Relation] = {}
    designs = [design for design in designs if design.adversarial]
    if not designs:
        return found
    for axis, of in AXES.items():
        for attack in _attacks(designs):
            pairs = [(d.mean(of), d.mean(_accuracy(attack))) for d in designs]
            both = [(x, y) for x, y in pairs if x is not None and y is not None]
            if len(both) >= FEWEST:
                found[axis, attack] = relation(*zip(*both, strict=True))
    return found


def foretelling(designs: Sequence[Placed]) -> dict[tuple[str, str], float]:
    """How well the two axes of the map foretell each accuracy of an adversarial design that is left out, each alone and both;
    see `foretold`."""
    guide = "guidance Brier"
    found: dict[tuple[str, str], float] = {}
    designs = [design for design in designs if design.adversarial]
    if not designs:
        return found
    for attack in _attacks(designs):
        reached = [d.mean(_accuracy(attack)) or 0.0 for d in designs]
        for name, axes in {guide: (guide,), "difficulty": ("difficulty",), "both": (guide, "difficulty")}.items():
            rows = [[_number(d.mean(AXES[axis])) for axis in axes] for d in designs]
            if (score := foretold(rows, reached)) is not None:
                found[name, attack] = score
    return found


def map_page(
    records: Sequence[MapRecord], data: Dataset, out: Path, *, truth: str
) -> tuple[list[tuple[str, ...]], Path]:
    """Writes out/map.json and out/map.html; returns the table's rows, under COLUMNS and the attacks, and the page's path.

    Args:
        records: of all runs, see `looked_at`.
        data: their data set.
        out: a folder.
        truth: what labels were held against, "people" or "y".
    """
    designs = placed(records)
    attacks, related, scores = _attacks(designs), relations(designs), foretelling(designs)
    rows = [_row(design, attacks) for design in designs]
    write_json(
        out / "map.json",
        {
            "truth": truth,
            "designs": {d.name: {axis: d.mean(of) if math.isfinite(d.mean(of) or 0) else None for axis, of in AXES.items()}
                        | {a: d.mean(_accuracy(a)) for a in attacks} | {"runs": len(d.seen)} for d in designs},
            "relations": [{"axis": axis, "accuracy": attack, **asdict(one)} for (axis, attack), one in related.items()],
            "foretold": [{"axes": axes, "accuracy": attack, "score": score} for (axes, attack), score in scores.items()],
        },
    )  # fmt: skip
    settings = records[0]["provenance"]["config"]
    lead = (
        f"{data.name}, {settings['model']}, {settings['recipe']['epochs']} epochs, eps {settings['threat']['eps']:g}; "
        f"{len(designs)} designs, {len(records)} runs; truth: {truth}."
    )
    page = write_page(
        out, "map", "What labels teach", lead, _sections(designs, attacks, rows, related, scores, data, truth),
        result=_result(related, attacks[-1]),
    )  # fmt: skip
    return rows, page


def _result(related: Mapping[tuple[str, str], Relation], attack: str) -> str:
    """How the two axes of the map go with accuracy under the last attack."""
    axes = ("guidance Brier", "difficulty")
    found = {axis: one for axis in axes if (one := related.get((axis, attack))) and one.rho is not None}
    if not found:
        return "There are too few designs with an adversary to tell whether right or easy labels go with accuracy."
    parts = [
        f"{axis} has a rank correlation of {number(r.rho, 2)} [{_range(r.low, r.high)}]" for axis, r in found.items()
    ]
    return f"With accuracy under {attack}, {' and '.join(parts)} over {next(iter(found.values())).n} designs."


def _sections(
    designs: Sequence[Placed],
    attacks: Sequence[str],
    rows: Sequence[Sequence[str]],
    related: Mapping[tuple[str, str], Relation],
    scores: Mapping[tuple[str, str], float],
    data: Dataset,
    truth: str,
) -> list[Section]:
    hard, wrong = AXES["difficulty"], AXES["guidance Brier"]
    names = [d.name for d in designs]
    drawings = [_drawing("map", f"Brier({truth}, label)", "difficulty", hard, wrong, designs)]
    for attack in attacks:
        title = f"Accuracy, {attack}, %"
        drawings.append(_drawing(f"map-{attack}", title, "difficulty", hard, _accuracy(attack), designs))
    where = (
        "Each design at the label that its student is asked for at x': to the right what it had not learned of it, in units of "
        "what a constant answer has not; upward how far the label is from the truth. Lower left is better on both.",
    )
    note = (
        "Means over seeds. Guidance: KL of the truth from the label, Brier score, agreement, on test images. Difficulty: what "
        "the student has left of the label at x' of training images over what a constant answer leaves (to learn). Area: the "
        "same, averaged over the epochs. Conflict: the lowest cosine of two terms' gradients in weight space. Jumps: training "
        "images whose label's class changes within eps, for the network in the label that jumps most."
    )
    said = [
        (axis, attack, number(r.rho, 2), _range(r.low, r.high), _range(r.least, r.most), str(r.n))
        for (axis, attack), r in related.items()
    ]
    told = [(axes, attack, number(score, 2)) for (axes, attack), score in scores.items()]
    doubt = (
        "Rank correlation over designs that have an adversary (without one the label is at x), -1 where a higher number goes "
        "with less accuracy. The interval draws designs with repetition: it holds for designs like these, and says "
        "nothing of cause: difficulty is of the very student whose accuracy it is held against."
    )
    better = (
        "A plane over the axes is fitted to all designs but one and foretells that one: 1 is perfect, 0 is no better than the "
        "mean of the others, below 0 worse."
    )
    classwise = "Difficulty: nats left of the label at x', by class."
    columns = ("axis", "accuracy", "rho", "95 %", "leaving one out", "designs")
    lists = [
        _listed("Hard labels", "hardest", "left of the label", data.train, data, designs),
        _listed("Wrong labels", "most_wrong", f"from {truth}", data.test, data, designs),
    ]
    return [
        Section(
            "The map",
            where,
            (*COLUMNS, *(f"{a} %" for a in attacks if a != CLEAN)),
            rows,
            drawings,
            note,
            names,
            looks=looks_of(names),
        ),
        Section("Do the two foretell accuracy?", (), columns, said, note=doubt),
        Section("Of a design that is left out", (), ("axes", "accuracy", "foretold"), told, note=better),
        *over_training(designs, truth),
        Section("By class", (classwise,), ("class", *names), _classes(designs, data)),
        *marked_images(designs),
        *lists,
    ]


def _drawing(
    file: str, title: str, x: str, along: Callable[[MapRecord], float | None], up: Callable[[MapRecord], float | None],
    designs: Sequence[Placed],
) -> tuple[str, str, Any]:  # fmt: skip
    points, looks = [], looks_of([design.name for design in designs])
    for place, design in enumerate(designs, 1):
        found = spread(design.values(along)), spread(design.values(up))
        if found[0] is not None and found[1] is not None and math.isfinite(found[0].mean + found[1].mean):
            scale = 100 if title.endswith("%") else 1
            deviations = found[0].deviation, scale * found[1].deviation
            points.append(Point(place, found[0].mean, scale * found[1].mean, *deviations, look=looks[place - 1]))
    return file, title, scatter(points, title=title, x_label=x, y_percent=title.endswith("%"), size=(5.4, 3.6))


def _row(design: Placed, attacks: Sequence[str]) -> tuple[str, ...]:
    def cell(of: Callable[[MapRecord], float | None], digits: int = 3, scale: float = 1) -> str:
        values = [scale * value for value in design.values(of)]
        return "∞" if any(map(math.isinf, values)) else mean_sd(spread(values), digits)

    return (
        design.name, str(len(design.seen)), cell(AXES["guidance KL"]), cell(AXES["guidance Brier"]),
        cell(lambda seen: seen["guidance"]["agrees"], 1, 100), cell(AXES["difficulty"]),
        cell(lambda seen: _number(seen["difficulty"]["left"])), cell(lambda seen: seen["difficulty"]["constant"]),
        cell(AXES["area"]), cell(lambda seen: seen["pulls"]["conflict"], 2),
        cell(lambda seen: max((one["within_eps"] for one in seen["jumps"].values()), default=None), 0, 100),
        cell(_accuracy(CLEAN), 1, 100), *(cell(_accuracy(a), 1, 100) for a in attacks if a != CLEAN),
    )  # fmt: skip


def _classes(designs: Sequence[Placed], data: Dataset) -> list[tuple[str, ...]]:
    def of(design: Placed, k: int) -> str:
        return number(design.mean(lambda seen: seen["difficulty_by_class"][k]), 3)

    return [(name, *(of(design, k) for design in designs)) for k, name in enumerate(data.classes)]


def _listed(title: str, field: str, what: str, split: Split, data: Dataset, designs: Sequence[Placed]) -> Section:
    """The images that stand on the lists of most designs, with the mean of what the first seed has there."""
    found: dict[int, list[float]] = {}
    for design in designs:
        for line in design.seen[0][field]:
            if line["nats"] is None or line["nats"] > 1e-9:
                found.setdefault(line["image"], []).append(_number(line["nats"]))
    order = sorted(found, key=lambda n: (-len(found[n]), -fmean(found[n]), n))[:16]
    said = {n: (f"on {len(found[n])} lists", f"{fmean(found[n]):.2f} nats {what}") for n in order}
    classes = {n: data.classes[int(split.labels[n])] for n in order}
    kind = "training" if field == "hardest" else "test"
    text = (f"The {kind} images that stand highest for most designs: on the lists of 24 of each design's first seed.",)
    if data.box is None:  # no picture can be made of it
        rows = [(str(n), classes[n], *lines) for n, lines in said.items()]
        return Section(title, text, ("image", "class", "lists", "distance"), rows)
    images = [
        (picture(split.images[n].float() / data.levels), [f"image {n}", f"y: {classes[n]}", *lines])
        for n, lines in said.items()
    ]
    return Section(title, text, images=images)


def _attacks(designs: Sequence[Placed]) -> list[str]:
    return list(designs[0].seen[0]["accuracy"])


def _accuracy(attack: str) -> Callable[[MapRecord], float | None]:
    return lambda seen: seen["accuracy"].get(attack)


def _number(value: float | None) -> float:
    """What was written as None is infinite."""
    return math.inf if value is None else value


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{number(low, 2)} to {number(high, 2)}"
