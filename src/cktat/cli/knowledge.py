"""The command of Table 5: what networks know of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from typer import Argument, Option

from cktat.cli.output import RootOption, StoreOption, TrustOption, names, print_table


def knowledge(
    runs: Annotated[list[str], Argument(help="Run folders, or their names in the store; one column each.")],
    images: Annotated[
        str,
        Option(help="Classes or numbers of test images to picture, separated by commas (default: airplane,cat,bird)."),
    ] = "",
    layer: Annotated[str | None, Option(help="Dotted name of a layer (default: the last that gives a map).")] = None,
    count_images: Annotated[int, Option(help="Count on the first so many test images.", min=1)] = 30,
    weights: Annotated[str, Option(help="best or last.")] = "best",
    threshold: Annotated[float, Option(help="b: nats below the background that make a knowledge point.")] = 0.2,
    cells: Annotated[int, Option(help="Parts of an image along each side.", min=3)] = 16,
    steps: Annotated[int, Option(help="Steps in which an image's noise is learned.", min=2)] = 120,
    seed: Annotated[int, Option(help="Of the noise.", min=0)] = 0,
    out: Annotated[Path, Option(help="Where pictures and numbers go.", metavar="DIR")] = Path("knowledge"),
    device: Annotated[str, Option(help="auto, cpu, cuda or cuda:0.")] = "auto",
    root: RootOption = None,
    store: StoreOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Find the parts of images that networks depend on, as pictures and as counts (Table 5). Run again, it goes on.

    \b
    Examples:
      cktat knowledge RUN RUN RUN --out knowledge
      cktat knowledge RUN --images 3,17,cat --layer body.stages.1 --count-images 100
    """
    from cktat.paper.knowledge import Discarding

    pictured(
        runs, out, pictured=names(images), layer=layer, count_images=count_images, weights=weights, threshold=threshold,
        how=Discarding(cells=cells, steps=steps, seed=seed), device=device, root=None if root is None else str(root),
        store=store, trust_code=trust_code,
    )  # fmt: skip


def pictured(runs: Sequence[Any], out: Path, **options: Any) -> None:
    """Runs `table5` with its progress shown, and prints the counts."""
    from cktat.api.progress import bars
    from cktat.api.reading import opened
    from cktat.evaluation.table import unfinished
    from cktat.paper.tables.table5 import table5

    console = Console()
    with bars(console) as shown:
        tasks = {}

        def watch(name: str, done: int, all_: int) -> None:
            if name not in tasks:
                tasks[name] = shown.add_task(name, total=all_)
            shown.update(tasks[name], completed=done)
            if done == all_ and not console.is_terminal:
                print(f"{name}: {all_} images")

        made = table5(runs, out, watch=watch, **options)
    columns, *rows = made.counted.rows()
    print(f"Knowledge points of {made.counted.images} images, mean ± standard deviation over images:")
    print_table(columns, rows, False)
    for sentence in made.counted.sentences():
        print(sentence)
    for folder in (opened(run, options.get("store"), None) for run in runs):
        if said := unfinished(folder):
            print(f"{folder.path.name}: {said}.")
    for file in made.files:
        print(f"written: {file}")
