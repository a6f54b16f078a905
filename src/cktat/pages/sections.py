"""One self-contained HTML page of sections, in the look of the report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from cktat.errors import CktatError
from cktat.pages.downloads import DownloadTable
from cktat.pages.looks import Look, numbered
from cktat.pages.template import rendered
from cktat.runs import write_atomic


@dataclass(frozen=True)
class Section:
    """A heading with text, drawings as (file name, caption, SVG), a table (first cell of a row is its name) and a note.

    legend: what the numbers 1, 2, ... at the lines of the drawings stand for; looks: theirs, () where they are no designs'.
    images: data URIs of small pictures, each with the lines below it, the first of which also describes it to who cannot see
    it. pictures: large ones as (data URI, width in pixels, caption, what is to be seen).
    """

    title: str
    text: Sequence[str] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    figures: Sequence[tuple[str, str, Markup]] = ()
    note: str = ""
    legend: Sequence[str] = field(default=())
    images: Sequence[tuple[str, Sequence[str]]] = ()
    looks: Sequence[Look] = ()
    pictures: Sequence[tuple[str, int, str, str]] = ()

    @property
    def entries(self) -> list[tuple[int, Look, str, str]]:
        """Of the legend: number, look, name and small print."""
        looks = self.looks or [numbered(number) for number in range(1, len(self.legend) + 1)]
        return [(n, look, name, "") for n, (look, name) in enumerate(zip(looks, self.legend, strict=True), 1)]

    @property
    def saved(self) -> DownloadTable:
        """The table as it can be saved."""
        return DownloadTable(self.columns, self.rows)


def write_page(
    folder: Path, name: str, title: str, lead: str, sections: Sequence[Section], *, result: str = ""
) -> Path:
    """Writes folder/name.html, and every drawing beside it as an SVG file; returns the page's path.

    lead: what the page is of. result: what was found, in one sentence, which stands above it.

    Raises CktatError where there can be no such folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CktatError(f"{folder} cannot be a folder for the page: {error.strerror}") from None
    page = rendered("pages/sections.html.jinja", title=title, lead=lead, result=result, sections=sections)
    for section in sections:
        for file, _, drawing in section.figures:
            write_atomic(folder / f"{file}.svg", _file_of(str(drawing)))
    path = folder / f"{name}.html"
    write_atomic(path, page.encode())
    return path


def _file_of(svg: str) -> bytes:
    """An inline SVG as a file of its own: black on white, with the names that a page declares for it."""
    view = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    size = f'width="{view[1]}pt" height="{view[2]}pt" ' if view else ""
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    style = 'style="background: white; color: black; font-family: sans-serif" '
    return svg.replace("<svg ", f"<svg {names}{size}{style}", 1).encode()
