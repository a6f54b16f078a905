"""The command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from typer import Argument, Option

from cktat.errors import CktatError, unknown

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="Adversarially robust image classifiers: every label design in one loop, evaluated with evidence.\n\n"
    "\b\nExamples:\n"
    "  cktat demo\n"
    "  cktat train trades --data cifar10 --root DIR --model resnet18\n"
    "  cktat evaluate RUN --attacks pgd20,cw\n"
    "  cktat report RUN RUN",
)
data_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Data sets: what there is, and fetching them.")
app.add_typer(data_app, name="data")

StoreOption = Annotated[Path | None, Option(help="Where runs lie (default: CKTAT_STORE or ./runs).", metavar="DIR")]
RootOption = Annotated[Path | None, Option(help="Where data sets lie (default: CKTAT_DATA).", metavar="DIR")]
DeviceOption = Annotated[str, Option(help="auto, cpu, cuda or cuda:0.")]


@app.command()
def demo(
    out: Annotated[Path, Option(help="Where runs and page go.", metavar="DIR")] = Path("demo"),
) -> None:
    """Train four designs on the embedded digits, attack them, show a table and a page. Minutes on a CPU.

    Run again, it goes on where it stopped.
    """
    from cktat.evaluation.table import text_table
    from cktat.experiments import api
    from cktat.experiments.demo import DESIGNS, OPTIONS

    runs = []
    for design, hyper in DESIGNS:
        run = api.train(design, store=out, set=hyper, ensure=True, **OPTIONS)
        api.evaluate(run)
        runs.append(run)
    page = api.report(runs, out / "report.html")
    print(f"\n{text_table(runs)}\n\npage: {page}")


@app.command()
def designs(
    markdown: Annotated[bool, Option("--markdown", help="Print the table as Markdown.")] = False,
) -> None:
    """Print the table of label designs, read off their declarations.

    \b
    Example:
      cktat designs | less -S
    """
    from cktat.designs.table import COLUMNS, cells, table

    _print_table(COLUMNS, [cells(row) for row in table()], markdown)


@app.command()
def train(
    design: Annotated[str, Argument(help="A name (see `cktat designs`) or your own file.py:function.")],
    data: Annotated[str | None, Option(help="digits, cifar10, cifar100, FILE.npz, a folder, file.py:function.")] = None,
    root: RootOption = None,
    model: Annotated[str | None, Option(help="small, resnet18, preactresnet18, wrn34-10, file.py:function.")] = None,
    recipe: Annotated[str | None, Option(help="common (one for all designs) or authors (each its own).")] = None,
    epochs: Annotated[int | None, Option(help="Passes over the training images.")] = None,
    batch_size: Annotated[int | None, Option(help="Images per step.")] = None,
    lr: Annotated[float | None, Option(help="Highest learning rate.")] = None,
    examples: Annotated[int | None, Option(help="Train on the first so many images.")] = None,
    eps: Annotated[str | None, Option(help="Radius, a fraction of the pixel range such as 8/255.")] = None,
    step: Annotated[str | None, Option(help="Step of the attack (default eps/4).")] = None,
    steps: Annotated[int | None, Option(help="Steps of the attack in training.")] = None,
    ema: Annotated[float | None, Option(help="Deploy a moving average of the weights: 0.995.")] = None,
    awp: Annotated[float | None, Option(help="Adversarial weight perturbation: 0.005.")] = None,
    seed: Annotated[int | None, Option(help="Everything random follows from it.")] = None,
    set_: Annotated[list[str] | None, Option("--set", help="A hyper-parameter: tau=3.", metavar="NAME=VALUE")] = None,
    config: Annotated[Path | None, Option(help="YAML with settings of the run; options win.", metavar="FILE")] = None,
    out: Annotated[Path | None, Option(help="This run's folder (default: one in the store).", metavar="DIR")] = None,
    store: StoreOption = None,
    device: Annotated[str | None, Option(help="auto, cpu, cuda or cuda:0.")] = None,
    precision: Annotated[str | None, Option(help="auto (by what the device supports), fp32 or bf16.")] = None,
    threads: Annotated[int | None, Option(help="CPU threads.")] = None,
    stop_after: Annotated[str | None, Option(help="Save and stop after this long, such as 9m.")] = None,
    resume: Annotated[bool, Option("--resume", help="Go on with an unfinished run.")] = False,
) -> None:
    """Train a design; the networks it needs are found in the store or trained first.

    \b
    Examples:
      cktat train cktat --data digits --epochs 12 --set tau=1 --set beta=1
      cktat train trades --data cifar10 --root DIR --model resnet18 --stop-after 9m
    """
    from cktat.experiments import api
    from cktat.experiments.compare import assignment
    from cktat.experiments.configure import OPTIONS
    from cktat.training import read_yaml

    options: dict[str, Any] = read_yaml(config) if config else {}
    for key in options:
        if key not in OPTIONS:
            raise unknown(f"key in {config}", key, OPTIONS)
    given = dict(
        data=data, root=root and str(root), model=model, recipe=recipe, epochs=epochs, batch_size=batch_size, lr=lr,
        examples=examples, eps=eps, step=step, steps=steps, ema=ema, awp=awp, seed=seed, device=device,
        precision=precision, threads=threads,
    )  # fmt: skip
    options |= {name: value for name, value in given.items() if value is not None}
    hyper = options.pop("set", {})
    if not isinstance(hyper, dict):
        raise CktatError(f"{config}: set must hold names and values, such as tau: 3")
    if options.pop("design", design) != design:
        raise CktatError(f"{config} is for another design than {design!r}")
    hyper |= dict(map(assignment, set_ or []))
    run = api.train(design, store=store, out=out, resume=resume, stop_after=stop_after, set=hyper, **options)
    print(f"run: {run.path}")


@app.command()
def evaluate(
    run: Annotated[str, Argument(help="A run folder, or its name in the store.")],
    attacks: Annotated[str, Option(help="Names, separated by commas: fgsm, pgd10, pgd20, pgd100, mim, cw.")] = (
        "pgd20,pgd100,mim,cw"
    ),
    weights: Annotated[str, Option(help="best or last.")] = "best",
    examples: Annotated[int | None, Option(help="Only the first so many test images.")] = None,
    eps: Annotated[str | None, Option(help="Radius (default: the run's).")] = None,
    batch_size: Annotated[int, Option(help="Images at a time.", min=1)] = 250,
    seed: Annotated[int, Option(help="Seed of the attacks' starts.", min=0)] = 0,
    device: DeviceOption = "auto",
    root: RootOption = None,
    store: StoreOption = None,
) -> None:
    """Attack a run on test images, in fp32; every attack's result is a JSON file in the run's results/.

    \b
    Example:
      cktat evaluate runs/trades-digits-small-s0-1a2b3c4d --attacks pgd20,cw
    """
    from cktat.evaluation.table import text_table
    from cktat.experiments import api
    from cktat.experiments.configure import number
    from cktat.experiments.store import Store

    names = [name.strip() for name in attacks.split(",") if name.strip()]
    results = api.evaluate(
        run, names, weights=weights, examples=examples, eps=number("eps", eps), batch_size=batch_size, seed=seed,
        device=device, root=None if root is None else str(root), store=store,
    )  # fmt: skip
    if examples is None and eps is None:
        print(text_table([Store(store).open(run)], weights))
    else:
        for result in results:
            low, high = result.interval
            print(
                f"{result.attack:8} {100 * result.accuracy:.1f} % of {result.images} images [{100 * low:.1f}, {100 * high:.1f}]"
            )


@app.command()
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


@app.command()
def compare(
    designs: Annotated[
        list[str] | None, Argument(help="Designs, 'cktat tau=1 beta=1' in quotes (default: all).")
    ] = None,
    data: Annotated[str, Option(help="As for train.")] = "digits",
    root: RootOption = None,
    model: Annotated[str, Option(help="As for train.")] = "small",
    recipe: Annotated[str, Option(help="common or authors.")] = "common",
    epochs: Annotated[int | None, Option(help="Passes over the training images.")] = None,
    examples: Annotated[int | None, Option(help="Train on the first so many images.")] = None,
    seeds: Annotated[int, Option(help="Seeds 0, 1, ...", min=1)] = 3,
    attacks: Annotated[str, Option(help="As for evaluate.")] = "pgd100,cw",
    jobs: Annotated[int, Option(help="Runs at a time, each on one thread.", min=1)] = 1,
    markdown: Annotated[bool, Option("--markdown", help="Print the table as Markdown.")] = False,
    store: StoreOption = None,
) -> None:
    """Train designs with several seeds, attack them, print means and spreads. Run again, it goes on.

    \b
    Example:
      cktat compare trades "cktat tau=1 beta=1" --epochs 10 --jobs 2
    """
    from cktat.designs import DESIGNS
    from cktat.experiments.compare import Entry, table
    from cktat.experiments.compare import compare as run_all

    entries = [Entry.read(text) for text in designs or DESIGNS]
    names = [name.strip() for name in attacks.split(",") if name.strip()]
    options = dict(
        data=data, root=None if root is None else str(root), model=model, recipe=recipe, epochs=epochs, examples=examples,
        threads=1 if jobs > 1 else None,
    )  # fmt: skip
    failures = run_all(entries, seeds, names, options, store, jobs=jobs)
    columns, *rows = table(entries, seeds, names, options, store)
    _print_table(columns, rows, markdown)
    if failures:
        raise CktatError(f"{len(failures)} of {seeds * len(entries)} runs failed: {failures[0]}")


@app.command("import")
def import_(
    file: Annotated[Path, Argument(help="Weights: safetensors, or a state dict of torch.save.")],
    as_: Annotated[str, Option("--as", help="The design it was trained by, such as standard.")],
    data: Annotated[str, Option(help="The data it was trained on.")],
    model: Annotated[str, Option(help="Its architecture: a name or file.py:function.")],
    inputs: Annotated[str, Option(help="data: normalised by the data's mean and std; raw: images in [0, 1].")] = "data",
    root: RootOption = None,
    store: StoreOption = None,
) -> None:
    """Bring in a network you have, as a teacher, a start, or to evaluate it.

    \b
    Example:
      cktat import resnet.pt --as standard --data cifar10 --model resnet18
    """
    from cktat.experiments import Store, configure
    from cktat.experiments.imported import import_network

    config, loaded = configure(design=as_, data=data, model=model, root=None if root is None else str(root))
    run, name = import_network(file, config, loaded, Store(store), inputs=inputs)
    print(f"run: {run.path}\nuse it with --set teacher={name} or --set start={name}, or evaluate it")


@app.command()
def runs(store: StoreOption = None) -> None:
    """List the runs in the store."""
    from cktat.experiments.store import Store

    where = Store(store)
    rows = []
    for run in where.runs():
        there, history = run.read(), run.history()
        settings = there["config"]
        best = max((line["held_out"]["pgd"] for line in history), default=None)
        rows.append(
            (
                run.path.name,
                there["design"]["name"],
                ", ".join(f"{key} {value}" for key, value in settings["set"].items()),
                f"{len(history)}/{settings['recipe']['epochs']}",
                "" if best is None else f"{best:.3f}",
                str(len(list(run.results.glob("*.json")))) if run.results.is_dir() else "0",
            )
        )
    if not rows:
        print(f"no runs in {where.root}")
    else:
        _print_table(("run", "design", "set", "epochs", "best held-out PGD", "result files"), rows, False)


@data_app.command("list")
def data_list(root: RootOption = None) -> None:
    """List the data sets and where they are."""
    from cktat.data import DATASETS, locate

    rows = []
    for name, text in DATASETS.items():
        try:
            place = "in the package" if name == "digits" else str(locate(name, root))
        except CktatError:
            place = "not here"
        rows.append((name, place, text))
    _print_table(("data", "where", "what"), rows, False)


@data_app.command("fetch")
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


def _print_table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], markdown: bool) -> None:
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


def main() -> None:
    """Entry point: a CktatError is one line on stderr and its exit code."""
    try:
        app()
    except CktatError as error:
        print(f"cktat: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
