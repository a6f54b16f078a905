"""The site of the documents: what is made from the code is whole, and no link in the repository's Markdown leads nowhere."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer

import cktat
from cktat.api.configure import configure
from cktat.cli import app
from cktat.designs import DESIGNS
from cktat.schema import OPTIONS
from docs.site.blocks import as_code, blocks
from docs.site.reference import IF_NOT_GIVEN, api_pages, commands_page, public, settings_page

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "results").glob("*.md"))]


def prose(page: Path) -> str:
    """A page without its blocks and spans of code, in which brackets are no links."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The places in a page that a link can name: its headings, in small letters, with - for blanks."""
    titles = re.findall(r"^#+ +(.+?) *$", prose(page), flags=re.MULTILINE)
    plain = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", title).lower() for title in titles)
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_something(page: Path) -> None:
    for to, anchor in re.findall(r"\]\((?![a-z]+:)([^)\s#]*)(#[^)\s]+)?\)", re.sub(r"`[^`\n]*`", "", prose(page))):
        there = (page.parent / to).resolve() if to else page
        assert there.exists(), to
        assert not anchor or anchor[1:] in anchors(there), f"{to}{anchor}"


def test_a_place_in_a_page_has_the_name_that_links_use() -> None:
    assert {"one-number-and-two", "any-network"} <= anchors(ROOT / "docs/evaluation.md")


def test_every_public_name_stands_in_the_reference() -> None:
    pages = dict(api_pages())
    for name in cktat.__all__:
        value = getattr(cktat, name)
        if f"cktat.{name}" in pages:
            assert all(f"::: cktat.{name}.{one}\n" in pages[f"cktat.{name}"] for one in public(value))
        elif name != "__version__":
            assert f"::: cktat.{name}\n" in pages["cktat"]
    assert {"trades", "make"} <= set(public(cktat.designs)) and "Path" not in public(cktat.loggers)


def test_every_command_and_option_stands_in_the_reference() -> None:
    page = commands_page()

    def below(command: object, name: str) -> None:
        assert f" `{name}`\n" in page
        for parameter in command.params:  # type: ignore[attr-defined]
            if getattr(parameter, "param_type_name", "") == "option" and not getattr(parameter, "hidden", False):
                assert parameter.opts[0] in page
        for word, inner in getattr(command, "commands", {}).items():
            below(inner, f"{name} {word}")

    below(typer.main.get_command(app), "cktat")
    assert "`cktat theory phase`" in page and "cktat evaluate RUN --attacks" in page


def test_every_setting_and_recipe_stands_in_the_reference() -> None:
    page = settings_page()
    for option in OPTIONS.values():
        assert f"| `{option.name}` |" in page and " ".join(option.about.split()).replace("|", "\\|") in page
    assert all(f"| `{design}` |" in page for design in DESIGNS)


def test_what_is_taken_for_a_setting_is_what_the_reference_says() -> None:
    assert configure(**IF_NOT_GIVEN)[0] == configure()[0]


def test_examples_become_blocks() -> None:
    text = "Adds.\n\nExample:\n    >>> 1 + 1\n    2\n\nThat is all."
    assert as_code(text) == "Adds.\n\n**Example:**\n\n```pycon\n>>> 1 + 1\n2\n```\n\nThat is all."
    assert as_code("Adds.\n>>> 1\n1") == "Adds.\n\n```pycon\n>>> 1\n1\n```"


@pytest.mark.parametrize("page", sorted((ROOT / "docs/tutorials").glob("*.md")), ids=lambda page: page.stem)
def test_a_tutorials_notebook_has_its_blocks_and_no_outputs(page: Path) -> None:
    from docs.site.assemble import notebook

    text = page.read_text(encoding="utf-8")
    made = json.loads(json.dumps(notebook(text)))
    code = ["".join(cell["source"]) for cell in made["cells"] if cell["cell_type"] == "code"]
    assert code == [block.text.strip() for block in blocks(text)] and len(code) > 1
    assert all(cell["outputs"] == [] for cell in made["cells"] if cell["cell_type"] == "code")
    assert len({cell["id"] for cell in made["cells"]}) == len(made["cells"])


def test_dead_links_and_what_is_loaded_from_elsewhere_are_found(tmp_path: Path) -> None:
    from docs.site.build import dead_links, from_elsewhere

    (tmp_path / "a.html").write_text('<h1 id="one">A</h1><a href="b.html#two">b</a><a href="#one">here</a>')
    (tmp_path / "b.html").write_text('<h1 id="two">B</h1><a href="https://example.org">away</a>')
    assert dead_links(tmp_path) == from_elsewhere(tmp_path) == []
    (tmp_path / "b.html").write_text(
        '<h1 id="three">B</h1><a href="c.html">c</a><script src="https://cdn.test/x.js"></script>'
    )
    assert [line.partition(", ")[0] for line in dead_links(tmp_path)] == [
        "a.html leads to b.html#two", "b.html leads to c.html",
    ]  # fmt: skip
    assert from_elsewhere(tmp_path) == ["b.html loads https://cdn.test/x.js from elsewhere"]


def test_the_navigation_has_every_page_once() -> None:
    from docs.site.layout import SECTIONS, navigation

    listed = [page for section in SECTIONS.values() for page in section]
    assert len(listed) == len(set(listed))
    with pytest.raises(ValueError, match=r"docs/ways\.md"):
        navigation([page for page in listed if page != "docs/ways.md"], ())
    (more,) = [part for part in navigation([*listed, "docs/new.md"], ()) if "More" in part]
    assert more == {"More": ["docs/new.md"]}


@pytest.mark.slow
def test_the_site_is_built_without_a_dead_link(tmp_path: Path) -> None:
    if find_spec("zensical") is None:
        pytest.skip("zensical is not installed; `make docs` installs it")
    from docs.site.build import build

    start = build(tmp_path, small=True)
    assert "<title>" in start.read_text(encoding="utf-8")
    assert (tmp_path / "site/docs/tutorials/own-loop.ipynb").is_file()
