"""One HTML page on any number of runs, from the files in their folders: tables, curves, pictures, provenance."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import safetensors
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from cktat.errors import CktatError
from cktat.evaluation.figures import Line, colour, picture, plot
from cktat.evaluation.result import CLEAN, Result
from cktat.evaluation.statistics import wilson
from cktat.evaluation.table import (
    PICKS,
    WORST,
    Row,
    accuracy,
    card_of,
    differing,
    eps_text,
    in_order,
    interval,
    is_of,
    not_evaluated,
    result_files,
    row_of,
)
from cktat.training import RunFolder, read_json, write_atomic


@dataclass(frozen=True)
class Reported:
    """What the folder of run `number` (from 1) holds, read once. rows: best and last, as far as they are evaluated."""

    number: int
    run: RunFolder
    record: dict[str, Any]
    card: dict[str, Any]
    history: list[dict[str, Any]]
    rows: list[Row]
    shown: Row
    curve: dict[str, Any] | None
    pictures: dict[str, Any] | None
    files: list[tuple[Path, Result, bool]]

    @property
    def colour(self) -> str:
        return colour(self.number)

    @property
    def seconds(self) -> float | None:
        """Of one epoch of training without its scoring: the median, since a first epoch also warms up."""
        return statistics.median(epoch["seconds"] for epoch in self.history) if self.history else None

    @property
    def config(self) -> list[tuple[str, str]]:
        return list(_flat(self.record.get("config", {})))

    @property
    def design(self) -> str:
        return json.dumps(self.record["design"], indent=1)

    @property
    def inputs(self) -> dict[str, dict[str, str]]:
        return self.record.get("inputs") or {}


def write_report(runs: Sequence[RunFolder], out: Path, *, pick: str = "best") -> Path:
    """Writes the page to `out` and returns that path. Curves, pictures and classes are those of the `pick`ed weights.

    Raises CktatError if there are no runs, if `out` is a folder, or if a file in a run is broken.
    """
    if pick not in PICKS:
        raise CktatError(f"weights must be best or last, not {pick!r}")
    if not runs:
        raise CktatError("there are no runs to report on; `cktat train` makes one")
    if out.is_dir():
        raise CktatError(f"{out} is a folder; name the file to write, for example {out / 'report.html'}")
    reported = [_read(number, run, pick) for number, run in enumerate(runs, 1)]
    rows = [row for run in reported for row in run.rows]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals |= {
        "accuracy": accuracy, "interval": interval, "eps_text": eps_text, "not_evaluated": not_evaluated, "flat": _flat,
        "CLEAN": CLEAN, "WORST": WORST,
    }  # fmt: skip
    template = resources.files("cktat.evaluation").joinpath("report.html.jinja").read_text(encoding="utf-8")
    page = environment.from_string(template).render(
        runs=reported,
        pick=pick,
        today=time.strftime("%Y-%m-%d", time.gmtime()),
        features={name: _unique(row.features[name] for row in rows) for name in rows[0].features},
        extra=differing(rows),
        attacks=in_order({attack: None for row in rows for attack in row.results}),
        highest=_highest(rows),
        provenance=_provenance(reported),
        training=_training_plots(reported),
        held_out=_unique(str(run.history[-1]["held_out"]["images"]) for run in reported if run.history),
        curve=_curve_plot(reported),
        curves=_unique(f"{run.curve['attack']} on {run.curve['images']:,}" for run in reported if run.curve),
        classes=_classes(reported),
    )
    write_atomic(out, page.encode())
    return out


def _read(number: int, run: RunFolder, pick: str) -> Reported:
    record, card = run.read(), card_of(run, pick)
    rows = [row for row in (row_of(run, each) for each in PICKS) if row.results]
    shown = next((row for row in rows if row.pick == pick), None) or row_of(run, pick)
    files = [(path, found, is_of(found.provenance, card_of(run, p))) for p in PICKS for path, found in result_files(run, p)]
    curve, pictures = _read_curve(run, pick, card), _read_pictures(run, pick, card)
    return Reported(number, run, record, card, run.history(), rows or [shown], shown, curve, pictures, files)


def _read_curve(run: RunFolder, pick: str, card: dict[str, Any]) -> dict[str, Any] | None:
    path = run.results / f"{pick}-curve.json"
    if not path.is_file():
        return None
    found = read_json(path)
    if not isinstance(found, dict) or not {"attack", "images", "eps", "correct"} <= found.keys():
        raise CktatError(f"{path} is not an accuracy curve of `cktat evaluate`")
    return found if is_of(found, card) else None


def _read_pictures(run: RunFolder, pick: str, card: dict[str, Any]) -> dict[str, Any] | None:
    path = run.results / f"{pick}-pictures.safetensors"
    if not path.is_file():
        return None
    try:
        with safetensors.safe_open(str(path), framework="pt") as file:
            metadata, tensors = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if not is_of(metadata, card) or tensors["x"].dim() != 4:
            return None
        # The whole range of a change, -eps to eps, becomes black to white.
        eps, names = card["eps"], [str(name) for name in card["classes"]]
        factor = 0.5 / eps if eps else 1.0
        columns = []
        for x, moved, y, before, after, index in zip(
            *(tensors[key] for key in ("x", "x_adv", "y", "before", "after", "index")), strict=True
        ):
            change = picture(0.5 + factor * (moved - x))
            outcomes = [(names[int(found)], bool(found == y)) for found in (before, after)]
            columns.append((int(index), names[int(y)], picture(x), outcomes[0], picture(moved), outcomes[1], change))
    except (safetensors.SafetensorError, KeyError, IndexError, ValueError) as error:
        raise CktatError(f"{path} does not hold pictures of `cktat evaluate`: {error}") from None
    return {"factor": f"{factor:.3g}", "columns": columns}


def _highest(rows: Sequence[Row]) -> set[tuple[int, str]]:
    """(index of a row, attack) of cells that no comparable row exceeds; a cell without a rival is not marked."""
    marked = set()
    for number, row in enumerate(rows):
        for attack, result in row.results.items():
            rivals = [other for other in rows if attack in other.results and other.rivals(attack) == row.rivals(attack)]
            if len(rivals) > 1 and result.correct == max(other.results[attack].correct for other in rivals):
                marked.add((number, attack))
    return marked


def _provenance(runs: Sequence[Reported]) -> dict[str, list[str]]:
    def said(record: dict[str, Any]) -> str:
        machine, versions = record.get("hardware") or {}, record.get("versions") or {}
        commit = (record.get("commit") or "not recorded").partition("+")
        parts = [" ".join(pair) for pair in versions.items()]
        parts += [f"commit {commit[0][:12]}{' with uncommitted changes' if commit[2] else ''}"]
        return ", ".join([*parts, str(machine.get("gpu", machine.get("cpu", "hardware not recorded")))])

    return {
        "trained": _unique(said(run.record) for run in runs),
        "evaluated": _unique(said(result.provenance) for run in runs for row in run.rows for result in row.results.values()),
        "seeds": _unique(str(row.seed) for run in runs for row in run.rows),
    }


def _training_plots(runs: Sequence[Reported]) -> list[tuple[str, Markup]]:
    def lines(value: Any, scale: float) -> list[Line]:
        trained = [(run, [epoch["epoch"] for epoch in run.history]) for run in runs if run.history]
        best = {run.number: card_of(run.run, "best").get("epoch") for run, _ in trained}
        return [Line(r.number, x, [scale * value(epoch) for epoch in r.history], best[r.number]) for r, x in trained]

    panels = {
        "Training loss": (lines(lambda epoch: epoch["loss"], 1), False),
        "Held-out accuracy, clean (%)": (lines(lambda epoch: epoch["held_out"]["clean"], 100), True),
        "Held-out accuracy, PGD (%)": (lines(lambda epoch: epoch["held_out"]["pgd"], 100), True),
    }
    return [
        (title, plot(drawn, title=title, x_label="epoch", percent=percent))
        for title, (drawn, percent) in panels.items()
        if drawn
    ]


def _curve_plot(runs: Sequence[Reported]) -> Markup | None:
    measured = [(run, run.curve) for run in runs if run.curve]
    if not measured:
        return None
    eps = sorted({run.card["eps"] for run, _ in measured})
    levels = all("/255" in eps_text(radius) for radius in eps)  # then the axis counts in levels of an 8-bit image
    unit = 255 if levels else 1
    lines = []
    for run, found in measured:
        ends = [wilson(correct, found["images"]) for correct in found["correct"]]
        low, high = ([100 * end[side] for end in ends] for side in (0, 1))
        y = [100 * correct / found["images"] for correct in found["correct"]]
        lines.append(Line(run.number, [unit * radius for radius in found["eps"]], y, None, low, high))
    uprights = [(unit * radius, f"trained at {eps_text(radius)}") for radius in eps]
    label = "eps, in 1/255 of the pixel range" if levels else "eps, as a fraction of the pixel range"
    return plot(lines, title="Accuracy (%) against eps", x_label=label, percent=True, uprights=uprights, size=(6, 3.2))


def _classes(runs: Sequence[Reported]) -> list[dict[str, Any]]:
    """One table per list of classes: [(class, images)], and per run and attack the (right, images) of each class."""
    tables: dict[tuple[tuple[str, ...], tuple[int, ...]], dict[str, Any]] = {}
    for run in runs:
        for attack in (CLEAN, WORST):
            if result := run.shown.results.get(attack):
                counts = result.per_class()
                table = tables.setdefault((result.classes, result.labels), {"columns": []})
                table["names"] = [(name, images) for name, (_, images) in counts.items()]
                table["columns"].append((run, attack, list(counts.values())))
    for table in tables.values():
        fewest = min(images for _, images in table["names"])
        low, high = wilson(fewest // 2, fewest) if fewest else (0.0, 1.0)
        table["doubt"] = f"{50 * (high - low):.0f}"
    return list(tables.values())


def _flat(fields: dict[str, Any], before: str = "") -> Iterable[tuple[str, str]]:
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value if isinstance(value, str) else json.dumps(value)


def _unique(texts: Iterable[str]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text]
