"""Every Python block of the README and the documents runs, block after block, in an empty folder and at small settings.

A block may need what its reader has: a network, images. An HTML comment before it makes that, unseen on the page:

    <!-- given
    model = ...
    -->

A block that must not run says why: `<!-- not run: it trains for a day -->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SMALL = {r"\bepochs=\d+": "epochs=1", r"\bpgd100\b": "pgd10", r"\bqueries=\d+": "queries=20"}
"""What makes a block quick, as a pattern and what takes its place. No value that a block prints or compares depends on it."""


@dataclass(frozen=True)
class Block:
    """Python text that begins in a line of a page; not_run: the reason why it is not run, None if it is."""

    line: int
    text: str
    not_run: str | None = None


def blocks(page: str) -> Iterator[Block]:
    """The Python blocks of a page and what they are given, in their order. Raises ValueError for what cannot be read."""
    lines = page.splitlines()
    reason: str | None = None
    at = 0
    while at < len(lines):
        line, begun = lines[at].strip(), at + 1
        at += 1
        if line.startswith("<!--"):
            while "-->" not in lines[at - 1]:
                at += 1
                if at > len(lines):
                    raise ValueError(f"the comment in line {begun} does not end")
            comment = "\n".join(lines[begun - 1 : at]).strip().removeprefix("<!--").rpartition("-->")[0].strip()
            kind, _, rest = comment.partition("\n") if comment.startswith("given\n") else comment.partition(":")
            if kind == "given":
                yield Block(begun + 1, rest)
            elif kind.startswith("not run") and not (reason := rest.strip()):
                raise ValueError(f"line {begun}: a block that is not run needs a reason")
        elif line.startswith("```"):
            while at < len(lines) and not lines[at].strip().startswith("```"):
                at += 1
            if at == len(lines):
                raise ValueError(f"the block in line {begun} does not end")
            kind = line.removeprefix("```").strip().lower()
            if kind == "python":
                yield Block(begun + 1, "\n".join(lines[begun:at]), reason)
            elif kind in ("py", "python3", "pycon"):
                raise ValueError(f"line {begun}: a Python block is called python, so that it is found")
            elif reason:
                raise ValueError(f"line {begun}: the reason before it belongs to no Python block")
            at += 1
            reason = None
        elif line and reason:
            raise ValueError(f"line {begun}: the reason before it belongs to no block")


def execute(page: Path, folder: Path) -> int:
    """Runs the blocks of a page in one namespace; their number. Their files lie in `folder`, where tracebacks find them."""
    space: dict[str, object] = {"__name__": "__page__"}
    done = 0
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.not_run is None:
            text = block.text
            for pattern, small in SMALL.items():
                text = re.sub(pattern, small, text)
            file = folder / f"{page.stem}_line_{block.line}.py"
            file.write_text(text, encoding="utf-8")
            exec(compile(text, str(file), "exec", dont_inherit=True), space)
            done += 1
    return done


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder to run in, as somebody has who has just installed the package."""
    monkeypatch.chdir(tmp_path)
    for name in ("CKTAT_DATA", "CKTAT_STORE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


WITH_PYTHON = [page for page in PAGES if "```python" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_can_be_found(page: Path) -> None:
    found = [block for block in blocks(page.read_text(encoding="utf-8")) if block.text]
    assert bool(found) == (page in WITH_PYTHON)


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_every_block_runs(page: Path, empty: Path) -> None:
    code = empty / "blocks"
    code.mkdir()
    with torch.random.fork_rng():
        assert execute(page, code) > 0


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
        execute(page, empty)
    page.write_text("```python\nx = 2\n```\n\n```python\nassert x == 2\n```\n", encoding="utf-8")
    assert execute(page, empty) == 2
