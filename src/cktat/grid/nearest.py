"""What is known instead of what was asked for: runs of the same rows with other settings, and how they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from cktat.api.records import differing
from cktat.errors import CktatError
from cktat.evaluation import CLEAN
from cktat.grid.evidence import Evidence
from cktat.grid.graph import Asked
from cktat.grid.grid import Grid
from cktat.runs.config import NOT_IDENTITY


def unmeasured(grid: Grid) -> tuple[int, str]:
    """How many of the runs that are asked for have a result that is asked for; and, if some have none, a sentence on what
    is there in their place, "" if all have one.

    Where none has, the sentence counts the known runs of the same designs, hyper-parameters and, if there are such, models.
    It says how most of the known runs that come nearest differ.
    """
    evidence = grid.evidence()
    missing = [one for one in grid.asked if not _any(grid, evidence, one)]
    matched = len(grid.asked) - len(missing)
    if not missing:
        return matched, ""
    wanted, models = (
        {_what(one.config.design, one.config.set) for one in grid.asked},
        {o.config.model for o in grid.asked},
    )
    known = {
        identity: about
        for identity in {**evidence.records, **evidence.folders}
        if _what((about := evidence.about(identity))["config"]["design"], about["config"].get("set", {})) in wanted
    }
    alike = {identity: about for identity, about in known.items() if about["config"].get("model") in models}
    ways = [found for one in missing if (found := _nearest(grid, evidence, one, known)) is not None]
    why = "; ".join(Counter(ways).most_common(1)[0][0][:3]) if ways else ""
    if matched:
        return matched, f"{matched} of {len(grid.asked)} runs are measured" + (f"; others: {why}" if why else "")
    where = " and ".join(str(place) for place in (grid.records, grid.store.root) if place is not None)
    if not known:
        return 0, f"there is no record of these rows in {where}; without --no-run they are run"
    return 0, f"0 of {len(alike or known)} records match: {why or 'they are not measured so'} (in {where})"


def _any(grid: Grid, evidence: Evidence, one: Asked) -> bool:
    """Whether something that is asked of a run is measured. A result file that was edited is the table's to tell of."""
    try:
        return any(
            grid.result(evidence, one.label, measurement, attack) is not None
            for measurement in one.measurements
            for attack in (CLEAN, *measurement.attacks)
        )
    except CktatError:
        return True


def _what(design: str, set_: dict[str, Any]) -> str:
    return f"{design} {sorted(set_.items())}"


def _nearest(grid: Grid, evidence: Evidence, one: Asked, known: dict[str, dict[str, Any]]) -> tuple[str, ...] | None:
    """How the run that is asked for was measured, if it is known; otherwise how the known run of the same design and
    hyper-parameters differs that is most like it, None if there is none."""
    own = grid.identities[one.label]
    if own in known:
        return tuple(_measured_otherwise(grid, evidence, one, own))
    ways = []
    for about in known.values():
        there = about["config"]
        if _what(there["design"], there.get("set", {})) != _what(one.config.design, one.config.set):
            continue
        changes = [(key, old, new) for key, old, new in differing(there, one.config) if key not in NOT_IDENTITY]
        if (about.get("data") or {}).get("fingerprint") != grid.data.fingerprint:
            changes.insert(0, ("data", there.get("data"), one.config.data))
        ways.append(tuple(f"{key.replace('_', ' ')} {old} there, {new} asked" for key, old, new in changes))
    return min(ways, key=len, default=None)


def _measured_otherwise(grid: Grid, evidence: Evidence, one: Asked, identity: str) -> Iterator[str]:
    held = evidence.held(identity)
    asked: dict[str, set[Any]] = {
        "weights": {measurement.weights for measurement in one.measurements},
        "test images": {grid.images(measurement) for measurement in one.measurements},
        "eps": {one.ball.eps},
    }
    there: dict[str, set[Any]] = {
        "weights": {row.weights for row in held},
        "test images": {row.images for row in held},
        "eps": {row.eps for row in held if row.eps is not None},
    }
    for name, values in asked.items():
        if there[name] and not values & there[name]:
            yield f"{name} {_text(there[name])} there, {_text(values)} asked"


def _text(values: set[Any]) -> str:
    return ", ".join(map(str, sorted(values)))
