"""The commands that make networks: demo, train, compare, import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from cktat.cli.output import (
    InputsOption,
    MeanOption,
    ModelOption,
    PartOption,
    RootOption,
    StdOption,
    StoreOption,
    TrustOption,
    names,
    per_channel,
    print_table,
)
from cktat.errors import CktatError, unknown
from cktat.usercode import allow, is_file_function


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
    compile: Annotated[bool, Option("--compile", help="Let torch.compile work on the networks.")] = False,
    stop_after: Annotated[str | None, Option(help="Save and stop after this long, such as 9m.")] = None,
    resume: Annotated[bool, Option("--resume", help="Go on with an unfinished run.")] = False,
    trust_code: TrustOption = False,
) -> None:
    """Train a design; the networks it needs are found in the store or trained first.

    \b
    Examples:
      cktat train cktat --data digits --epochs 12 --set tau=1 --set beta=1
      cktat train trades --data cifar10 --model resnet18 --stop-after 9m
    """
    from cktat.api import commands as api
    from cktat.api.configure import OPTIONS
    from cktat.runs import assignment, read_yaml

    options: dict[str, Any] = read_yaml(config) if config else {}
    for key in options:
        if key not in OPTIONS:
            raise unknown(f"key in {config}", key, OPTIONS)
    given = dict(
        data=data, root=root and str(root), model=model, recipe=recipe, epochs=epochs, batch_size=batch_size, lr=lr,
        examples=examples, eps=eps, step=step, steps=steps, ema=ema, awp=awp, seed=seed, device=device,
        precision=precision, threads=threads, compile=compile or None,
    )  # fmt: skip
    named = {name: value for name, value in given.items() if value is not None}
    hyper = options.pop("set", {})
    if not isinstance(hyper, dict):
        raise CktatError(f"{config}: set must hold names and values, such as tau: 3")
    if options.pop("design", design) != design:
        raise CktatError(f"{config} is for another design than {design!r}")
    chosen = dict(map(assignment, set_ or []))
    if config:  # what it names and the command does not
        of_file = [
            value for all_, own in ((options, named), (hyper, chosen)) for key, value in all_.items() if key not in own
        ]
        for value in of_file:
            if isinstance(value, str) and is_file_function(value):
                allow(value, config, trust_code)
    options, hyper = options | named, hyper | chosen
    run = api.train(design, store=store, out=out, resume=resume, stop_after=stop_after, set=hyper, **options)
    print(f"run: {run.path}")


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
    test_images: Annotated[int | None, Option(help="Only the first so many test images.")] = None,
    precision: Annotated[
        str | None, Option(help="As for train; two of them (fp32,bf16) show each design in both, and the differences.")
    ] = None,
    jobs: Annotated[int, Option(help="Runs at a time, each on one thread.", min=1)] = 1,
    markdown: Annotated[bool, Option("--markdown", help="Print the table as Markdown.")] = False,
    out: Annotated[
        Path | None, Option(help="Where to write what stands behind it, as JSON.", metavar="FILE", dir_okay=False)
    ] = None,
    store: StoreOption = None,
) -> None:
    """Train designs with several seeds, attack them, print means and spreads. Run again, it goes on.

    \b
    Example:
      cktat compare trades "cktat tau=1 beta=1" --epochs 10 --jobs 2
    """
    from cktat.designs import DESIGNS
    from cktat.grid.comparison import Comparison, DesignEntry
    from cktat.runs import write_json

    entries = [DesignEntry.read(text) for text in designs or DESIGNS]
    if precision is not None:
        entries = [entry.trained_in(one) for entry in entries for one in names(precision)]
    comparison = Comparison(
        entries=tuple(entries),
        seeds=seeds,
        attacks=tuple(names(attacks)),
        options=dict(
            data=data, root=None if root is None else str(root), model=model, recipe=recipe, epochs=epochs,
            examples=examples, threads=1 if jobs > 1 else None,
        ),
        test_images=test_images,
        store=store,
    )  # fmt: skip
    failures = comparison.run(jobs, print)
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
    options = dict(data=data, root=None if root is None else str(root))
    run, name = import_network(what, Store(store), described, design=as_, say=print, **options)
    teacher = f"--set teacher={name} or " if as_ else ""
    print(f"run: {run.path}\nuse it with {teacher}--set start={name}, or evaluate it")
