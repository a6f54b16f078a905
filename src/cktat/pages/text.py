"""Tables as plain text, and the one way to write each kind of number."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from cktat.attacks import SCREENING
from cktat.evaluation.result import Result
from cktat.evaluation.rows import in_order
from cktat.evaluation.statistics import Spread
from cktat.evaluation.table import differing, row_of
from cktat.runs import RunFolder


def aligned(lines: Sequence[Sequence[str]], words: int | None = None) -> list[str]:
    """A table as lines of text. words: so many columns start together, the others end together (None: all start)."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    words = len(widths) if words is None else words
    padded = [[*map(str.ljust, line[:words], widths), *map(str.rjust, line[words:], widths[words:])] for line in lines]
    return ["  ".join(line).rstrip() for line in padded]


def text_table(runs: Sequence[RunFolder], weights: str = "best") -> str:
    """The table as plain text: two lines per run, accuracy in % and its interval. Raises CktatError for broken files."""
    rows = [row_of(run, weights) for run in runs]
    if not rows:
        return "no runs"
    attacks = in_order({attack: None for row in rows for attack in row.results})
    extra = differing(rows)
    lines = [["design", "seed", "weights", *extra, *attacks]]
    for row in rows:
        measured = [row.results.get(attack) for attack in attacks]
        name = f"{row.design} {row.settings}".strip()
        seed = "" if row.seed is None else str(row.seed)
        lines.append([name, seed, weights, *(row.features[key] for key in extra), *(accuracy(r) for r in measured)])
        lines.append([""] * (3 + len(extra)) + [interval(r) for r in measured])
    text = aligned(lines, words=3 + len(extra))
    same = [f"{name} {rows[0].features[name]}" for name in ("data", "model", "eps", "test images") if name not in extra]
    notes = [f"Accuracy in %, below it Wilson's 95 % interval; {', '.join(same)}."]
    notes += [f"{SCREENING}."] if "aa-fast" in attacks else []
    notes += [f"{row.run.path.name}: {note}." for row in rows for note in row.notes]
    notes += [not_evaluated(row.run) for row in rows if not row.results]
    return "\n".join([*(line for line in text if line), *notes])


def not_evaluated(run: RunFolder) -> str:
    return f"not evaluated yet: `cktat evaluate {shlex.quote(run.path.name)}`"


def accuracy(result: Result | None) -> str:
    """In %, one decimal; empty if it was not measured."""
    return "" if result is None else f"{100 * result.accuracy:.1f}"


def interval(result: Result | None) -> str:
    """Wilson's 95 % interval in %, as "low-high"; empty if there is none."""
    return "" if result is None else "-".join(f"{100 * end:.1f}" for end in result.interval)


def mean_sd(found: Spread | None, digits: int = 1, signed: bool = False) -> str:
    """Mean ± standard deviation; of one value the mean alone, since it has no spread; "" for None."""
    if found is None:
        return ""
    deviation = f" ± {found.deviation:.{digits}f}" if found.n > 1 else ""
    return f"{found.mean:{'+' if signed else ''}.{digits}f}{deviation}"


def number(value: float | None, digits: int = 1, signed: bool = False) -> str:
    """A number as people write it, with a true minus sign; "" for None."""
    if value is None:
        return ""
    text = f"{value:{'+' if signed else ''}.{digits}f}"
    if float(text) == 0:
        text = f"{0:.{digits}f}"  # neither +0.0 nor -0.0
    return text.replace("-", "−")


def chance(p: float) -> str:
    """A p value as people write it: two digits, and "< 0.001" below that."""
    return f"{p:.2g}" if p >= 0.001 else "< 0.001"


def commit_text(commit: str) -> str:
    """A commit's first twelve digits, and that there were uncommitted changes where it says so."""
    name, _, changed = commit.partition("+")
    return f"{name[:12]} with uncommitted changes" if changed else name[:12]
