"""The commands that show what there is: designs, data."""

from __future__ import annotations

import sys
from typing import Annotated

from typer import Argument, Option

from cktat.cli.output import RootOption, print_table
from cktat.errors import CktatError


def designs(
    markdown: Annotated[bool, Option("--markdown", help="Print the table as Markdown.")] = False,
) -> None:
    """Print the table of label designs, read off their declarations; below it later designs, baselines, other packages'.

    \b
    Example:
      cktat designs | less -S
    """
    from cktat.designs.table import COLUMNS, brought_table, cells, later_table, table

    for number, rows in enumerate((table(), later_table())):
        print("\n" * number, end="")
        print_table(COLUMNS, [cells(row) for row in rows], markdown)
    brought, faults = brought_table()
    if brought:
        print()
        print_table(("package", *COLUMNS), [(package, *cells(row)) for package, row in brought], markdown)
    for fault in faults:
        print(f"cktat: {fault}", file=sys.stderr)


def data_list(root: RootOption = None) -> None:
    """List the data sets and where they are."""
    from cktat.data import ARCHIVES, DATASETS, locate

    rows, packages = [], DATASETS.brought()
    for name in DATASETS:
        try:
            about = DATASETS[name].about
        except CktatError as error:
            print(f"cktat: {error}", file=sys.stderr)
            continue
        try:
            package = packages.get(name, "cktat ")
            inside = "in the package" if package.startswith("cktat ") else f"in {package}"
            place = str(locate(name, root)) if name in ARCHIVES else inside
        except CktatError:
            place = "not here"
        rows.append((name, place, about))
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
