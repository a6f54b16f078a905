"""The commands about runs: evaluate, report, runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from cktat.cli.output import RootOption, StoreOption, names, print_table


def evaluate(
    run: Annotated[str, Argument(help="A run folder, or its name in the store.")],
    attacks: Annotated[
        str,
        Option(
            help="Names, separated by commas: fgsm, pgd10, pgd20, pgd100, mim, cw; AutoAttack: aa, aa-fast, aa-plus, aa-rand."
        ),
    ] = ("pgd20,pgd100,mim,cw"),
    weights: Annotated[str, Option(help="best or last.")] = "best",
    examples: Annotated[int | None, Option(help="Only the first so many test images.")] = None,
    eps: Annotated[str | None, Option(help="Radius (default: the run's).")] = None,
    batch_size: Annotated[int, Option(help="Images at a time.", min=1)] = 250,
    seed: Annotated[int, Option(help="Seed of the attacks' starts.", min=0)] = 0,
    mode: Annotated[
        Literal["exact", "packed"], Option(help="AutoAttack: exact, in its authors' batches, or packed, quicker.")
    ] = "exact",
    doubts: Annotated[bool, Option(help="Examine whether the numbers can be believed.")] = True,
    device: Annotated[str, Option(help="auto, cpu, cuda or cuda:0.")] = "auto",
    root: RootOption = None,
    store: StoreOption = None,
) -> None:
    """Attack a run on test images, in fp32; every attack's result is a JSON file in the run's results/.

    \b
    Example:
      cktat evaluate runs/trades-digits-small-s0-1a2b3c4d --attacks pgd20,cw
    """
    from cktat.attacks import SCREENING
    from cktat.evaluation.table import text_table
    from cktat.experiments import api
    from cktat.experiments.store import Store
    from cktat.training import number

    wanted = names(attacks)
    results = api.evaluate(
        run, wanted, weights=weights, examples=examples, eps=number("eps", eps), batch_size=batch_size, seed=seed,
        mode=mode, doubts=doubts, device=device, root=None if root is None else str(root), store=store,
    )  # fmt: skip
    if examples is None and eps is None:
        print(text_table([Store(store).open(run)], weights))
    else:
        for result in results:
            low, high = result.interval
            print(
                f"{result.attack:8} {100 * result.accuracy:.1f} % of {result.images} images [{100 * low:.1f}, {100 * high:.1f}]"
            )
        if "aa-fast" in wanted:
            print(f"{SCREENING}.")


def report(
    runs: Annotated[list[str], Argument(help="Run folders, or their names in the store.")],
    out: Annotated[
        Path | None, Option(help="The page (default: report.html in the first run).", metavar="FILE")
    ] = None,
    store: StoreOption = None,
) -> None:
    """Write one self-contained HTML page about runs: table, curves, pictures.

    \b
    Example:
      cktat report RUN RUN --out comparison.html
    """
    from cktat.experiments import api

    print(f"page: {api.report(runs, out, store=store)}")


def runs(store: StoreOption = None) -> None:
    """List the runs in the store."""
    from cktat.experiments.store import Store

    where = Store(store)
    rows = []
    for run in where.runs():
        there, history = run.read(), run.history()
        settings = run.config()
        best = max((line["held_out"]["pgd"] for line in history), default=None)
        rows.append(
            (
                run.path.name,
                there["design"]["name"],
                ", ".join(f"{key} {value}" for key, value in settings.set.items()),
                f"{len(history)}/{settings.recipe.epochs}",
                "" if best is None else f"{best:.3f}",
                str(len(list(run.results.glob("*.json")))) if run.results.is_dir() else "0",
            )
        )
    if not rows:
        print(f"no runs in {where.root}")
    else:
        print_table(("run", "design", "set", "epochs", "best held-out PGD", "result files"), rows, False)
