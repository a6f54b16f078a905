"""The commands that show what there is: designs, data."""

from __future__ import annotations

from typing import Annotated

from typer import Argument, Option

from cktat.cli.output import RootOption, print_table
from cktat.errors import CktatError


def designs(
    markdown: Annotated[bool, Option("--markdown", help="Print the table as Markdown.")] = False,
) -> None:
    """Print the table of label designs, read off their declarations, and below it that of later designs and baselines.

    \b
    Example:
      cktat designs | less -S
    """
    from cktat.designs.table import COLUMNS, cells, later_table, table

    for number, rows in enumerate((table(), later_table())):
        print("\n" * number, end="")
        print_table(COLUMNS, [cells(row) for row in rows], markdown)


def data_list(root: RootOption = None) -> None:
    """List the data sets and where they are."""
    from cktat.data import ARCHIVES, DATASETS, locate

    rows = []
    for name, source in DATASETS.items():
        try:
            place = str(locate(name, root)) if name in ARCHIVES else "in the package"
        except CktatError:
            place = "not here"
        rows.append((name, place, source.about))
    print_table(("data", "where", "what"), rows, False)


def data_fetch(
    name: Annotated[str, Argument(help="cifar10 or cifar100.")],
    root: RootOption = None,
) -> None:
    """Download a data set from its official source and check its sum.

    \b
    Example:
      cktat data fetch cifar10 --root ~/data
    """
    from cktat.data import fetch

    print(f"data: {fetch(name, root)}")
