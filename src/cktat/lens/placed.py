"""A design on the map: its runs through the lens, and means over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from cktat.designs import make
from cktat.grid.comparison import DesignEntry

MapRecord = dict[str, Any]
"""What is seen in one run, see `measured`."""


@dataclass(frozen=True)
class Placed:
    """A design on the map: its runs, and the mean over them of a number."""

    name: str
    seen: tuple[MapRecord, ...]

    @property
    def adversarial(self) -> bool:
        """Whether its label is learned at x'. At x it is another thing, which no adversary makes harder."""
        entry = DesignEntry.read(self.name)
        return make(entry.design, **entry.set).adversarial

    def values(self, of: Callable[[MapRecord], float | None]) -> list[float]:
        return [value for one in self.seen if (value := of(one)) is not None]

    def mean(self, of: Callable[[MapRecord], float | None]) -> float | None:
        found = self.values(of)
        return fmean(found) if found else None


def placed(records: Sequence[MapRecord]) -> list[Placed]:
    """The designs in the order in which they come, each with its runs."""
    names = dict.fromkeys(record["design"] for record in records)
    return [Placed(name, tuple(r["seen"] for r in records if r["design"] == name)) for name in names]
