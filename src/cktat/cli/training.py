"""The commands that make networks: demo, train, compare, import."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from cktat.cli.options import completing, takes_run_options
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
from cktat.cli.settings import OWN_OF_A_RUN, ConfigOption, PrintConfigOption, common_settings, with_file
from cktat.errors import CktatError
from cktat.schema import OPTIONS

if TYPE_CHECKING:
    from cktat.training import Callback


def demo(
    out: Annotated[Path, Option(help="Where runs and page go.", metavar="DIR")] = Path("demo"),
) -> None:
    """Train four designs on the embedded digits, attack them, show a table and a page. Minutes on a CPU.

    Run again, it goes on where it stopped.
    """
    from cktat.pages.text import text_table
    from cktat.paper.demo import demo as demonstrate

    runs, page = demonstrate(out)
    print(f"\n{text_table(runs)}\n\npage: {page}")


@takes_run_options(without=["design"])
def train(
    design: Annotated[str, Argument(help=OPTIONS["design"].about, autocompletion=completing("design"))],
    options: dict[str, Any],
    config: ConfigOption = None,
    print_config: PrintConfigOption = False,
    out: Annotated[Path | None, Option(help="This run's folder (default: one in the store).", metavar="DIR")] = None,
    store: StoreOption = None,
    stop_after: Annotated[str | None, Option(help="Save and stop after this long, such as 9m.")] = None,
    resume: Annotated[bool, Option("--resume", help="Go on with an unfinished run.")] = False,
    log: Annotated[
        list[str] | None, Option(help="Log to tensorboard, wandb, mlflow or trackio; may be repeated.", metavar="TOOL")
    ] = None,
    trust_code: TrustOption = False,
) -> None:
    """Train a design; the networks it needs are found in the store or trained first.

    \b
    Examples:
      cktat train cktat --data digits --epochs 12 --set tau=1 --set beta=1
      cktat train trades --data cifar10 --model resnet18 --stop-after 9m
    """
    from cktat.api import commands as api
    from cktat.api.configure import settings_text

    options = with_file(options, config, trust_code)
    if options.pop("design", design) != design:
        raise CktatError(f"{config} is for another design than {design!r}")
    if print_config:
        print(settings_text(design=design, **options), end="")
        return
    callbacks = _loggers(log) if log else []
    run = api.train(design, store=store, out=out, resume=resume, stop_after=stop_after, callbacks=callbacks, **options)
    print(f"run: {run.path}")


def _loggers(names: Sequence[str]) -> list[Callback]:
    from cktat.loggers import logger

    return [logger(name) for name in dict.fromkeys(names)]


@takes_run_options(without=["design", "set", "seed", "precision"])
def compare(
    options: dict[str, Any],
    designs: Annotated[
        list[str] | None,
        Argument(
            help="Designs, 'cktat tau=1 beta=1' in quotes (default: the paper's).", autocompletion=completing("design")
        ),
    ] = None,
    seeds: Annotated[int, Option(help="Seeds 0, 1, ...", min=1)] = 3,
    attacks: Annotated[str, Option(help="As for evaluate.", autocompletion=completing("attacks"))] = "pgd100,cw",
    test_images: Annotated[int | None, Option(help="Only the first so many test images.")] = None,
    precision: Annotated[
        str | None, Option(help="As for train; two of them (fp32,bf16) show each design in both, and the differences.")
    ] = None,
    config: ConfigOption = None,
    print_config: PrintConfigOption = False,
    jobs: Annotated[int, Option(help="Runs at a time, each on one thread if not told otherwise.", min=1)] = 1,
    markdown: Annotated[bool, Option("--markdown", help="Print the table as Markdown.")] = False,
    out: Annotated[
        Path | None, Option(help="Where to write what stands behind it, as JSON.", metavar="FILE", dir_okay=False)
    ] = None,
    store: StoreOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Train designs with several seeds, attack them, print means and spreads. Run again, it goes on.

    \b
    Example:
      cktat compare trades "cktat tau=1 beta=1" --epochs 10 --jobs 2
    """
    from cktat.designs import PAPER
    from cktat.grid.comparison import Comparison, DesignEntry
    from cktat.runs import write_json

    options = ({"threads": 1} if jobs > 1 else {}) | with_file(options, config, trust_code, OWN_OF_A_RUN)
    if precision is not None:
        options.pop("precision", None)  # a file's: several stand beside each other as entries
    if print_config:
        one = {"precision": precision} if precision and len(names(precision)) == 1 else {}
        print(common_settings(options | one), end="")
        return
    entries = [DesignEntry.read(text) for text in designs or PAPER]
    if precision is not None:
        entries = [entry.trained_in(one) for entry in entries for one in names(precision)]
    comparison = Comparison(
        entries=tuple(entries),
        seeds=seeds,
        attacks=tuple(names(attacks)),
        options=options,
        test_images=test_images,
        store=store,
    )
    failures = comparison.run(jobs, print, trust_code)
    columns, *rows = comparison.table()
    print_table(columns, rows, markdown)
    columns, *rows = comparison.differences()
    if rows:
        print()
        print_table(columns, rows, markdown)
    if out:
        write_json(out, comparison.record())
        print(f"record: {out}")
    if failures:
        raise CktatError(f"{len(failures)} of {seeds * len(comparison.entries)} runs failed: {failures[0]}")


def import_(
    what: Annotated[
        str,
        Argument(metavar="FILE", help="Weights: safetensors, torch.save's, a Hugging Face folder, file.py:function."),
    ],
    data: Annotated[str, Option(help="The data it is for, as for train.")],
    as_: Annotated[
        str | None, Option("--as", help="The design it was trained by, such as standard: asked of a teacher.")
    ] = None,
    model: ModelOption = None,
    inputs: InputsOption = "auto",
    mean: MeanOption = None,
    std: StdOption = None,
    part: PartOption = None,
    new_head: Annotated[
        bool, Option("--new-head", help="All but the last layer, which is drawn anew: for other classes.")
    ] = False,
    root: RootOption = None,
    size: SizeOption = None,
    strict: StrictOption = False,
    store: StoreOption = None,
) -> None:
    """Bring in a network you have, as a teacher, a start, or to evaluate it.

    A file.py:function is called with those of classes= and channels= that it takes, and returns an nn.Module.

    \b
    Example:
      cktat import resnet.pt --data cifar10
      cktat import resnet.pt --data cifar10 --as standard --inputs raw
    """
    from cktat.api import Store
    from cktat.api.importing import import_network
    from cktat.api.ways import Described

    described = Described(model, inputs, per_channel("mean", mean), per_channel("std", std), part, new_head)
    options = {"data": data, "root": None if root is None else str(root), "size": size, "strict": strict or None}
    run, name = import_network(what, Store(store), described, design=as_, say=print, **options)
    teacher = f"--set teacher={name} or " if as_ else ""
    print(f"run: {run.path}\nuse it with {teacher}--set start={name}, or evaluate it")
