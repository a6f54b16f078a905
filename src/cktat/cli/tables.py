"""The command of the paper's tables: table."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from cktat.cli.output import RootOption, StoreOption, names, print_table
from cktat.errors import CktatError

if TYPE_CHECKING:
    from cktat.experiments.tables.fill import TableGrid
    from cktat.experiments.tables.filled import Cell, Filled


def table(
    name: Annotated[str, Argument(help="1, 1a, 1b, 2, 3, 3a, 3b, 3c, 4, 4a, 4b or 5 (pictures; seed 0).")],
    data: Annotated[str, Option(help="As for train.")] = "digits",
    root: RootOption = None,
    model: Annotated[str, Option(help="As for train; Table 1a takes the next larger one.")] = "small",
    recipe: Annotated[str, Option(help="common or authors.")] = "common",
    epochs: Annotated[int | None, Option(help="Passes over the training images.")] = None,
    batch_size: Annotated[int | None, Option(help="Images per step.")] = None,
    lr: Annotated[float | None, Option(help="Highest learning rate.")] = None,
    examples: Annotated[int | None, Option(help="Train on the first so many images.")] = None,
    seeds: Annotated[int, Option(help="Seeds 0, 1, ...", min=1)] = 1,
    rows: Annotated[list[str] | None, Option("--row", help="Only this row; may be repeated.", metavar="LABEL")] = None,
    controls: Annotated[bool, Option("--controls", help="Also the rows that the paper lacks.")] = False,
    attacks: Annotated[str | None, Option(help="Columns, separated by commas (default: the table's).")] = None,
    weights: Annotated[str, Option(help="best or last.")] = "best",
    test_images: Annotated[int | None, Option(help="Only the first so many test images.", min=1)] = None,
    aa_images: Annotated[int | None, Option(help="The same for AutoAttack.", min=1)] = None,
    device: Annotated[str | None, Option(help="auto, cpu, cuda or cuda:0.")] = None,
    precision: Annotated[str | None, Option(help="auto, fp32 or bf16.")] = None,
    threads: Annotated[int, Option(help="CPU threads of a run.", min=1)] = 1,
    jobs: Annotated[int, Option(help="Runs at a time.", min=1)] = 1,
    on: Annotated[str, Option(help="here, or ray: a Ray cluster at RAY_ADDRESS, else one of --jobs workers.")] = "here",
    stop_after: Annotated[str | None, Option(help="Save and stop after this long, such as 9m.")] = None,
    plan: Annotated[bool, Option("--plan", help="Print what would be run and its cost; run nothing.")] = False,
    no_run: Annotated[bool, Option("--no-run", help="Print what is measured already; run nothing.")] = False,
    out: Annotated[Path | None, Option(help="Where the table and a record of every run go.", metavar="DIR")] = None,
    store: StoreOption = None,
) -> None:
    """Run one of the paper's tables, at any size, and print it. Run again, it goes on.

    \b
    Examples:
      cktat table 4 --data digits --epochs 20 --seeds 3 --aa-images 200 --jobs 2 --out table4
      cktat table 3b --data cifar10 --root DIR --model resnet18 --plan
    """
    if name == "2":
        from cktat.cli.catalogue import designs

        return designs(markdown=False)
    from cktat.experiments.grid import Outcome
    from cktat.experiments.tables.declared import tables
    from cktat.experiments.tables.fill import How, TableGrid
    from cktat.training import Stopped, seconds

    wanted = tables(name, data)
    if rows:
        wanted = tuple(one.only(tuple(rows)) for one in wanted)
    elif controls:
        wanted = tuple(one.with_controls() for one in wanted)
    options = dict(
        data=data, root=None if root is None else str(root), model=model, recipe=recipe, epochs=epochs, lr=lr,
        batch_size=batch_size, examples=examples, device=device, precision=precision, threads=threads,
    )  # fmt: skip
    columns = None if attacks is None else tuple(names(attacks))
    records = out / "runs" if out else None
    grid = TableGrid(wanted, How(options, seeds, weights, columns, test_images, aa_images, store, records))
    if plan:
        return _print_plan(grid)
    limit = None if stop_after is None else seconds(stop_after)
    outcome = Outcome({})
    if not no_run:
        outcome = grid.grid.run(jobs=jobs, on=on, stop_after=limit, say=lambda text: print(text, flush=True))
    for fault in grid.export(records) if records else ():
        print(f"without a record: {fault}")
    filled = grid.fill(outcome.failures)
    _show(filled, out)
    if outcome.stopped:
        raise Stopped(f"{outcome.stopped}; the same command goes on")
    if name == "5":
        from cktat.cli.knowledge import pictured

        folders = grid.folders(wanted[0])
        pictured(folders, out or Path("knowledge"), weights=weights, device=device or "auto", store=store)
    failed = [cell.failure for one in filled for cell in one.cells.values() if cell.failure]
    if failed:
        raise CktatError(f"{len(failed)} of {sum(len(one.cells) for one in filled)} cells failed: {failed[0]}")


def _print_plan(grid: TableGrid) -> None:
    from cktat.experiments.grid.plan import COLUMNS, plan, summary

    steps = plan(grid.grid)
    print_table(COLUMNS, [step.cells() for step in steps], False)
    print(summary(steps))


def _show(filled: list[Filled], out: Path | None) -> None:
    """Prints tables, and writes them to `out` as Markdown, LaTeX and CSV, what the paper says of them, and all as a page."""
    from cktat.experiments.tables.page import write_page
    from cktat.experiments.tables.text import claims_markdown, csv_text, latex, markdown
    from cktat.training import write_atomic

    for one in filled:
        print(f"\nTable {one.name}: {one.title}")
        print_table(
            ("", *one.columns),
            [(row, *(_text(one.cells.get((row, column))) for column in one.columns)) for row in one.rows],
            False,
        )
        print("; ".join(f"{key} {value}" for key, value in one.setting.items() if value))
        for ending, write in (("md", markdown), ("tex", latex), ("csv", csv_text)) if out else ():
            assert out is not None
            write_atomic(out / f"table-{one.name}.{ending}", write(one).encode())
    if out:
        if claims := claims_markdown(filled):
            write_atomic(out / "claims.md", claims.encode())
        print(f"page: {write_page(filled, out / 'tables.html')}")


def _text(cell: Cell | None) -> str:
    if cell is None:
        return ""
    found = [100 * measured.accuracy for measured in cell.measured]
    spread = f" ± {statistics.stdev(found):.1f}" if len(found) > 1 else ""
    return " ".join(([f"{statistics.mean(found):.1f}{spread}"] if found else []) + (["failed"] if cell.failure else []))
