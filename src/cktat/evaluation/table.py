"""Results of runs as rows of a table: what was measured of which weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cktat.attacks import SUITES
from cktat.evaluation.result import CLEAN, Result, result_name, worst_case
from cktat.runs import RunFolder, read_card

WORST = "worst case"
PICKS = ("best", "last")
ORDER = (CLEAN, "fgsm", "pgd10", "pgd20", "pgd100", "mim", "cw", *SUITES)
"""Columns from left to right; other attacks follow by name."""


def card_of(run: RunFolder, pick: str) -> dict[str, Any]:
    """The card of the weights that are in the folder now, {} if there are none yet. Raises CktatError if it is broken."""
    return read_card(run.weights(pick))


def result_files(run: RunFolder, pick: str) -> list[tuple[Path, Result]]:
    """Every result file of the run for `pick`, whatever weights it is of. Raises CktatError if one is broken."""
    others = (f"{pick}-curve", f"{pick}-verdict", f"{pick}-claimed")
    paths = sorted(run.results.glob(f"{pick}-*.json"))
    return [(path, Result.read(path)) for path in paths if not path.name.startswith(others)]


def is_of(found: dict[str, Any], card: dict[str, Any]) -> bool:
    """Whether a record (a result's provenance, a curve) is of the very weights that the card describes."""
    return bool(card) and found.get("weights_sha256") == card.get("weights_sha256")


def measured(
    run: RunFolder, pick: str, attack: str, images: int | None = None, *, eps: float, norm: str
) -> tuple[Path, Result] | None:
    """The result of one attack in that ball on the `pick`ed weights now in the folder, None if there is none.

    images: only the first so many test images; None is all. Raises CktatError if the file was edited.
    """
    card = card_of(run, pick)
    path = run.results / result_name(pick, attack, eps=None if eps == card.get("eps") else eps, images=images)
    if not path.is_file():
        return None
    result = Result.read(path)
    return (path, result) if is_of(result.provenance, card) and in_ball(result.protocol, eps, norm) else None


def in_ball(protocol: dict[str, Any], eps: float, norm: str) -> bool:
    """Whether a measurement was made in this ball; one without an attack is of every ball."""
    return (protocol.get("eps", eps), protocol.get("norm", norm)) == (eps, norm)


def results_of(run: RunFolder, pick: str) -> dict[str, Result]:
    """What was measured of the `pick`ed weights now in the folder, by attack, in the order of the table's columns.

    See `group_of`. Raises CktatError if a file is broken.
    """
    return group_of(run, pick)[1]


def group_of(run: RunFolder, pick: str) -> tuple[str, dict[str, Result]]:
    """How the names of the result files end that tables are made of, and these results by attack, in order.

    Results of other weights, of an earlier epoch for example, are left out. All are of the same images and radius: files
    are grouped by what their names say after the attack, which is nothing for the run's own eps on all test images. That
    group is taken; without it one at the run's own eps before others, and among those the one with the most images.
    Raises CktatError if a file is broken.
    """
    return next(iter(_groups(run, pick).items()), ("", {}))


def _groups(run: RunFolder, pick: str) -> dict[str, dict[str, Result]]:
    """All groups of results, the one that tables are made of first."""
    card = card_of(run, pick)
    groups: dict[str, dict[str, Result]] = {}
    for path, result in result_files(run, pick):
        if is_of(result.provenance, card):
            groups.setdefault(path.stem.removeprefix(f"{pick}-{result.attack}"), {})[result.attack] = result

    def place(name: str) -> tuple[Any, ...]:
        return name != "", name.startswith("-eps"), -next(iter(groups[name].values())).images, name

    return {
        name: {attack: groups[name][attack] for attack in in_order(groups[name])} for name in sorted(groups, key=place)
    }


def also_measured(run: RunFolder, pick: str) -> str:
    """What was measured of the same weights at other radii, in other norms or on other images than a table shows of them,
    in words; "" for nothing. Raises CktatError if a file is broken."""
    shown, *others = [list(group.values()) for group in _groups(run, pick).values()] or [[]]

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


def in_order(attacks: Sequence[str] | dict[str, Any]) -> list[str]:
    """Attacks as the columns have them, the worst case last."""
    place = {name: number for number, name in enumerate(ORDER)}
    return sorted(attacks, key=lambda name: (name == WORST, place.get(name, len(ORDER)), name))


@dataclass(frozen=True)
class Row:
    """Weights of a run and what was measured of them.

    features: what must be equal for two rows to be compared, or at least be said (data, eps, ...), as text. results: by
    attack, with the worst case over all of them if there is an attack among them. notes: what a reader must know of them.
    """

    run: RunFolder
    pick: str
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


def row_of(run: RunFolder, pick: str) -> Row:
    """The row of a run's `pick`ed weights. Raises CktatError if a file of the run is broken."""
    record, results = run.read(), results_of(run, pick)
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
    settings = ", ".join(f"{name}={_plain(value)}" for name, value in config.get("set", {}).items())
    notes = tuple(filter(None, (unfinished(run), also_measured(run, pick)))) if results else ()
    return Row(run, pick, record["design"]["name"], settings, config.get("seed"), features, results, notes)


def differing(rows: Sequence[Row]) -> list[str]:
    """Features that are not the same in all rows; each becomes a column. What is not known yet differs from nothing."""
    return [name for name in rows[0].features if len({row.features[name] for row in rows} - {""}) > 1]


def highest(rows: Sequence[Row]) -> set[tuple[int, str]]:
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


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
