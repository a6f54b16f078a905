"""One self-contained HTML page of sections, in the look of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from cktat.errors import CktatError
from cktat.pages.figures import colour
from cktat.pages.template import environment
from cktat.paper.experiments.drawing import file_of
from cktat.runs import write_atomic

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
{{ style() }}
</head>
<body>
<header><h1>{{ title }}</h1><p class="lead">{{ lead }}</p></header>
{% for section in sections %}
<h2>{{ section.title }}</h2>
{% for paragraph in section.text %}<p>{{ paragraph }}</p>
{% endfor %}
{% if section.legend %}
<div class="legend">{% for name in section.legend %}<span><span class="tag" style="--c: {{ colour(loop.index) }}">
{{- loop.index }}</span>{{ name }}</span>{% endfor %}</div>
{% endif %}
{% if section.figures | length > 1 %}<div class="panels">{% endif %}
{% for name, caption, drawing in section.figures %}
<figure><figcaption>{{ caption }}</figcaption>{{ drawing }}</figure>
{% endfor %}
{% if section.figures | length > 1 %}</div>{% endif %}
{% if section.rows %}
<div class="scroll"><table>
  <thead><tr>{% for column in section.columns %}<th scope="col">{{ column }}</th>{% endfor %}</tr></thead>
  <tbody>
  {% for row in section.rows %}
  <tr><th scope="row">{{ row[0] }}</th>{% for cell in row[1:] %}<td>{{ cell }}</td>{% endfor %}</tr>
  {% endfor %}
  </tbody>
</table></div>
{% endif %}
{% if section.note %}<p class="note">{{ section.note }}</p>{% endif %}
{% endfor %}
</body>
</html>
"""


@dataclass(frozen=True)
class Section:
    """A heading with text, drawings as (file name, caption, SVG), a table (first cell of a row is its name) and a note.

    legend: what the numbers 1, 2, ... at the lines of the drawings stand for.
    """

    title: str
    text: Sequence[str] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    figures: Sequence[tuple[str, str, Markup]] = ()
    note: str = ""
    legend: Sequence[str] = field(default=())


def write_page(folder: Path, name: str, title: str, lead: str, sections: Sequence[Section]) -> Path:
    """Writes folder/name.html, and every drawing beside it as an SVG file; returns the page's path.

    Raises CktatError where there can be no such folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CktatError(f"{folder} cannot be a folder for the page: {error.strerror}") from None
    page = environment().from_string(TEMPLATE).render(title=title, lead=lead, sections=sections, colour=colour)
    for section in sections:
        for file, _, drawing in section.figures:
            write_atomic(folder / f"{file}.svg", file_of(str(drawing)))
    path = folder / f"{name}.html"
    write_atomic(path, page.encode())
    return path


def text_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as lines of text, columns aligned."""
    lines = [tuple(columns), *map(tuple, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
