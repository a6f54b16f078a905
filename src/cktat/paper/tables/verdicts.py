"""Whether the paper's claims hold: on its own numbers, and on ours with what the statistics allow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from cktat.errors import CktatError
from cktat.evaluation import ResultRow
from cktat.paper.tables.claims import CLAIMS, FULL, Above, Claim, Place
from cktat.paper.tables.compared_table import comparable, pair
from cktat.paper.tables.measured_table import MeasuredTable
from cktat.paper.tables.paper import paper_numbers, paper_tables

HOLDS, FAILS, NOT_MEASURED = "holds", "fails", "not measured"
NOISE = ", within noise"


@dataclass(frozen=True)
class ClaimVerdict:
    """What became of a claim. broken: its orders that are not so, in words, with both numbers; measured: how many of its
    orders both numbers are there for; significant: how many of those are so, or broken, at p < 0.05 (None: not tested).
    """

    claim: Claim
    says: str
    broken: tuple[str, ...]
    measured: int
    significant: int | None = None


@dataclass(frozen=True)
class _Seen:
    """Both numbers of an order in %, their difference and its p if there is one."""

    higher: float
    lower: float
    difference: float
    p: float | None = None

    @property
    def sure(self) -> bool:
        return self.p is not None and self.p < 0.05


def verdicts_of_paper() -> list[ClaimVerdict]:
    """Every claim on the paper's own numbers. It "holds" or "fails", and no p value is given: the paper has no spreads."""
    numbers = {(name, *place): value for name in paper_tables() for place, value in paper_numbers(name).items()}

    def see(order: Above) -> _Seen | None:
        found = [
            next((numbers[place] for place in _named(place) if place in numbers), None)
            for place in (order.higher, order.lower)
        ]
        high, low = found
        return None if high is None or low is None else _Seen(high, low, high - low)

    return [_judge(claim, see, tested=False) for claim in CLAIMS]


def verdicts(filleds: Sequence[MeasuredTable]) -> list[ClaimVerdict]:
    """Every claim on measured tables, of which each name may be there once. An order is taken over the seeds that its two
    cells share, and within one setting (see `comparable`). Says, in order:

    "fails" if the means break an order, with ", within noise" if none that is broken is so at p < 0.05; "not measured" if
    none is broken and one is not measured; "holds", with ", within noise" if not all are so at p < 0.05. Of a claim about
    most rows, the orders of more than half of the rows must be so. Each p is that of one comparison, uncorrected: of a claim
    with many orders, all of which must hold, that is the strict side.
    """
    by_name = {filled.name: filled for filled in filleds}
    if len(by_name) < len(filleds):
        raise CktatError("claims are about one setting: of each table only one may be given")

    def cells(place: Place) -> Iterator[tuple[MeasuredTable, tuple[ResultRow, ...]]]:
        for table, row, column in _named(place):
            filled = by_name.get(table)
            cell = filled.cells.get((row, column)) if filled else None
            if filled and cell and cell.measured:
                yield filled, cell.measured

    def see(order: Above) -> _Seen | None:
        both = (
            (a, b)
            for f, a in cells(order.higher)
            for g, b in cells(order.lower)
            if comparable(f, g) and a[0].images == b[0].images
        )
        found = next(both, None)
        if found is None:
            return None
        paired = pair(*found)
        shared = set.intersection(*({result.seed for result in cell} for cell in found))
        high, low = (
            100 * fmean(result.accuracy for result in cell if result.seed in shared or not shared) for cell in found
        )
        return _Seen(high, low, 100 * paired.difference, paired.p) if paired else _Seen(high, low, high - low)

    return [_judge(claim, see, tested=True) for claim in CLAIMS]


def claims_about(filleds: Sequence[MeasuredTable]) -> list[tuple[ClaimVerdict, ClaimVerdict]]:
    """The claims about these tables, each on the paper's numbers and on ours. Raises CktatError as `verdicts` does."""
    names = {filled.name for filled in filleds}

    def about(claim: Claim) -> bool:
        return any(place[0] in names for order in claim.orders for place in (order.higher, order.lower))

    return [pair for pair in zip(verdicts_of_paper(), verdicts(filleds), strict=True) if about(pair[0].claim)]


def _named(place: Place) -> Iterator[Place]:
    """The places where the number of `place` may stand, itself first."""
    table, row, column = place
    yield place
    if (table, row) in FULL:
        yield from ((*other, column) for other in FULL if other != (table, row))


def _judge(claim: Claim, see: Callable[[Above], _Seen | None], *, tested: bool) -> ClaimVerdict:
    seen = {order: found for order in claim.orders if (found := see(order))}
    wrong = {order: found for order, found in seen.items() if found.difference <= 0}
    enough = len(claim.parts) // 2 + 1  # of one part: that one

    def parts(so: Callable[[Above], bool]) -> int:
        """How many parts are wholly so."""
        return sum(all(map(so, part)) for part in claim.parts)

    if parts(lambda order: order not in wrong) < enough:
        unsure = parts(lambda order: order not in wrong or not wrong[order].sure) >= enough
        says = FAILS + (NOISE if tested and unsure else "")
    elif parts(lambda order: order in seen and order not in wrong) < enough:
        says = NOT_MEASURED
    else:
        sure = parts(lambda order: order in seen and order not in wrong and seen[order].sure) >= enough
        says = HOLDS + ("" if sure or not tested else NOISE)
    broken = tuple(_words(order, found) for order, found in wrong.items())
    significant = sum(found.sure for found in seen.values())
    return ClaimVerdict(claim, says, broken, len(seen), significant if tested else None)


def _words(order: Above, found: _Seen) -> str:
    (table, high, column), (_, low, _) = order.higher, order.lower
    p = "" if found.p is None else f" (p {found.p:.2g})"
    return f"{table} {column}: {high} {found.higher:.2f}, not above {low} {found.lower:.2f}{p}"
