"""Which page stands where in the navigation of the site."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

SECTIONS: dict[str, tuple[str, ...]] = {
    "Start": ("index.md", "docs/ways.md", "docs/gallery.md"),
    "Tutorials": (
        "docs/tutorials/own-data.md",
        "docs/tutorials/own-loop.md",
        "docs/tutorials/compare-methods.md",
        "docs/tutorials/judge-a-checkpoint.md",
        "docs/tutorials/a-new-design.md",
        "docs/tutorials/the-lens.md",
    ),
    "Guides": (
        "docs/your-data.md",
        "docs/your-network.md",
        "docs/library.md",
        "docs/add-a-design.md",
        "docs/evaluation.md",
        "docs/doubts.md",
        "docs/tables.md",
        "docs/deploy.md",
        "docs/running.md",
        "docs/knowledge.md",
        "docs/lens.md",
    ),
    "Reference": ("docs/reference/commands.md", "docs/reference/settings.md", "docs/glossary.md", "docs/theory.md"),
    "Names in Python": (),
    "Measured": (
        "docs/findings.md",
        "docs/measured.md",
        "docs/speed.md",
        "docs/scale.md",
        "docs/reliability.md",
        "results/PLAN.md",
    ),
    "Project": ("docs/decisions.md", "docs/deviations.md", "docs/architecture.md", "SECURITY.md", "CHANGELOG.md"),
}
"""Pages by the heading that they stand under, in order."""

REST = "More"
"""The heading for pages of docs/ that are named nowhere above."""


def navigation(pages: Iterable[str], names: Iterable[str]) -> list[dict[str, Any]]:
    """The navigation of these pages. names: of pages on names in Python, which stand under a heading of their own.

    Raises ValueError for a page that should be there and is not.
    """
    there = set(pages)
    listed = SECTIONS | {"Names in Python": tuple(names)}
    named = {page for section in listed.values() for page in section}
    if missing := sorted(named - there):
        raise ValueError(f"the navigation names pages that are not there: {', '.join(missing)}")
    rest = sorted(page for page in there - named if page.startswith("docs/") and page.count("/") == 1)
    return [{title: list(section)} for title, section in (listed | ({REST: tuple(rest)} if rest else {})).items()]
