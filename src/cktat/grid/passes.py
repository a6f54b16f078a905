"""Accuracy against cost of the ways to search the inner maximisation, from records of `cktat compare --out`.

Cost is counted, not timed: passes of a network for each training image and epoch, in forward passes. A pass back to the image
is one more, a pass back to the weights two, as in `cktat.grid.cost`.

    python -m cktat.grid.passes results/passes docs/passes.png
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from cktat.designs import make
from cktat.errors import CktatError
from cktat.evaluation.statistics import Spread, spread
from cktat.grid.cost import of_step
from cktat.pages.figures import plain_axes
from cktat.pages.looks import numbered
from cktat.pages.text import mean_sd
from cktat.runs.door import read_json
from cktat.runs.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIRST = "pgd-10"
"""What the others are compared with."""


@dataclass(frozen=True)
class Maximisation:
    """One way over several seeds. passes: forward passes' worth for a training image and epoch, one a seed; attack: of these,
    passes forth and back of the attack; clean, attacked: accuracy of the best weights in %, one a seed."""

    name: str
    of: str
    passes: tuple[float, ...]
    attack: tuple[float, ...]
    clean: tuple[float, ...]
    attacked: tuple[float, ...]

    @classmethod
    def read(cls, path: Path) -> Maximisation:
        """The way whose record `path` is, named DATA-DESIGN-NAME.json. Raises CktatError if it is no such record."""
        data, _, rest = path.stem.partition("-")
        design, _, name = rest.partition("-")
        try:
            runs = read_json(path)
            found = [_of_run(run) for run in runs]
        except (KeyError, TypeError, StopIteration) as error:
            raise CktatError(
                f"{path} is no record of `cktat compare --out` with passes and attacks: {error!r}"
            ) from None
        passes, attack, clean, attacked = zip(*found, strict=True)
        return cls(name, f"{data}, {design}", passes, attack, clean, attacked)


def _of_run(run: dict[str, Any]) -> tuple[float, float, float, float]:
    design = make(run["config"]["design"], **run["config"]["set"])
    attack = fmean(line["attack_passes"] for line in run["history"])
    rest = sum(of_step(design.settle(**dict.fromkeys(design.open, 0.5)), 0).values())

    def accuracy(clean: bool) -> float:
        rows = (row for row in run["results"] if row["weights"] == "best" and (row["attack"] == "clean") == clean)
        row = next(rows)
        return 100 * float(row["correct"]) / int(row["images"])

    return 2 * attack + rest, attack, accuracy(True), accuracy(False)


def read(folder: Path) -> list[Maximisation]:
    """The ways that a folder has records of, those of one data set and design together, the cheapest first."""
    found = [Maximisation.read(path) for path in sorted(folder.glob("*.json"))]
    if not found:
        raise CktatError(f"{folder} holds no records; results/passes/measure.sh makes them")
    return sorted(found, key=lambda way: (way.of, fmean(way.passes)))


def table(ways: Sequence[Maximisation]) -> list[tuple[str, ...]]:
    """Header and rows: what it costs, as a share of PGD-10, too, and accuracies of the best weights over seeds."""
    lines: list[tuple[str, ...]] = [
        ("data, design", "inner maximisation", "n", "attack", "all passes", "of pgd-10", "clean", "attacked")
    ]
    for way in ways:
        whole = next((fmean(one.passes) for one in ways if (one.of, one.name) == (way.of, FIRST)), None)
        share = "" if whole is None else f"{100 * fmean(way.passes) / whole:.0f} %"
        cells = [mean_sd(_spread(values)) for values in (way.attack, way.passes, way.clean, way.attacked)]
        lines.append((way.of, way.name, str(len(way.passes)), cells[0], cells[1], share, cells[2], cells[3]))
    return lines


def _spread(values: Sequence[float]) -> Spread | None:
    return spread(list(values))


def picture(ways: Sequence[Maximisation]) -> Figure:
    """Accuracy under attack over passes, a panel for each data set and design; the line joins what nothing cheaper beats."""
    import matplotlib
    from matplotlib.figure import Figure

    panels = list(dict.fromkeys(way.of for way in ways))
    names = list(dict.fromkeys(way.name for way in ways))
    with matplotlib.rc_context({"font.size": 8}):
        figure = Figure(figsize=(3.5 * len(panels), 2.9), dpi=110, layout="constrained")
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _panel(axes, [way for way in ways if way.of == panel], names)
            axes.set_title(panel)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _panel(axes: Axes, ways: Sequence[Maximisation], names: Sequence[str]) -> None:
    plain_axes(axes, "forward passes per training image and epoch", "accuracy under attack, %")
    axes.grid(axis="y", alpha=0.25, linewidth=0.6)
    for way in ways:
        deviation, look = spread(list(way.attacked)), numbered(names.index(way.name) + 1)
        axes.errorbar(
            fmean(way.passes), fmean(way.attacked), yerr=deviation.deviation if deviation and deviation.n > 1 else None,
            fmt=look.marker, color=look.colour, label=way.name, capsize=2, markersize=6,
        )  # fmt: skip
    best = [way for way in ways if all(fmean(way.attacked) > fmean(o.attacked) for o in ways if _cheaper(o, way))]
    axes.plot([fmean(w.passes) for w in best], [fmean(w.attacked) for w in best], "--", color="#888888", linewidth=0.9)
    axes.set_xlim(left=0)


def _cheaper(one: Maximisation, other: Maximisation) -> bool:
    return one is not other and fmean(one.passes) <= fmean(other.passes)


def main(folder: str, to: str) -> None:
    """Prints the table of the records in `folder` as Markdown, and writes the picture `to` a PNG file."""
    ways = read(Path(folder))
    for number, line in enumerate(table(ways)):
        print(f"| {' | '.join(line)} |")
        if number == 0:
            print("| --- " * len(line) + "|")
    buffer = io.BytesIO()
    picture(ways).savefig(buffer, format="png", metadata={"Software": None})
    write_atomic(Path(to), buffer.getvalue())


if __name__ == "__main__":
    main(*sys.argv[1:])
