"""What all templates share: where they lie, one base page, and how numbers are written."""

from __future__ import annotations

import time
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from cktat.pages.downloads import download
from cktat.pages.looks import COLOURS, NIGHT, NIGHT_COLOURS, PAPER, numbered, variable
from cktat.pages.text import accuracy, chance, interval, number

ENVIRONMENT = Environment(
    loader=PackageLoader("cktat", ""),
    autoescape=lambda name: name is not None and name.endswith(".html.jinja"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.globals |= {
    "accuracy": accuracy, "chance": chance, "interval": interval, "number": number, "download": download,
    "numbered": numbered,
    "page_colours": {"--page": PAPER} | {variable(n): colour for n, colour in enumerate(COLOURS)},
    "night_colours": {"--page": NIGHT} | {variable(n): colour for n, colour in enumerate(NIGHT_COLOURS)},
}  # fmt: skip
ENVIRONMENT.filters["declared"] = lambda colours: " ".join(f"{name}: {colour};" for name, colour in colours.items())


def rendered(template: str, **values: Any) -> str:
    """The text of a template with its values, a newline at its end. A value that is missing is an error.

    template: its path in this package, such as `pages/report.html.jinja`; in HTML values are escaped.
    """
    today = time.strftime("%Y-%m-%d", time.gmtime())
    return ENVIRONMENT.get_template(template).render(values, today=today).strip() + "\n"
