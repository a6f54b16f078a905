"""What several commands share: options that mean the same everywhere, and printing a table."""

from __future__ import annotations

import codecs
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer import Option

from cktat.schema import OPTIONS

StoreOption = Annotated[Path | None, Option(help="Where runs lie (default: CKTAT_STORE or ./runs).", metavar="DIR")]
RootOption = Annotated[Path | None, Option(help="Where data sets lie (default: CKTAT_DATA).", metavar="DIR")]

SizeOption = Annotated[str | None, Option(help=OPTIONS["size"].about, metavar="SIZE")]
StrictOption = Annotated[bool, Option("--strict", help=OPTIONS["strict"].about)]
TrustOption = Annotated[
    bool,
    Option("--trust-code", help="Run the file.py:function that a file names, where it is not your own. Read it first."),
]

ModelOption = Annotated[
    str | None, Option(help="Its architecture, if weights do not show it: name or file.py:function.")
]
InputsOption = Annotated[
    Literal["auto", "raw", "data"],
    Option(help="raw: as they are; data: normalised by the data's mean, std; auto: what is right more often."),
]
MeanOption = Annotated[str | None, Option(help="Of its normalisation, per channel: 0.49,0.48,0.45.", metavar="NUMBERS")]
StdOption = Annotated[str | None, Option(help="As --mean.", metavar="NUMBERS")]
PartOption = Annotated[str | None, Option(help="Which of several networks in a file, as ema.", metavar="NAME")]


PLAIN = {
    "±": "+-",
    "−": "-",
    "×": "x",
    "–": "-",
    "—": "-",
    "’": "'",
    "…": "...",
    "τ": "tau",
    "β": "beta",
    "ε": "eps",
    "∞": "inf",
}
"""How characters are written on a stream that cannot show them; any other one by its number."""


def encodable(stream: TextIO) -> None:
    """Lets any text be written to a stream, whatever its encoding."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="cktat.plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(PLAIN.get(one) or one.encode("ascii", "backslashreplace").decode() for one in text), error.end


codecs.register_error("cktat.plain", _plain)


def print_table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], markdown: bool) -> None:
    console = Console()
    if markdown:
        lines = [columns, tuple("---" for _ in columns), *rows]
        print("\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines))
    elif console.is_terminal and _narrowest(columns, rows) > console.width:  # then a row is a block of lines
        for row in rows:
            print(
                "\n".join(f"{name}: {cell}" if name else cell for name, cell in zip(columns, row, strict=True) if cell)
            )
            print()
    elif console.is_terminal:
        shown = Table(*columns, box=None, header_style="bold")
        for row in rows:
            shown.add_row(*map(Text, row))  # brackets in a name are no markup
        console.print(shown)
    else:  # in a pipe nothing is folded: one line is one row
        from cktat.pages.text import aligned

        print("\n".join(aligned([columns, *rows])))


def _narrowest(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> int:
    """The width below which a table would cut a word: that of each column's longest, and a space on either side."""
    return sum(
        2 + max((len(word) for line in (columns, *rows) for word in line[i].split()), default=0)
        for i in range(len(columns))
    )


def names(text: str) -> list[str]:
    """Names separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def per_channel(name: str, text: str | None) -> tuple[float, ...] | None:
    """Numbers separated by commas. name: whose they are, for errors."""
    from cktat.runs import number

    return None if text is None else tuple(number(name, part) for part in names(text))
