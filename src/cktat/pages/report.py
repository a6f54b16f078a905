"""One HTML page on any number of runs, from the files in their folders: tables, curves, pictures, provenance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from cktat.errors import CktatError
from cktat.evaluation.lowest import lowest_text
from cktat.evaluation.paired import Paired, compare_pair
from cktat.evaluation.result import CLEAN, WORST, Result
from cktat.evaluation.rows import BEST_AND_LAST, card_of, in_order
from cktat.evaluation.statistics import wilson
from cktat.evaluation.table import RunRow, differing, eps_text, highest
from cktat.pages.downloads import CellValue, DownloadTable
from cktat.pages.figures import Line, plot
from cktat.pages.gathered import Reported, flat, read
from cktat.pages.headline import headline
from cktat.pages.looks import looks_of
from cktat.pages.template import rendered
from cktat.pages.text import commit_text, not_evaluated
from cktat.runs import RunFolder, write_atomic


def write_report(runs: Sequence[RunFolder], out: Path, *, weights: str = "best") -> Path:
    """Writes the page to `out` and returns that path. Curves, pictures and classes are those of the `weights`.

    Raises CktatError if there are no runs or if `out` is a folder. A run with a broken file is left out of the page, which
    is then written, and raises the error all the same.
    """
    if weights not in BEST_AND_LAST:
        raise CktatError(f"weights must be best or last, not {weights!r}")
    if not runs:
        raise CktatError("there are no runs to report on; `cktat train` makes one")
    if out.is_dir():
        raise CktatError(f"{out} is a folder; name the file to write, for example {out / 'report.html'}")
    reported, broken = list[Reported](), list[tuple[RunFolder, CktatError]]()
    for run in runs:
        try:
            reported.append(read(len(reported) + 1, run, weights))
        except CktatError as error:
            broken.append((run, error))
    if not reported:
        raise broken[0][1]
    looks = looks_of([run.shown.design for run in reported])
    reported = [replace(run, look=look) for run, look in zip(reported, looks, strict=True)]
    rows = [row for run in reported for row in run.rows]
    page = rendered(
        "pages/report.html.jinja",
        not_evaluated=not_evaluated,
        flat=flat,
        lowest_text=lowest_text,
        WORST=WORST,
        runs=reported,
        result=headline(
            [run.shown for run in reported], [bool(run.verdict and run.verdict.doubts) for run in reported]
        ),
        saved=_saved(rows),
        weights=weights,
        features={name: _unique(row.features[name] for row in rows) for name in rows[0].features},
        extra=differing(rows),
        attacks=in_order({attack: None for row in rows for attack in row.results}),
        highest=highest(rows),
        pairs=(pairs := _pairs(reported)),
        saved_pairs=_saved_pairs(reported[0], pairs),
        provenance=_provenance(reported),
        training=_training_plots(reported),
        held_out=_unique(str(run.history[-1]["held_out"]["images"]) for run in reported if run.history),
        curve=_curve_plot(reported),
        curves=_unique(f"{run.curve['attack']} on {run.curve['images']:,}" for run in reported if run.curve),
        classes=_classes(reported),
        left_out=[f"{run.path.name} was left out, because it is damaged: {error}" for run, error in broken],
    )
    write_atomic(out, page.encode())
    if broken:
        raise CktatError(
            f"{out} was written without {' and '.join(str(run.path) for run, _ in broken)}: {broken[0][1]}"
        )
    return out


def _saved(rows: Sequence[RunRow]) -> DownloadTable:
    """Every accuracy of the page, one a line, with what it is of."""

    def line(row: RunRow, attack: str, result: Result) -> dict[str, CellValue]:
        low, high = result.interval
        return {
            "run": row.run.path.name, "design": row.design, "settings": row.settings, "seed": row.seed,
            "weights": row.weights, **row.features, "attack": attack, "images": result.images,
            "correct": result.correct, "accuracy": result.accuracy, "low": low, "high": high,
        }  # fmt: skip

    return DownloadTable.of([line(row, attack, result) for row in rows for attack, result in row.results.items()])


def _saved_pairs(first: Reported, pairs: Sequence[tuple[Reported, dict[str, Paired]]]) -> DownloadTable:
    return DownloadTable.of(
        [
            {
                "run": run.folder.path.name, "less": first.folder.path.name, "attack": attack, "images": pair.images,
                "difference": pair.difference, "low": pair.low, "high": pair.high, "p": pair.p,
            }
            for run, found in pairs
            for attack, pair in found.items()
        ]
    )  # fmt: skip


def _provenance(runs: Sequence[Reported]) -> dict[str, list[str]]:
    def said(record: dict[str, Any]) -> str:
        machine, versions = record.get("hardware") or {}, record.get("versions") or {}
        parts = [" ".join(pair) for pair in versions.items()]
        parts += [f"commit {commit_text(record.get('commit') or 'not recorded')}"]
        return ", ".join([*parts, str(machine.get("gpu", machine.get("cpu", "hardware not recorded")))])

    return {
        "trained": _unique(said(run.record) for run in runs),
        "evaluated": _unique(
            said(result.provenance) for run in runs for row in run.rows for result in row.results.values()
        ),
        "seeds": _unique(str(row.seed) for run in runs for row in run.rows),
    }


def _pairs(runs: Sequence[Reported]) -> list[tuple[Reported, dict[str, Paired]]]:
    """Each later run less the first, by attack, where both are measured on the same images at the same radius."""
    first, *others = (run.shown for run in runs)
    found = []
    for run, other in zip(runs[1:], others, strict=True):
        both = [name for name in other.results if name in first.results and other.rivals(name) == first.rivals(name)]
        pairs = {name: compare_pair(other.results[name].robust, first.results[name].robust) for name in both}
        found += [(run, pairs)] if pairs else []
    return found


def _training_plots(runs: Sequence[Reported]) -> list[tuple[str, Markup]]:
    def lines(value: Any, scale: float) -> list[Line]:
        trained = [(run, [epoch["epoch"] for epoch in run.history]) for run in runs if run.history]
        best = {run.number: card_of(run.folder, "best").get("epoch") for run, _ in trained}
        return [
            Line(r.number, x, [scale * value(epoch) for epoch in r.history], best[r.number], look=r.look)
            for r, x in trained
        ]

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
        lines.append(Line(run.number, [unit * radius for radius in found["eps"]], y, None, low, high, run.look))
    uprights = [(unit * radius, f"eps {eps_text(radius)}") for radius in eps]
    label = "eps, in 1/255 of the pixel range" if levels else "eps, as a fraction of the pixel range"
    return plot(
        lines, title="Accuracy (%) against eps", x_label=label, percent=True, uprights=uprights, size=(4.6, 2.8)
    )


def _classes(runs: Sequence[Reported]) -> list[dict[str, Any]]:
    """One table per list of classes: [(class, images)], and per run and attack the (right, images) of each class."""
    tables: dict[tuple[tuple[str, ...], tuple[int, ...]], dict[str, Any]] = {}
    for run in runs:
        for attack in (CLEAN, WORST):
            if result := run.shown.results.get(attack):
                counts = result.per_class()
                table = tables.setdefault((result.classes, result.labels), {"runs": [], "columns": []})
                table["names"] = [(name, images) for name, (_, images) in counts.items()]
                table["runs"] += [run] if run not in table["runs"] else []
                table["columns"].append((run.number, attack, list(counts.values())))
                table.setdefault("lines", []).extend(
                    {"run": run.folder.path.name, "class": name, "attack": attack, "images": images, "correct": right}
                    for name, (right, images) in counts.items()
                )
    for table in tables.values():
        table["saved"] = DownloadTable.of(table.pop("lines"))
        fewest = min(images for _, images in table["names"])
        low, high = wilson(fewest // 2, fewest) if fewest else (0.0, 1.0)
        table["doubt"] = f"{50 * (high - low):.0f}"
    return list(tables.values())


def _unique(texts: Iterable[str]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text]
