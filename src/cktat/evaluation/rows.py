"""Results with what they are of: one flat row for each, read from a run's folder or from its exported record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cktat.attacks import SUITES
from cktat.evaluation.result import CLEAN, WORST, Result, result_name
from cktat.runs import RunFolder, read_card

BEST_AND_LAST = ("best", "last")
ORDER = (CLEAN, "fgsm", "pgd10", "pgd20", "pgd100", "mim", "cw", *SUITES)
"""Columns from left to right; other attacks follow by name."""


@dataclass(frozen=True)
class ResultRow(Result):
    """A result and what it is of. A record keeps no labels and no classes: both are empty in a row that is read from one.

    run: the name of its folder or record. design, config: what was trained, and how. weights: "best" or "last". path: the
    file it stands in. current: whether it is of the weights that are in the folder now.
    """

    run: str
    design: str
    config: dict[str, Any]
    weights: str
    path: Path
    current: bool = True

    @property
    def seed(self) -> int | None:
        """Of the training, None for imported weights that do not say it."""
        return self.config.get("seed")

    @property
    def settings(self) -> str:
        """The hyper-parameters that were given to the design, such as "beta=6, tau=1"."""
        return settings_text(self.config)

    @property
    def eps(self) -> float | None:
        """The radius, None without an attack."""
        return self.protocol.get("eps")

    @property
    def key(self) -> tuple[Any, ...]:
        """What it is of, beside its run; rows of one key stand for one another."""
        return self.weights, self.attack, self.images, self.protocol.get("norm", ""), self.protocol.get("eps", 0.0)

    def in_ball(self, eps: float, norm: str) -> bool:
        """Whether it was measured in this ball; one without an attack is of every ball."""
        return (self.protocol.get("eps", eps), self.protocol.get("norm", norm)) == (eps, norm)

    def recorded(self) -> dict[str, Any]:
        """As it stands in the record of its run. JSON values."""
        low, high = self.interval
        own = {"accuracy": self.accuracy, "interval": [low, high], "correct": self.correct, "images": self.images}
        provenance = {key: value for key, value in self.provenance.items() if key not in ("run", "design", "data")}
        return (
            {"weights": self.weights, "attack": self.attack}
            | own
            | {"protocol": self.protocol}
            | provenance
            | {"robust": self.robust}
        )

    @classmethod
    def of_record(cls, path: Path, record: Mapping[str, Any], recorded: Mapping[str, Any]) -> ResultRow:
        """The row of what `recorded` wrote into the record of a run, which stands in `path`."""
        known = ("weights", "attack", "accuracy", "interval", "correct", "images", "protocol", "robust")
        provenance = {key: value for key, value in recorded.items() if key not in known}
        of = (path.stem, record["design"], record["config"], recorded["weights"], path)
        return cls(recorded["attack"], recorded["robust"], (), (), recorded["protocol"], provenance, *of)

    def flat(self) -> dict[str, Any]:
        """One line of a table of results: of texts and numbers only, None for what there is not."""
        low, high = self.interval
        return {
            "run": self.run, "design": self.design, "settings": self.settings, "seed": self.seed,
            "data": self.config.get("data"), "model": self.config.get("model"),
            "weights": self.weights, "attack": self.attack,
            "norm": self.protocol.get("norm"), "eps": self.eps, "images": self.images, "correct": self.correct,
            "accuracy": self.accuracy, "low": low, "high": high, "robust": self.robust,
            "weights_sha256": self.provenance["weights_sha256"], "commit": self.provenance.get("commit"),
            "at": self.provenance.get("at"), "seconds": self.provenance.get("seconds"), "path": str(self.path),
        }  # fmt: skip


def settings_text(config: Mapping[str, Any]) -> str:
    """The hyper-parameters that were given to a run's design, in words."""

    def plain(value: Any) -> str:
        return f"{value:g}" if isinstance(value, float) else str(value)

    return ", ".join(f"{name}={plain(value)}" for name, value in config.get("set", {}).items())


def card_of(run: RunFolder, weights: str) -> dict[str, Any]:
    """The card of the weights that are in the folder now, {} if there are none yet. Raises CktatError if it is broken."""
    return read_card(run.weights(weights))


def is_of(found: dict[str, Any], card: dict[str, Any]) -> bool:
    """Whether a record (a result's provenance, a curve) is of the very weights that the card describes."""
    return bool(card) and found.get("weights_sha256") == card.get("weights_sha256")


def result_files(run: RunFolder, weights: str) -> list[ResultRow]:
    """Every result file of the run for `weights`, whatever weights it is of. Raises CktatError if one is broken."""
    others = (f"{weights}-curve", f"{weights}-verdict", f"{weights}-claimed")
    paths = [path for path in sorted(run.results.glob(f"{weights}-*.json")) if not path.name.startswith(others)]
    return _rows(run, weights, paths)


def _rows(run: RunFolder, weights: str, paths: Sequence[Path]) -> list[ResultRow]:
    if not paths:
        return []
    record, card = run.read(), card_of(run, weights)
    of = {
        "run": run.path.name,
        "design": record["design"]["name"],
        "config": record.get("config", {}),
        "weights": weights,
    }

    def row(path: Path) -> ResultRow:
        result = Result.read(path)
        return ResultRow(**vars(result), **of, path=path, current=is_of(result.provenance, card))

    return [row(path) for path in paths]


def current_rows(run: RunFolder, weights: str) -> list[ResultRow]:
    """Every result of the `weights` now in the folder. Raises CktatError if a file is broken."""
    return [row for row in result_files(run, weights) if row.current]


def measured(
    run: RunFolder, weights: str, attack: str, images: int | None = None, *, eps: float, norm: str
) -> ResultRow | None:
    """The result of one attack in that ball on the `weights` now in the folder, None if there is none.

    images: only the first so many test images; None is all. Raises CktatError if the file was edited.
    """
    own = eps == card_of(run, weights).get("eps")
    path = run.results / result_name(weights, attack, eps=None if own else eps, images=images)
    rows = _rows(run, weights, [path] if path.is_file() else [])
    return next((row for row in rows if row.current and row.in_ball(eps, norm)), None)


def results_of(run: RunFolder, weights: str) -> dict[str, ResultRow]:
    """What was measured of the `weights` now in the folder, by attack, in the order of the table's columns.

    See `group_of`. Raises CktatError if a file is broken.
    """
    return group_of(run, weights)[1]


def group_of(run: RunFolder, weights: str) -> tuple[str, dict[str, ResultRow]]:
    """How the names of the result files end that tables are made of, and these results by attack, in order.

    Results of other weights, of an earlier epoch for example, are left out. All are of the same images and radius: files
    are grouped by what their names say after the attack, which is nothing for the run's own eps on all test images. That
    group is taken; without it one at the run's own eps before others, and among those the one with the most images.
    Raises CktatError if a file is broken.
    """
    return next(iter(groups(run, weights).items()), ("", {}))


def groups(run: RunFolder, weights: str) -> dict[str, dict[str, ResultRow]]:
    """All groups of results (see `group_of`) by how their names end, the one that tables are made of first."""
    by_ending: dict[str, dict[str, ResultRow]] = {}
    for row in current_rows(run, weights):
        by_ending.setdefault(row.path.stem.removeprefix(f"{weights}-{row.attack}"), {})[row.attack] = row

    def place(name: str) -> tuple[Any, ...]:
        return name != "", name.startswith("-eps"), -next(iter(by_ending[name].values())).images, name

    return {
        name: {attack: by_ending[name][attack] for attack in in_order(by_ending[name])}
        for name in sorted(by_ending, key=place)
    }


def in_order(attacks: Sequence[str] | dict[str, Any]) -> list[str]:
    """Attacks as the columns have them, the worst case last."""
    place = {name: number for number, name in enumerate(ORDER)}
    return sorted(attacks, key=lambda name: (name == WORST, place.get(name, len(ORDER)), name))
