"""What a page of measured tables comes to, in a sentence or two for its top."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cktat.pages.looks import look_of
from cktat.pages.text import mean_sd
from cktat.paper.tables.compared_table import ComparedTable
from cktat.paper.tables.text import SWEPT, row_name
from cktat.paper.tables.verdicts import FAILS, HOLDS, NOT_MEASURED, ClaimVerdict

MOST = 3
"""So many tables have a sentence part of their own."""


def result(tables: Sequence[ComparedTable], claims: Sequence[tuple[ClaimVerdict, ClaimVerdict]]) -> str:
    """The highest row of each table under its last measured attack, and how many of the paper's claims hold.

    Args:
        tables: those of the page.
        claims: each on the paper's numbers and on these.
    """
    found = [said for table in tables if (said := _highest(table))]
    if not found:
        return "Nothing is measured yet."
    more = f", and {len(found) - MOST} more tables are below" if len(found) > MOST else ""
    parts = [f"{'; '.join(found[:MOST])}{more}."]
    if claims:
        kinds = Counter(here.says.partition(",")[0] for _, here in claims)
        parts.append(
            f"Of the paper's {len(claims)} claims about {'these tables' if len(tables) > 1 else 'this table'}, "
            f"{_are(kinds[HOLDS], 'holds', 'hold')}, {_are(kinds[FAILS], 'fails', 'fail')} and "
            f"{_are(kinds[NOT_MEASURED], 'is', 'are')} not measured."
        )
    return " ".join(parts)


def _highest(table: ComparedTable) -> str:
    filled = table.filled
    for column, head in reversed(list(zip(filled.columns, filled.heads, strict=True))):
        known = [(row, entry.ours) for row in filled.rows if (entry := table.entries[row, column]).ours]
        if known:
            row, best = max(known, key=lambda pair: pair[1].mean)
            design = filled.name in SWEPT or look_of(row) is not None
            named = row_name(filled, row) if design else f"“{row}”"
            among = f"is highest of {len(known)} rows" if len(known) > 1 else "is the one row measured"
            return f"Table {filled.name}: {named} {among} in column {head}, at {mean_sd(best)} %"
    return ""


def _are(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
