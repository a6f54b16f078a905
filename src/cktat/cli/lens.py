"""The commands of the lens: how right labels are, how hard to learn, and what the two say of designs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from cktat.cli.options import Command, completing, takes_run_options
from cktat.cli.output import RootOption, StoreOption, TrustOption, names, print_table
from cktat.errors import CktatError

if TYPE_CHECKING:
    from cktat.labels import Design

lens_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="What labels teach: how right they are, how hard to learn.\n\n"
    "\b\nExamples:\n"
    "  cktat lens labels RUN --people cifar10h-counts.npy\n"
    "  cktat lens map --seeds 3 --epochs 10",
)

PeopleOption = Annotated[
    Path | None,
    Option(
        help="What people say of the test images: .npy, .npz or .csv of counts or shares [images, classes]; else y is truth.",
        metavar="FILE",
    ),
]


def _numbers(name: str, text: str) -> tuple[float, ...]:
    from cktat.runs.written import number

    found = tuple(number(name, word) for word in names(text))
    for one in found:
        if not isinstance(one, int | float):
            raise CktatError(f"{name} must be numbers separated by commas, not {text!r}")
    return tuple(map(float, dict.fromkeys(found)))


def _formed(text: str) -> dict[str, Design]:
    """The designs that `--designs` names, by what was written; among them "all" is every one of the package."""
    from cktat.designs import DESIGNS, make
    from cktat.grid.comparison import DesignEntry

    words = [one for word in names(text) for one in (DESIGNS if word == "all" else [word])]
    entries = map(DesignEntry.read, dict.fromkeys(words))
    return {entry.text: make(entry.design, **entry.set) for entry in entries}


@lens_app.command()
def labels(
    run: Annotated[str, Argument(help="A run, or an imported network: its folder, or its name in the store.")],
    people: PeopleOption = None,
    tau: Annotated[str, Option(help="Temperatures, separated by commas.")] = "1,1.5,2,2.5,3,4,5,6",
    smooth: Annotated[str, Option(help="Shares of the uniform distribution in y, separated by commas.")] = "0.05",
    mix: Annotated[
        str, Option(help="Shares of the network in labels that are y's for the rest, separated by commas.")
    ] = "",
    designs: Annotated[
        str,
        Option(help="Designs whose labels are formed with the network in every place, separated by commas; or all."),
    ] = "",
    attacked_images: Annotated[
        int, Option(help="The first so many images, for labels of designs that need x'.", min=1)
    ] = 500,
    folds: Annotated[
        int | None,
        Option(
            help="Look at training images, in so many parts, each by a network that is trained again without it.",
            min=2,
        ),
    ] = None,
    test_images: Annotated[int | None, Option(help="Only the first so many images.")] = None,
    weights: Annotated[str, Option(help="best or last.")] = "best",
    out: Annotated[Path, Option(help="Where numbers, figures and the page go.", metavar="DIR")] = Path("lens"),
    device: Annotated[str, Option(help="auto, cpu, cuda or cuda:0.")] = "auto",
    root: RootOption = None,
    store: StoreOption = None,
    trust_code: TrustOption = False,
) -> None:
    """Hold y and what a network says at several temperatures against people, or against y.

    \b
    Example:
      cktat lens labels RUN --people cifar10h-counts.npy --tau 1,2.5,5
      cktat lens labels RUN --folds 5 --designs all
    """
    from cktat.api import Store
    from cktat.evaluation import load_subject
    from cktat.lens.labels_page import labels_page
    from cktat.lens.standing import COLUMNS
    from cktat.runs import device_of

    place = None if root is None else str(root)
    subject = load_subject(Store(store).open(run), weights, place, device_of(device), trust_code=trust_code)
    taus, smoothed, shares = _numbers("--tau", tau), _numbers("--smooth", smooth), _numbers("--mix", mix)
    unseen = None
    if folds is not None:
        from cktat.lens.crossfit import cross_fitted
        from cktat.runs import Stop

        if people is not None:
            raise CktatError("people were asked about the test images; give either --people or --folds")
        with Stop() as stop:
            unseen = cross_fitted(subject, folds, Store(store), stop=stop, say=print)
    found, page = labels_page(
        subject,
        out,
        people=people,
        test_images=test_images,
        taus=taus,
        smoothed=smoothed,
        shares=shares,
        designs=_formed(designs),
        attacked_images=attacked_images,
        unseen=unseen,
    )
    print_table(COLUMNS, [one.row() for one in found], False)
    print(f"\npage: {page}")


@lens_app.command("map", cls=Command)
@takes_run_options(without=["design", "set", "seed", "device"])
def map_(
    options: dict[str, Any],
    designs: Annotated[
        list[str] | None,
        Argument(help="Designs, 'cktat tau=1 beta=1' in quotes (default: all).", autocompletion=completing("design")),
    ] = None,
    seeds: Annotated[int, Option(help="Seeds 0, 1, ...", min=1)] = 3,
    images: Annotated[int, Option(help="So many training and test images are looked at.", min=2)] = 500,
    attacks: Annotated[str, Option(help="As for evaluate.", autocompletion=completing("attacks"))] = "pgd20",
    people: PeopleOption = None,
    marked: Annotated[
        Path | None,
        Option(
            help="Training images to hold against the others: .npy, .npz or .csv of 0 and 1 [images].", metavar="FILE"
        ),
    ] = None,
    jobs: Annotated[int, Option(help="Runs at a time, each on one thread if not told otherwise.", min=1)] = 1,
    out: Annotated[Path, Option(help="Where numbers, figures and the page go.", metavar="DIR")] = Path("lens"),
    store: StoreOption = None,
) -> None:
    """Train designs and place each by how right its label is and how hard it was to learn. Run again, it goes on.

    \b
    Example:
      cktat lens map trades pgd_at "cktat tau=1 beta=1" ard --epochs 10 --jobs 2
    """
    from cktat.api import configure
    from cktat.designs import PAPER
    from cktat.evaluation import CLEAN, known_attacks
    from cktat.grid.comparison import DesignEntry
    from cktat.lens.design_map import LensSetting, looked_at
    from cktat.lens.map_page import COLUMNS, map_page

    entries = [DesignEntry.read(text) for text in dict.fromkeys(designs or PAPER)]
    chosen = tuple(known_attacks(names(attacks)))
    _, data = configure(design=entries[0].design, **options)
    setting = LensSetting(options, images, chosen, people, marked, None if store is None else str(store))
    records = looked_at(entries, seeds, setting, out, jobs=jobs, say=print)
    rows, page = map_page(records, data, out, truth="people" if people else "y")
    print()
    print_table((*COLUMNS, *(f"{name} %" for name in chosen if name != CLEAN)), rows, False)
    print(f"\npage: {page}")
