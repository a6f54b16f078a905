"""Python blocks of a Markdown page: read, run one after the other in one namespace, and kept with what they print and draw.

A block may need what its reader has: a network, images. An HTML comment before it makes that, unseen on the page:

    <!-- given
    model = ...
    -->

A block that must not run says why: `<!-- not run: it trains for a day -->`.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

SMALL = {
    r"\bepochs=\d+": "epochs=1",
    r'"epochs": \d+': '"epochs": 1',
    r"\bseeds=\d+": "seeds=2",
    r"\bpgd100\b": "pgd10",
    r"\bqueries=\d+": "queries=20",
    r"\bimages=\d+": "images=40",
}
"""What makes a block quick, as a pattern and what takes its place. No value that a block prints or compares depends on it."""


@dataclass(frozen=True)
class Block:
    """Python text that begins in a line of a page; not_run: the reason why it is not run, None if it is; shown: whether the
    page shows it."""

    line: int
    text: str
    not_run: str | None = None
    shown: bool = True


@dataclass(frozen=True)
class Done:
    """A block that has run: what it printed, and its drawings as SVG."""

    block: Block
    printed: str
    drawings: tuple[str, ...]


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
                yield Block(begun + 1, rest, shown=False)
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


def run(page: Path, folder: Path, small: bool = True) -> Iterator[Done]:
    """Runs the blocks of a page in one namespace, in the current folder. Their text lies in `folder`, where tracebacks find it.

    small: with what makes them quick in the place of what they say.
    """
    space: dict[str, object] = {"__name__": "__page__"}
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.not_run is None:
            text = block.text
            for pattern, quick in SMALL.items() if small else ():
                text = re.sub(pattern, quick, text)
            file = folder / f"{page.stem}_line_{block.line}.py"
            file.write_text(text, encoding="utf-8")
            printed = io.StringIO()
            with redirect_stdout(printed):
                exec(compile(text, str(file), "exec", dont_inherit=True), space)
            yield Done(block, printed.getvalue(), tuple(_drawings()))


def _drawings() -> Iterator[str]:
    """The open figures of pyplot, which are closed: what a notebook shows below a cell."""
    if plt := sys.modules.get("matplotlib.pyplot"):
        for number in plt.get_fignums():
            file = io.StringIO()
            plt.figure(number).savefig(file, format="svg", bbox_inches="tight")
            plt.close(number)
            yield file.getvalue()


def as_code(text: str) -> str:
    """A docstring with its examples in fences, and not indented, as Markdown wants them."""
    found: list[str] = []
    fenced, indent = False, 0
    for line in text.splitlines():
        words = line.strip()
        if not fenced and words.startswith(">>>"):
            fenced, indent = True, len(line) - len(line.lstrip())
            if found and found[-1].strip() in ("Example:", "Examples:"):
                found[-1] = f"**{found[-1].strip()}**"
            found += [*([""] if found and found[-1].strip() else []), "```pycon"]
        elif fenced and not words:
            found.append("```")
            fenced = False
        found.append(line[indent:] if fenced else line)
    return "\n".join([*found, *(["```"] if fenced else [])])
