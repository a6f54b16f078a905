"""What the paper says about its tables, as orders of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cktat.paper.tables.paper import paper_numbers

Place = tuple[str, str, str]
"""Table, row and column of a number."""


@dataclass(frozen=True)
class Above:
    """That one number is greater than another."""

    higher: Place
    lower: Place


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper, in our words, and the orders of numbers that it says are so: all of them, or, with `most`, all
    those above one row for more than half of the rows."""

    section: str
    sentence: str
    orders: tuple[Above, ...]
    most: bool = False

    @property
    def parts(self) -> tuple[tuple[Above, ...], ...]:
        """The orders that stand or fall together: those above one row with `most`, else all."""
        if not self.most:
            return (self.orders,)
        rows = dict.fromkeys(order.lower[1] for order in self.orders)
        return tuple(tuple(order for order in self.orders if order.lower[1] == row) for row in rows)


FULL = (("3a", "nothing"), ("4a", "CKTAT beta=6"), ("3c", "6"), ("3b", "5"))
"""Where the whole method stands, with tau 5 and beta 6: one training under four names. The paper's Table 3a has no row from
which nothing is removed; its number is read elsewhere."""

BASELINES = ("PGDAT", "TRADES", "MART", "LBGAT", "LTD (clean initialization)", "HAT", "Generalist")
STRONG = ("LTD (clean initialization)", "HAT")
ROBUST = ("pgd20", "pgd100", "mim", "cw", "aa")
"""Robust accuracy of Table 4, which has five: a sentence about it is about every one of them."""


def orders(table: str, higher: Iterable[str], lower: Iterable[str], columns: Iterable[str]) -> tuple[Above, ...]:
    """Every row of `higher` above every row of `lower`, in every column."""
    lower, columns = list(lower), list(columns)
    return tuple(
        Above((table, high, column), (table, low, column)) for high in higher for low in lower for column in columns
    )


def rising(table: str, rows: Sequence[str], columns: Iterable[str]) -> tuple[Above, ...]:
    """Each row above the one before."""
    return tuple(
        order for column in columns for low, high in pairwise(rows) for order in orders(table, [high], [low], [column])
    )


def only_below(table: str, row: str, above: Sequence[str], columns: Iterable[str]) -> tuple[Above, ...]:
    """`row` below those of `above`, and above all other baselines."""
    columns = list(columns)
    others = [name for name in BASELINES if name not in above]
    return orders(table, above, [row], columns) + orders(table, [row], others, columns)


def _table_1(table: str, better: bool) -> tuple[Above, ...]:
    taught = ["ARD", "IAD", "RSLAD", "LTD", "LBGAT"]
    sides = (taught, ["PGDAT"]) if better else (["PGDAT"], taught)
    return orders(table, *sides, ["clean", "pgd20"])


def _removed(row: str, rises: Sequence[str], falls: Sequence[str]) -> tuple[Above, ...]:
    whole = FULL[0][1]
    return orders("3a", [row], [whole], rises) + orders("3a", [whole], [row], falls)


INITIALISATION, GUIDANCE, CONSISTENCY = dict.fromkeys(row for row, _ in paper_numbers("3a"))
TAU, BETA = [str(tau) for tau in range(1, 7)], [str(beta) for beta in range(8)]

CLAIMS = (
    Claim(
        "4.2, Table 1b",
        "Clean teachers lower clean and robust accuracy of the smaller network.",
        _table_1("1b", better=False),
    ),
    Claim(
        "4.2, Table 1a",
        "Clean teachers raise clean and robust accuracy of the larger network.",
        _table_1("1a", better=True),
    ),
    Claim(
        "4.2, Table 4a",
        "With a clean teacher in the place of a robust one ARD, IAD and RSLAD are less robust.",
        tuple(
            order
            for name in ("ARD", "IAD", "RSLAD")
            for order in orders("4a", [f"{name} (robust teacher)"], [f"{name} (clean teacher)"], ROBUST)
        ),
    ),
    Claim(
        "5.1, Table 3a",
        "Without the clean initialisation, or without the guidance, clean and robust accuracy are lower.",
        _removed(INITIALISATION, [], ["clean", "pgd20"]) + _removed(GUIDANCE, [], ["clean", "pgd20"]),
    ),
    Claim(
        "5.1, Table 3a",
        "Without the consistency term clean accuracy is higher and robust accuracy lower.",
        _removed(CONSISTENCY, ["clean"], ["pgd20"]),
    ),
    Claim(
        "5.1, Table 3b",
        "Clean and robust accuracy rise with tau up to 5 and then fall.",
        rising("3b", TAU[:5], ["clean", "pgd20"]) + orders("3b", ["5"], ["6"], ["clean", "pgd20"]),
    ),
    Claim(
        "5.1, Table 3c",
        "A smaller beta gives a higher clean accuracy.",
        rising("3c", BETA[::-1], ["clean"]),
    ),
    Claim(
        "5.1, Table 3c", "Robust accuracy is highest at beta 6.",
        orders("3c", ["6"], [beta for beta in BETA if beta != "6"], ["pgd20"]),
    ),
    *(
        claim
        for table in ("4a", "4b")
        for claim in (
            Claim(
                f"5.2, Table {table}",
                "At beta 6 CKTAT's clean and robust accuracy are above those of most baselines.",
                orders(table, ["CKTAT beta=6"], BASELINES, ["clean", *ROBUST]),
                most=True,
            ),
            Claim(
                f"5.2, Table {table}",
                "At beta 0 CKTAT's clean accuracy is higher than at beta 6, and its robust accuracy lower.",
                orders(table, ["CKTAT beta=0"], ["CKTAT beta=6"], ["clean"])
                + orders(table, ["CKTAT beta=6"], ["CKTAT beta=0"], ROBUST),
            ),
            Claim(
                f"5.2, Table {table}",
                "At beta 0 CKTAT's robust accuracy is below that of LTD and HAT only.",
                only_below(table, "CKTAT beta=0", STRONG, ROBUST),
            ),
            Claim(
                f"5.2, Table {table}",
                "At beta 0 CKTAT's clean accuracy is below that of Generalist only.",
                only_below(table, "CKTAT beta=0", ["Generalist"], ["clean"]),
            ),
            Claim(
                f"5.2, Table {table}",
                "At beta 6 CKTAT's robust accuracy is above that of every baseline.",
                only_below(table, "CKTAT beta=6", [], ROBUST),
            ),
            Claim(
                f"5.2, Table {table}",
                "At beta 6 CKTAT's clean accuracy is below that of Generalist and PGDAT only.",
                only_below(table, "CKTAT beta=6", ["Generalist", "PGDAT"], ["clean"]),
            ),
        )
    ),
    Claim(
        "5.3, Table 5", "CKTAT learns more knowledge points than TRADES, and TRADES more than PGDAT.",
        rising("5", ["PGDAT", "TRADES", "CKTAT"], ["points"]),
    ),
)  # fmt: skip
"""Table 5 prints pictures and no numbers; of robust teachers there is no table, section 4.2 speaks of others' results."""
