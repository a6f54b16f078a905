"""A table of a page to take away: as CSV and as JSON inside the page itself, so that the page stays one file."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

CellValue = str | int | float | bool | None


@dataclass(frozen=True)
class DownloadTable:
    """What is taken away: the numbers behind a table, or its texts.

    Attributes:
        columns: their names.
        rows: one value for each column; None for what there is not.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[CellValue]]

    @classmethod
    def of(cls, lines: Sequence[Mapping[str, CellValue]]) -> DownloadTable:
        """The table of lines that have the same names.

        >>> DownloadTable.of([{"attack": "pgd20", "correct": 41}]).csv
        'attack,correct\\npgd20,41\\n'
        """
        columns = tuple(lines[0]) if lines else ()
        return cls(columns, [tuple(line[name] for name in columns) for line in lines])

    @property
    def csv(self) -> str:
        """As comma-separated values with a head; empty cells for None."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerows([self.columns, *self.rows])
        return out.getvalue()

    @property
    def json(self) -> str:
        """As {"columns": [...], "data": [[...], ...]}, which pandas reads with `orient="split"`."""
        return json.dumps({"columns": list(self.columns), "data": [list(row) for row in self.rows]}, ensure_ascii=False)


def download(name: str, table: DownloadTable) -> Markup:
    """Two links that save a table.

    Args:
        name: what the table holds, for the names of the files and for who hears the links.
        table: what is saved.

    >>> 'download="accuracy.csv"' in download("Accuracy", DownloadTable(("a",), [(1,)]))
    True
    """
    file = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "table"

    def link(kind: str, type_: str, text: str) -> str:
        content = base64.b64encode(text.encode()).decode()
        return (
            f'<a download="{file}.{kind.lower()}" aria-label="{escape(name)} as {kind}" '
            f'href="data:{type_};base64,{content}">{kind}</a>'
        )

    links = link("CSV", "text/csv;charset=utf-8", table.csv), link("JSON", "application/json", table.json)
    return Markup(f'<p class="get">Save: {links[0]} {links[1]}</p>')
