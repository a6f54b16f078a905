"""Puts the site's source together: the repository's own Markdown in its own places, so that its links hold, and what they
point to; beside it pages that are made from the code, and tutorials with what they print and draw."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

from docs.site import gallery
from docs.site.blocks import Done, run
from docs.site.layout import navigation
from docs.site.reference import api_pages, commands_page, settings_page

ROOT = Path(__file__).parents[2]
OWN = ("README.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "results/PLAN.md")
"""Pages of the repository outside docs/, where they are there."""

LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
FENCE = re.compile(r"^```.*?^```\n?", re.MULTILINE | re.DOTALL)
HIDDEN = re.compile(r"^<!-- *(?:given\b|not run\b).*?-->\n?", re.MULTILINE | re.DOTALL)
CODE = {".py": "python", ".toml": "toml", ".bib": "bibtex"}
"""Files that are shown as a page, by their ending."""


def assemble(source: Path, *, small: bool = False, say: Callable[[str], None] = print) -> list[dict[str, Any]]:
    """Puts the Markdown of the site into the empty folder `source`; returns its navigation.

    small: tutorials at the size at which tests run them.
    """
    pages = {_place(path): path for path in _own_pages()}
    for place, path in pages.items():
        text = HIDDEN.sub("", path.read_text(encoding="utf-8"))
        if place.startswith("docs/tutorials/"):
            say(f"running {place}")
            text = _tutorial(path, source / place, small)
        _write(source / place, _linked(text, path, source, set(pages.values())))
    say("drawing the gallery")
    _write(source / "docs/gallery.md", gallery.page([*gallery.drawn(source), *gallery.KEPT]))
    _write(source / "docs/reference/commands.md", commands_page())
    _write(source / "docs/reference/settings.md", settings_page())
    names = []
    for name, text in api_pages():
        names.append(f"docs/reference/{name}.md")
        _write(source / names[-1], text)
    for picture in gallery.KEPT:
        _copy(ROOT / "docs" / picture.file, source)
    made = ["docs/gallery.md", "docs/reference/commands.md", "docs/reference/settings.md"]
    return navigation([*pages, *made, *names], names)


def _own_pages() -> Iterator[Path]:
    yield from (ROOT / name for name in OWN if (ROOT / name).is_file())
    yield from sorted((ROOT / "docs").glob("*.md"))
    yield from sorted((ROOT / "docs/tutorials").glob("*.md"))


def _place(path: Path) -> str:
    return "index.md" if path == ROOT / "README.md" else path.relative_to(ROOT).as_posix()


def _linked(text: str, path: Path, source: Path, pages: set[Path]) -> str:
    """The page's text, with links to what is no page of the site led to a copy that is."""

    def target(found: re.Match[str]) -> str:
        to, anchor = (path.parent / found[1]).resolve(), found[2] or ""
        if to == ROOT / "README.md":
            return os.path.relpath(ROOT / "index.md", path.parent) + anchor
        if to in pages or not to.is_relative_to(ROOT) or not to.exists():
            return found[0]  # a link to nothing is found by the strict build
        return f"{found[1].rstrip('/')}{_copy(to, source)}{anchor}"

    return _outside_code(text, lambda prose: LINK.sub(target, prose))


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    """The text with everything but its blocks of code changed."""
    done, at = [], 0
    for fence in FENCE.finditer(text):
        done += [change(text[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*done, change(text[at:])])


def _copy(to: Path, source: Path) -> str:
    """Copies a file or a folder that a page links to; what its link gets at its end: code and folders are shown as pages."""
    place = source / to.relative_to(ROOT)
    if to.is_dir():
        files = sorted(file for file in to.iterdir() if file.is_file())
        place.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copy(file, place / file.name)
        lines = [f"# {to.relative_to(ROOT).as_posix()}", *(f"- [{file.name}]({file.name})" for file in files)]
        _write(place / "index.md", "\n".join([lines[0], "", *lines[1:], ""]))
        return "/index.md"
    if to.suffix in CODE:
        shown = f"# {to.relative_to(ROOT).as_posix()}\n\n```{CODE[to.suffix]}\n{to.read_text(encoding='utf-8')}```\n"
        _write(place.with_name(place.name + ".md"), shown)
        return ".md"
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(to, place)
    return ""


def _tutorial(path: Path, place: Path, small: bool) -> str:
    """Runs a tutorial in a folder beside its page: its text with what each block prints and draws. The notebook of the same
    blocks, and the pages and pictures that the tutorial writes, lie beside it."""
    work = place.parent / f".{path.stem}"
    texts = work / "blocks"
    texts.mkdir(parents=True)
    with chdir(work):
        done = {one.block.line: one for one in run(path, texts, small)}
    written = [file for file in sorted(work.iterdir()) if file.suffix in (".html", ".png", ".svg")]
    for file in written:
        shutil.copy(file, place.parent / f"{path.stem}-{file.name}")
    shutil.rmtree(work)
    text = path.read_text(encoding="utf-8")
    _write(place.with_suffix(".ipynb"), json.dumps(notebook(text), indent=1))
    ending = [f"[This page as a notebook]({path.stem}.ipynb)"]
    ending += [f"What it wrote: [{file.name}]({path.stem}-{file.name})" for file in written]
    return HIDDEN.sub("", _with_outputs(text, done, place)) + "\n" + "  \n".join(ending) + "\n"


def _with_outputs(text: str, done: Mapping[int, Done], place: Path) -> str:
    lines: list[str] = []
    ran: Done | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        lines.append(line)
        if line.startswith("```python"):
            ran = done.get(number + 1)
        elif line == "```" and ran is not None:
            if ran.printed.strip():
                lines += ["", "```{.text .printed}", ran.printed.rstrip(), "```"]
            for place_in_block, drawing in enumerate(ran.drawings):
                file = place.with_name(f"{place.stem}-{ran.block.line}-{place_in_block}.svg")
                file.write_text(drawing, encoding="utf-8")
                lines += ["", f"![What the block above draws]({file.name})"]
            ran = None
    return "\n".join(lines) + "\n"


def notebook(text: str) -> dict[str, Any]:
    """A Markdown page as a Jupyter notebook without outputs: a cell for each Python block, and one for the text between."""
    cells: list[dict[str, Any]] = []

    def add(kind: str, content: str) -> None:
        if content.strip():
            extra: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
            source = content.strip().splitlines(keepends=True)
            cells.append({"cell_type": kind, "id": f"cell-{len(cells)}", "metadata": {}, "source": source, **extra})

    at = 0
    for found in re.finditer(r"^```python\n(.*?)^```$|^<!-- given\n(.*?)-->$", text, flags=re.MULTILINE | re.DOTALL):
        add("markdown", text[at : found.start()])
        add("code", found[1] or found[2])
        at = found.end()
    add("markdown", text[at:])
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
