"""The command of the paper's tables: table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from cktat.cli.options import completing, takes_run_options
from cktat.cli.output import StoreOption, TrustOption, names, print_table
from cktat.cli.settings import OWN_OF_A_RUN, ConfigOption, PrintConfigOption, common_settings, with_file
from cktat.errors import CktatError

if TYPE_CHECKING:
    from cktat.paper.tables.measured_table import MeasuredCell, MeasuredTable
    from cktat.paper.tables.table_grid import TableGrid


@takes_run_options(without=["design", "set", "seed"])
def table(
    name: Annotated[str, Argument(help="1, 1a, 1b, 2, 3, 3a, 3b, 3c, 4, 4a, 4b or 5 (pictures; seed 0).")],
    options: dict[str, Any],
    seeds: Annotated[int | None, Option(help="Seeds 0, 1, ... (default: seed 0 alone).", min=1)] = None,
    rows: Annotated[list[str] | None, Option("--row", help="Only this row; may be repeated.", metavar="LABEL")] = None,
    controls: Annotated[bool, Option("--controls", help="Also the rows that the paper lacks.")] = False,
    attacks: Annotated[
        str | None,
        Option(help="Columns, separated by commas (default: the table's).", autocompletion=completing("attacks")),
    ] = None,
    weights: Annotated[str, Option(help="best or last.")] = "best",
    test_images: Annotated[int | None, Option(help="Only the first so many test images.", min=1)] = None,
    aa_images: Annotated[int | None, Option(help="The same for AutoAttack.", min=1)] = None,
    jobs: Annotated[int, Option(help="Runs at a time.", min=1)] = 1,
    on: Annotated[str, Option(help="here, or ray: a Ray cluster at RAY_ADDRESS, else one of --jobs workers.")] = "here",
    stop_after: Annotated[str | None, Option(help="Save and stop after this long, such as 9m.")] = None,
    config: ConfigOption = None,
    print_config: PrintConfigOption = False,
    plan: Annotated[bool, Option("--plan", help="Print what would be run and its cost; run nothing.")] = False,
    no_run: Annotated[bool, Option("--no-run", help="Print what is measured already; run nothing.")] = False,
    out: Annotated[
        Path | None,
        Option(help="Where the table and a record of every run go; settings not given are its.", metavar="DIR"),
    ] = None,
    replace: Annotated[
        bool, Option("--replace", help="Write over a table there of other settings, or that holds more.")
    ] = False,
    store: StoreOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Run one of the paper's tables, at any size, and print it. Run again, it goes on.

    Usual are --data digits and --model small; Table 1a takes the next larger model.

    \b
    Examples:
      cktat table 4 --data digits --epochs 20 --seeds 3 --aa-images 200 --jobs 2 --out table4
      cktat table 4 --no-run --out table4
      cktat table 3b --data cifar10 --root DIR --model resnet18 --plan
    """
    if name == "2":
        from cktat.cli.catalogue import designs

        return designs(markdown=False)
    from cktat.grid import GridOutcome, unmeasured
    from cktat.paper.tables.declared import tables
    from cktat.paper.tables.table_folder import (
        PLACE,
        RUN_SETTINGS,
        TableFolder,
        again,
        differing,
        require_named,
        settled,
    )
    from cktat.paper.tables.table_grid import How, TableGrid
    from cktat.paper.tables.writing import Written
    from cktat.runs import Stopped, seconds

    typed, options = options, with_file(options, config, trust_code, OWN_OF_A_RUN)
    machine = {"threads": 1} | {name: value for name, value in options.items() if name in PLACE}
    given = {
        name: value for name, value in options.items() if name not in PLACE and (name, value) != ("precision", "auto")
    }
    given |= dict(
        test_images=test_images, aa_images=aa_images, seeds=seeds,
        attacks=None if attacks is None else tuple(names(attacks)),
    )  # fmt: skip
    data = given.get("data")
    folder = TableFolder(out, weights) if out else None
    named = {one.name for one in tables(name, data or "digits")} if data or name != "4" else {"4a", "4b"}
    there = {key: kept for key, kept in (folder.all() if folder else {}).items() if key in named}
    if folder:
        here = {name: value for name, value in given.items() if name in typed}  # a file's were looked at already
        require_named(folder, here, named, trained=not no_run, trust_code=trust_code)
    try:
        of = settled(there, given, firm=not (plan or no_run or replace))
    except CktatError as error:
        raise CktatError(f"{out}: {error}; give another --out, or --replace") from None
    usual: dict[str, Any] = {"data": "digits", "model": "small", "recipe": "common", "seeds": 1}
    of = usual | {key: value for key, value in of.items() if value is not None}
    if print_config:
        settings = {key: of[key] for key in RUN_SETTINGS if key in of}
        return print(common_settings(settings | machine), end="")
    wanted = tables(name, of["data"])
    if rows:
        wanted = tuple(one.only(tuple(rows)) for one in wanted)
    elif controls:
        wanted = tuple(one.with_controls() for one in wanted)
    elif no_run:  # of a table that was written there, the rows that it has
        wanted = tuple(again(there[one.name]) if one.name in there else one for one in wanted)
    options = {key: of.get(key) for key in RUN_SETTINGS} | machine
    records = out / "runs" if out else None
    how = How(
        options, of["seeds"], weights, of.get("attacks"), of.get("test_images"), of.get("aa_images"), store, records
    )
    grid = TableGrid(wanted, how)
    if plan:
        return _print_plan(grid)
    files = Written(folder, wanted, how, anew=replace) if folder else None
    limit = None if stop_after is None else seconds(stop_after)
    outcome = GridOutcome({})
    if no_run:
        found, lacking = unmeasured(grid.grid)
        if not found:
            raise CktatError(lacking)
        if files:  # before anything is written
            try:
                files.filled({})
            except CktatError as error:
                raise CktatError("; ".join(filter(None, [lacking or differing(there, given), str(error)]))) from None
        if lacking:
            print(lacking)
    else:
        outcome = grid.grid.run(
            jobs=jobs, on=on, stop_after=limit, say=lambda text: print(text, flush=True), trust_code=trust_code
        )
    for fault in grid.export(records) if records else ():
        print(f"without a record: {fault}")
    filled = grid.fill(outcome.failures)
    _show(filled)
    refusal = None
    try:
        if files:
            print(f"page: {files.write(outcome.failures)}")
    except CktatError as error:
        refusal = error
    if outcome.stopped:
        raise Stopped(f"{outcome.stopped}; the same command goes on")
    failed = [cell.failure for one in filled for cell in one.cells.values() if cell.failure]
    if refusal:
        raise CktatError("; ".join([str(refusal), *failed[:1]]))
    if name == "5":
        from cktat.cli.knowledge import pictured

        folders = grid.folders(wanted[0])
        pictured(
            folders, out or Path("knowledge"), weights=weights, device=machine.get("device", "auto"), store=store,
            trust_code=trust_code,
        )  # fmt: skip
    if failed:
        raise CktatError(f"{len(failed)} of {sum(len(one.cells) for one in filled)} cells failed: {failed[0]}")


def _print_plan(grid: TableGrid) -> None:
    from cktat.grid.plan import COLUMNS, plan, summary

    steps = plan(grid.grid)
    print_table(COLUMNS, [step.cells() for step in steps], False)
    print(summary(steps))


def _show(filled: list[MeasuredTable]) -> None:
    for one in filled:
        print(f"\nTable {one.name}: {one.title}")
        print_table(
            ("", *one.heads),
            [(row, *(_text(one.cells.get((row, column))) for column in one.columns)) for row in one.rows],
            False,
        )
        print("; ".join(f"{key} {value}" for key, value in one.setting.items() if value))


def _text(cell: MeasuredCell | None) -> str:
    from cktat.evaluation import spread
    from cktat.pages.text import mean_sd

    if cell is None:
        return ""
    percentages = [100 * measured.accuracy for measured in cell.measured]
    return " ".join(filter(None, [mean_sd(spread(percentages)), "failed" if cell.failure else ""]))
