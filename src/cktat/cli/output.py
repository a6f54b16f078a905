"""What several commands share: options that mean the same everywhere, and printing a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.table import Table
from typer import Option

StoreOption = Annotated[Path | None, Option(help="Where runs lie (default: CKTAT_STORE or ./runs).", metavar="DIR")]
RootOption = Annotated[Path | None, Option(help="Where data sets lie (default: CKTAT_DATA).", metavar="DIR")]

TrustOption = Annotated[
    bool,
    Option("--trust-code", help="Run the file.py:function that a file names, where it is not your own. Read it first."),
]


def print_table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], markdown: bool) -> None:
    console = Console()
    if markdown:
        lines = [columns, tuple("---" for _ in columns), *rows]
        print("\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines))
    elif console.is_terminal:
        shown = Table(*columns, box=None, header_style="bold")
        for row in rows:
            shown.add_row(*row)
        console.print(shown)
    else:  # in a pipe nothing is folded: one line is one row
        widths = [max(len(line[i]) for line in (columns, *rows)) for i in range(len(columns))]
        for line in (columns, *rows):
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def names(text: str) -> list[str]:
    """Names separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]
