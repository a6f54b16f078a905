"""A run as a row of a table, its results side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cktat.evaluation.result import WORST, Result, worst_case
from cktat.evaluation.rows import groups, results_of, settings_text
from cktat.runs import RunFolder


def also_measured(run: RunFolder, weights: str) -> str:
    """What was measured of the same weights at other radii, in other norms or on other images than a table shows of them,
    in words; "" for nothing. Raises CktatError if a file is broken."""
    shown, *others = [list(group.values()) for group in groups(run, weights).values()] or [[]]

    def ball(group: Sequence[Result], name: str) -> Any:
        return next((result.protocol[name] for result in group if name in result.protocol), None)

    said = []
    for group in others:
        parts = [f"eps {eps_text(eps)}"] if (eps := ball(group, "eps")) not in (None, ball(shown, "eps")) else []
        parts += [str(norm)] if (norm := ball(group, "norm")) not in (None, ball(shown, "norm")) else []
        parts += [f"{group[0].images:,} images"] if group[0].images != shown[0].images else []
        said.append(f"{', '.join(parts)} ({', '.join(result.attack for result in group)})")
    return f"also measured: {'; '.join(said)}" if said else ""


def unfinished(run: RunFolder) -> str:
    """That a run's training is not at its end, in words; "" if it is."""
    if run.finished:
        return ""
    epochs = run.read()["config"].get("recipe", {}).get("epochs")
    return f"its training is not finished ({len(run.history())} of {epochs} epochs): its numbers are of a network on the way"


@dataclass(frozen=True)
class RunRow:
    """Weights of a run and what was measured of them.

    features: what must be equal for two rows to be compared, or at least be said (data, eps, ...), as text. results: by
    attack, with the worst case over all of them if there is an attack among them. notes: what a reader must know of them.
    """

    run: RunFolder
    weights: str
    design: str
    settings: str
    seed: int | None
    features: dict[str, str]
    results: dict[str, Result]
    notes: tuple[str, ...] = ()

    def rivals(self, attack: str) -> tuple[Any, ...]:
        """Equal for rows whose accuracies under `attack` are of the same images, radius and, the worst case, attacks."""
        result = self.results[attack]
        return self.features["data"], self.features["eps"], result.labels, tuple(result.protocol.get("worst_of", ()))


def row_of(run: RunFolder, weights: str) -> RunRow:
    """The row of a run's `weights`. Raises CktatError if a file of the run is broken."""
    record, results = run.read(), dict[str, Result](results_of(run, weights))
    config = record.get("config", {})
    eps = [result.protocol["eps"] for result in results.values() if "eps" in result.protocol]
    if eps:
        results[WORST] = worst_case(results.values())
    features = {
        "data": config.get("data", "?"),
        "training images": _count(record.get("data", {}).get("training_images")),
        "model": config.get("model", "?"),
        "eps": eps_text(eps[0] if eps else config.get("threat", {}).get("eps")),
        "precision": config.get("precision", "?"),
        "test images": _count(next(iter(results.values())).images if results else None),
    }
    notes = tuple(filter(None, (unfinished(run), also_measured(run, weights)))) if results else ()
    return RunRow(
        run, weights, record["design"]["name"], settings_text(config), config.get("seed"), features, results, notes
    )


def differing(rows: Sequence[RunRow]) -> list[str]:
    """Features that are not the same in all rows; each becomes a column. What is not known yet differs from nothing."""
    return [name for name in rows[0].features if len({row.features[name] for row in rows} - {""}) > 1]


def highest(rows: Sequence[RunRow]) -> set[tuple[int, str]]:
    """(index of a row, attack) of cells that no comparable row exceeds; a cell without a rival is not marked."""
    marked = set()
    for number, row in enumerate(rows):
        for attack, result in row.results.items():
            rivals = [other for other in rows if attack in other.results and other.rivals(attack) == row.rivals(attack)]
            if len(rivals) > 1 and result.correct == max(other.results[attack].correct for other in rivals):
                marked.add((number, attack))
    return marked


def eps_text(eps: float | None) -> str:
    """A radius as people write it: 0.15, and 8/255 for 0.0313725... ("" for None)."""
    if eps is None:
        return ""
    short, levels = f"{eps:.3g}", eps * 255
    if float(short) == eps or abs(levels - round(levels)) > 1e-6:
        return short
    return f"{round(levels)}/255"


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"
