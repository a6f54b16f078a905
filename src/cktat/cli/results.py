"""The commands about runs: evaluate, report, runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from cktat.cli.options import completing
from cktat.cli.output import (
    InputsOption,
    MeanOption,
    ModelOption,
    PartOption,
    RootOption,
    SizeOption,
    StdOption,
    StoreOption,
    StrictOption,
    TrustOption,
    names,
    per_channel,
    print_table,
)
from cktat.errors import CktatError


def evaluate(
    what: Annotated[
        str,
        Argument(
            metavar="WHAT",
            help="A run, by folder or name; or any network, as for import, with --data.",
            autocompletion=completing("run"),
        ),
    ],
    attacks: Annotated[
        str,
        Option(
            help="Names, separated by commas: fgsm, mim, cw, pgd20 (pgd and any number of steps); "
            "AutoAttack: aa, aa-fast, aa-plus, aa-rand.",
            autocompletion=completing("attacks"),
        ),
    ] = ("pgd20,pgd100,mim,cw"),
    weights: Annotated[str, Option(help="best or last.")] = "best",
    test_images: Annotated[int | None, Option(help="Only the first so many test images.")] = None,
    eps: Annotated[str | None, Option(help="Radius (default: the run's).")] = None,
    batch_size: Annotated[int | None, Option(help="Images at a time (default: 250).", min=1)] = None,
    seed: Annotated[int | None, Option(help="Seed of the attacks' starts (default: 0).", min=0)] = None,
    mode: Annotated[
        Literal["exact", "packed"] | None,
        Option(help="AutoAttack: exact (default), in its authors' batches, or packed, quicker."),
    ] = None,
    doubts: Annotated[bool, Option(help="Examine whether the numbers can be believed.")] = True,
    claimed: Annotated[
        str | None,
        Option(help="An accuracy under attack that is claimed, in percent: is it refuted?", metavar="PERCENT"),
    ] = None,
    device: Annotated[str, Option(help="auto, cpu, cuda or cuda:0.")] = "auto",
    data: Annotated[str | None, Option(help="Images of what is no run; or where a run's are.")] = None,
    root: RootOption = None,
    size: SizeOption = None,
    strict: StrictOption = False,
    norm: Annotated[
        Literal["Linf", "L2"] | None, Option(help="Of a network that is no run (default: Linf); a run has its own.")
    ] = None,
    model: ModelOption = None,
    inputs: InputsOption = "auto",
    mean: MeanOption = None,
    std: StdOption = None,
    part: PartOption = None,
    out: Annotated[
        Path | None,
        Option(help="Put the results into a folder of the run's name there, not into the run.", metavar="DIR"),
    ] = None,
    store: StoreOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Attack a network on test images, in fp32; a result is a JSON file in the run's results/, and is not measured twice.

    \b
    Example:
      cktat evaluate runs/trades-digits-small-s0-1a2b3c4d --attacks pgd20,cw
      cktat evaluate resnet.pt --data cifar10 --attacks aa-fast --claimed 56.0
    """
    from cktat.api import Store
    from cktat.api import commands as api
    from cktat.api.importing import run_of
    from cktat.api.ways import Described
    from cktat.attacks import SCREENING
    from cktat.evaluation.table import unfinished
    from cktat.pages.text import text_table
    from cktat.runs import number

    wanted = names(attacks)
    described = Described(model, inputs, per_channel("mean", mean), per_channel("std", std), part, device=device)
    place = None if root is None else str(root)
    about = {"data": data, "root": place, "size": size, "strict": strict or None, "norm": norm}
    run = run_of(what, Store(store), described, say=print, **about)
    results = api.evaluate(
        run, wanted, weights=weights, test_images=test_images, eps=number("eps", eps), batch_size=batch_size, seed=seed,
        mode=mode, doubts=doubts, claimed=number("claimed", claimed), device=device, out=out,
        store=store, trust_code=trust_code, data=data, root=place,
    )  # fmt: skip
    folder = api.opened(run, store, out)
    if test_images is None and eps is None:
        print(text_table([folder], weights))
    else:
        for result in results:
            low, high = result.interval
            print(
                f"{result.attack:8} {100 * result.accuracy:.1f} % of {result.images} images [{100 * low:.1f}, {100 * high:.1f}]"
            )
        if "aa-fast" in wanted:
            print(f"{SCREENING}.")
        if said := unfinished(folder):
            print(f"{folder.path.name}: {said}.")


def report(
    runs: Annotated[
        list[str], Argument(help="Run folders, or their names in the store.", autocompletion=completing("run"))
    ],
    out: Annotated[
        Path | None, Option(help="The page (default: report.html in the first run).", metavar="FILE")
    ] = None,
    results: Annotated[Path | None, Option(help="Where `evaluate --out` put the results.", metavar="DIR")] = None,
    store: StoreOption = None,
) -> None:
    """Write one self-contained HTML page about runs: table, curves, pictures.

    \b
    Example:
      cktat report RUN RUN --out comparison.html
    """
    from cktat.api import reading

    print(f"page: {reading.report(runs, out, results=results, store=store)}")


def runs(store: StoreOption = None) -> None:
    """List the runs in the store."""
    from cktat.api.store import Store
    from cktat.evaluation.rows import BEST_AND_LAST, result_files

    where = Store(store)
    rows = []
    for run, record in where.records():
        try:
            history, settings = run.history(), run.config()
            results = sum(len(result_files(run, weights)) for weights in BEST_AND_LAST)
        except CktatError as error:
            where.pass_over(run, error)
            continue
        best = max((line["held_out"]["pgd"] for line in history), default=None)
        rows.append(
            (
                run.path.name,
                record["design"]["name"],
                ", ".join(f"{key} {value}" for key, value in settings.set.items()),
                f"{len(history)}/{settings.recipe.epochs}",
                "finished" if record.get("finished") else "unfinished",
                "" if best is None else f"{best:.3f}",
                str(results),
            )
        )
    if not rows:
        print(f"no runs in {where.root}")
    else:
        print_table(("run", "design", "set", "epochs", "state", "best held-out PGD", "results"), rows, False)
