"""Every command line in the README and the documents: the parser takes it, and it runs on tiny data.

Commands in blocks are run with a tiny run for RUN, tiny data for the data they name, and small numbers. `ELSEWHERE` says which
test runs the others.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
import typer
from typer.testing import CliRunner

from cktat.cli import app
from tests.conftest import Runs, Tiny

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/tutorials").glob("*.md"))]
ELSEWHERE = {
    ("deploy.md", ""): "tests/test_deploy.py",
    ("your-data.md", ""): "tests/data/test_many_photographs.py",
    ("ways.md", "photos"): "tests/test_deploy.py",
    ("", "cktat knowledge"): "tests/paper/knowledge",
    ("", "cktat theory experiment"): "tests/test_cli_of_theory.py",
    ("", "cktat theory purification"): "tests/test_cli_of_theory.py",
    ("", "cktat theory regime"): "tests/test_cli_of_theory.py",
    ("", "cktat theory hinge"): "tests/test_cli_of_theory.py",
    ("", "cktat theory rivals"): "tests/test_cli_of_theory.py",
    ("", "cktat theory scaling"): "tests/test_cli_of_theory.py",
    ("", "cktat theory reasons"): "tests/test_cli_of_theory.py",
    ("", "--people"): "tests/lens",
    ("", "cktat bench"): "tests/bench",
    ("measured.md", ".../"): "none: the file is another package's",
    ("measured.md", "standard@"): "none: the teacher is that file",
    ("", "cktat demo"): "tests/paper/test_demo.py",
}
"""By the end of a page's name and words of a command: the tests that run it."""

LONG = ("compare", "table", "lens map")
"""Commands that train several networks: run with the slow tests."""

SMALL = {
    r"--(epochs|seeds|jobs) \d+": r"--\1 1",
    r"--(test-images|aa-images|images) \d+": r"--\1 6",
    r"--examples \d+": "--examples 24",
    r"--batch-size \d+": "--batch-size 12",
    r"--people \S+": "",
    r"--root DIR": "",
    r"(pgd|fgsm)\d+": r"\g<1>2",
    r"--out \S+": "--out out",
    r"(?<=[ ,])aa(-\w+)?(?=[ ,]|$)": "apgd-ce",
    r"--mode packed": "",
}
"""What makes a command quick, as a pattern and what takes its place. AutoAttack is tested by itself, and takes long."""


ROOT_COMMAND = typer.main.get_command(app)


@dataclass(frozen=True)
class Line:
    """A command of a page. block: whether it stands in a block, and not in a sentence."""

    page: str
    number: int
    text: str
    block: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.number}: {self.text}"


def lines() -> Iterator[Line]:
    for page in PAGES:
        fence: str | None = None
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
            if line.startswith("```"):
                fence = line.removeprefix("```").strip() if fence is None else None
            elif fence == "" and line.startswith("cktat "):
                yield Line(page.name, number, re.split(r"\s+# ", line)[0].strip(), True)
            elif fence is None:
                for text in re.findall(r"`(cktat [a-z][^`]*)`", line):
                    design = re.match(r"cktat \w+=", text)  # with its parameters, as `compare` takes it
                    if "..." not in text and "--help" not in text and not design:
                        yield Line(page.name, number, text, False)


LINES = list(lines())
RUN = [line for line in LINES if line.block and not any(line.page.endswith(p) and w in line.text for p, w in ELSEWHERE)]


@pytest.mark.parametrize("line", LINES, ids=str)
def test_the_parser_takes_it(line: Line) -> None:
    parse(shlex.split(line.text)[1:], whole=line.block)


def parse(words: list[str], whole: bool = True) -> None:
    """Parses a command as the command line does. whole: it has all its arguments; a sentence may name the command alone."""
    command = ROOT_COMMAND
    context = command.make_context("cktat", words)
    while isinstance(command, click.Group) or hasattr(command, "commands"):
        rest = [*getattr(context, "_protected_args", ()), *context.args]
        if not rest and not whole:
            return
        name, command, rest = command.resolve_command(context, rest)
        if not rest and not whole:
            return
        try:
            context = command.make_context(name, list(rest), parent=context)
        except click.exceptions.MissingParameter:
            if whole:
                raise
            return
        except Exception as error:  # what typer makes of click has classes of its own
            if whole or type(error).__name__ != "MissingParameter":
                raise
            return


def test_a_command_that_is_wrong_is_found() -> None:
    for text in ("train trades --epoch 3", "evalute RUN", "evaluate"):
        with pytest.raises(Exception, match=r"No such|Missing"):
            parse(shlex.split(text))
    assert len(RUN) > 20 and any(line.page == "README.md" for line in LINES)


@pytest.fixture(scope="module")
def trained(runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.train("pgd_at", tmp_path_factory.mktemp("store"), epochs=1).path


def one(line: Line) -> object:
    long = any(line.text.startswith(f"cktat {name}") and "--plan" not in line.text for name in LONG)
    return pytest.param(line, id=str(line), marks=[pytest.mark.slow] if long else [])


@pytest.mark.parametrize("line", [one(line) for line in RUN])
def test_it_runs(line: Line, trained: Path, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    import cktat

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CKTAT_STORE", str(tmp_path / "runs"))
    if "resnet.pt" in line.text or "somebody.pt" in line.text:
        for name in ("resnet.pt", "somebody.pt"):
            torch.save(cktat.load(trained).state_dict(), name)
    if (own := re.search(r"\./(\w+\.py):", line.text)) is not None:
        page = (ROOT / "docs" / line.page).read_text(encoding="utf-8")
        (block,) = re.findall(rf"```python\n# {own[1]}\n(.*?)```", page, flags=re.DOTALL)
        (tmp_path / own[1]).write_text(block, encoding="utf-8")
    text = line.text
    for pattern, small in SMALL.items():
        text = re.sub(pattern, small, text)
    words = []
    for word in shlex.split(text)[1:]:
        words.append(str(trained) if word == "RUN" else word)
    command = words[0] if words[0] not in ("lens", "theory") else " ".join(words[:2])
    if command != "table":
        words = [tiny.data if word in ("digits", "cifar10") else word for word in words]
        words = [tiny.model if word in ("small", "resnet18") else word for word in words]
    else:
        words = [{"cifar10": "digits", "resnet18": "small"}.get(word, word) for word in words]
    if command in ("train", "compare", "lens map"):
        usual = {"--data": tiny.data, "--model": tiny.model, "--epochs": "1", "--batch-size": "12", "--steps": "2"}
        words += [part for flag, value in usual.items() if flag not in words for part in (flag, value)]
    if command == "evaluate" and "--test-images" not in words:
        words += ["--test-images", "6"]
    if command in ("evaluate", "import") and "--data" in words and "--model" not in words:
        words += ["--model", tiny.model, "--inputs", "data"]
    if command == "theory check":
        words += ["--samples", "2000"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, f"{words}\n{result.output}\n{result.exception}"
