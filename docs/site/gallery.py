"""The gallery: pictures that the package draws from measurements kept in results/, and those that lie beside the documents."""

from __future__ import annotations

import io
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from cktat.cli import app
from cktat.data import load
from cktat.lens.map_page import map_page
from cktat.paper.experiments import accounts

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Picture:
    """A picture of the gallery. file: its place below docs/; page: of a page that was written with it, "" for none."""

    title: str
    file: str
    says: str
    command: str
    page: str = ""


KEPT = (
    Picture(
        "The report",
        "demo.png",
        "A part of the page that `cktat report` writes: accuracies with their intervals, training curves, and accuracy "
        "against the radius of the attack.",
        "cktat demo",
    ),
    Picture(
        "Knowledge points",
        "knowledge.png",
        "Three photographs of CIFAR-10 under three networks. Bright parts can be replaced by noise without a change of what "
        "the network sees; the marked parts are the ones that it depends on.",
        "cktat knowledge RUN RUN RUN --out knowledge",
    ),
    Picture(
        "Features learned, over epochs",
        "theory/accuracy-second.svg",
        "Networks on multi-view data: accuracy on samples that show only a class's other feature. "
        "1 standard, 2 pgd_at, 3 trades, 4 cktat, 5 cktat tau=1 beta=1, 6 pgd_at start=standard.",
        "cktat theory experiment",
    ),
    Picture(
        "One weight before and after",
        "theory/one-weight.svg",
        "A weight after clean training and after adversarial training from there, on sparse-coding data.",
        "cktat theory purification",
    ),
)
"""Pictures of measurements that take hours or data that are not in the package."""


def page(pictures: Iterable[Picture]) -> str:
    """The gallery as Markdown, in docs/."""
    parts = ["# Gallery", "Pictures that the commands below them drew. Select a picture to see it whole."]
    for one in pictures:
        more = f"  \n[The whole page]({one.file.rpartition('/')[0]}/{one.page})" if one.page else ""
        parts += [
            f"## {one.title}",
            f"[![{one.title}]({one.file})]({one.file})",
            f"{one.says}{more}",
            f"```\n{one.command}\n```",
        ]
    return "\n\n".join(parts) + "\n"


def drawn(folder: Path) -> Iterator[Picture]:
    """Draws what needs no training, into docs/gallery below `folder`, the place where the site is put together."""
    out = folder / "docs/gallery"
    out.mkdir(parents=True)
    yield from _of_lens(out)
    yield from _of_table(out)
    yield from _of_theory(out)


def _of_lens(out: Path) -> Iterator[Picture]:
    files = sorted((ROOT / "results/lens/digits/runs").glob("*.json"))
    map_page([json.loads(file.read_text(encoding="utf-8")) for file in files], load("digits"), out, truth="y")
    said = (
        "Each design by how hard its label was to learn and by how far the label is from the truth (Brier score). The "
    )
    yield Picture(
        "The lens: designs on a map", "gallery/map.svg", f"{said}page names the numbers.", "cktat lens map", "map.html"
    )


def _of_table(out: Path) -> Iterator[Picture]:
    with tempfile.TemporaryDirectory() as elsewhere:
        copy = shutil.copytree(ROOT / "results/tables-digits", Path(elsewhere) / "tables")
        with redirect_stdout(io.StringIO()):
            app(["table", "4", "--data", "digits", "--no-run", "--out", str(copy)], standalone_mode=False)
        shutil.copy(copy / "tables.html", out)
    of_table = (out / "tables.html").read_text(encoding="utf-8").partition("Table 4a:")[2]
    (out / "table.svg").write_text(_first_drawing(of_table), encoding="utf-8")
    yield Picture(
        "A table of methods",
        "gallery/table.svg",
        "Clean accuracy against accuracy under attack, of every method in the paper's Table 4, on digits with three seeds. The "
        "page has the table, the claims of the paper, and what can be said of them.",
        "cktat table 4 --data digits --seeds 3 --epochs 5 --out tables",
        "tables.html",
    )


def _of_theory(out: Path) -> Iterator[Picture]:
    accounts.example(out)
    accounts.phase(out)
    yield Picture(
        "Where the learning condition holds",
        "gallery/phase.svg",
        "The paper's theory: shares of single-view samples and of what purification left, and where adversarial training "
        "gains nothing by a second feature.",
        "cktat theory phase",
        "phase.html",
    )
    yield Picture(
        "What the robust errors are made of",
        "gallery/composition.svg",
        "The worked example of the paper's Section 3.2: errors before and after the second feature is learned.",
        "cktat theory example",
        "example.html",
    )


def _first_drawing(page: str) -> str:
    """The first drawing in a page, as a file of its own."""
    found = re.search(r"<svg (.*?</svg>)", page, flags=re.DOTALL)
    if found is None:
        raise ValueError("the page of tables has no picture of Table 4a")
    head = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    style = 'style="background: white; color: black; font-family: sans-serif" '
    return head + style + found[1]
