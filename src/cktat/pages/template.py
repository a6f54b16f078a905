"""What all pages share: one style, and a template that takes nothing but values."""

from __future__ import annotations

import re
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup


def environment() -> Environment:
    """For templates of HTML: values are escaped, and one that is missing is an error. `style` gives the common look."""
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals["style"] = style
    return made


def template_of(package: str, name: str) -> str:
    """The text of a template that lies in a package."""
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def style() -> Markup:
    """The report's style sheet, as an element of a page's head."""
    found = re.search(r"<style>.*?</style>", template_of("cktat.pages", "report.html.jinja"), flags=re.DOTALL)
    assert found is not None
    return Markup(found[0])
