"""Every Python block of the README and the documents runs, block after block, in an empty folder and at small settings; what
stands in a comment before a block, see `docs/site/blocks.py`."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import pytest
import torch

from docs.site.blocks import blocks, run

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/tutorials").glob("*.md"))]


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder to run in, as somebody has who has just installed the package."""
    monkeypatch.chdir(tmp_path)
    for name in ("CKTAT_DATA", "CKTAT_STORE"):
        monkeypatch.delenv(name, raising=False)
    matplotlib.use("agg")
    return tmp_path


WITH_PYTHON = [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_can_be_found(page: Path) -> None:
    found = [block for block in blocks(page.read_text(encoding="utf-8")) if block.text]
    assert bool(found) == (page in WITH_PYTHON)


LONG = ("a-new-design", "judge-a-checkpoint", "the-lens")
"""Tutorials that train more than a minute's tests may: run with the slow tests, and by `make docs`."""


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] if page.stem in LONG else []) for page in WITH_PYTHON],
    ids=lambda page: page.name,
)
def test_every_block_runs(page: Path, empty: Path) -> None:
    code = empty / "blocks"
    code.mkdir()
    with torch.random.fork_rng():
        assert list(run(page, code))


def test_the_readme_and_the_pages_that_have_blocks_are_among_them() -> None:
    assert {"README.md", "add-a-design.md", "evaluation.md"} <= {page.name for page in WITH_PYTHON}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```python\nx = 1\n```\nand\n```\ncktat train\n```\n```python\ny = x\n```", [(2, "x = 1"), (9, "y = x")]),
        ("<!-- given\nx = 1\n-->\n```python\ny = x\n```", [(2, "x = 1"), (5, "y = x")]),
        ("<!-- a remark -->\n```python\ny = 1\n```", [(3, "y = 1")]),
    ],
)
def test_blocks_are_read_with_what_they_are_given(text: str, found: list[tuple[int, str]]) -> None:
    assert [(block.line, block.text) for block in blocks(text)] == found
    assert all(block.not_run is None for block in blocks(text))


def test_a_block_that_is_not_run_has_a_reason() -> None:
    text = "<!-- not run: {} -->\n\n```python\n1 / 0\n```\n```python\nx = 1\n```"
    assert [block.not_run for block in blocks(text.format("it divides by 0"))] == ["it divides by 0", None]
    for wrong in (
        text.format(""), text.replace(": {}", ""), text.format("why").replace("\n\n", "\nwords\n"),
        "```py\nx\n```", "```python\nx = 1", "<!-- given\nx = 1",
        "<!-- not run: why -->\n```\ncktat\n```",
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"line \d"):
            list(blocks(wrong))


def test_a_block_that_fails_is_a_failure(empty: Path) -> None:
    page = empty / "page.md"
    page.write_text("```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError):
        list(run(page, empty))
    page.write_text("```python\nx = 2\n```\n\n```python\nprint(x)\n```\n", encoding="utf-8")
    assert [done.printed for done in run(page, empty)] == ["", "2\n"]
