"""The numbers that the paper prints in its tables of accuracies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from cktat.errors import unknown


def paper_tables() -> tuple[str, ...]:
    """Names of the tables whose numbers are known: "1a", "1b", "3a", ..."""
    return tuple(_read()["tables"])


def paper_numbers(name: str) -> Mapping[tuple[str, str], float]:
    """Percentages by (row, column), columns by the names of attacks: ("TRADES", "pgd20").

    Raises CktatError for a table that is not among `paper_tables()`.
    """
    rows = _table(name)["rows"]
    return {(row, column): number for row, cells in rows.items() for column, number in cells.items()}


def paper_note(name: str) -> str:
    """What is odd about a table as printed, "" for nothing. Raises CktatError as `paper_numbers` does."""
    return str(_table(name)["note"])


def _table(name: str) -> dict[str, Any]:
    tables = _read()["tables"]
    if name not in tables:
        raise unknown("table of the paper", name, tables)
    return tables[name]


@cache
def _read() -> dict[str, Any]:
    return json.loads(resources.files("cktat.paper.tables").joinpath("paper.json").read_text(encoding="utf-8"))
