"""cktat theory: numbers on the terminal, files in the folder, one line for bad input."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cktat.cli.theory import theory_app
from cktat.errors import CktatError

COMMANDS = (
    "example", "phase", "check", "experiment", "purification", "regime", "hinge", "rivals", "scaling", "reasons",
)  # fmt: skip


def call(*words: str) -> tuple[int, str, BaseException | None]:
    result = CliRunner().invoke(theory_app, list(words))
    return result.exit_code, result.output, result.exception


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str) -> None:
    code, text, _ = call(command, "--help")
    assert code == 0 and f"cktat theory {command}" in text


def test_commands_print_numbers_and_write_a_page(tmp_path: Path) -> None:
    for words, shown in (
        (("example",), "0.147"),
        (("phase", "--D", "5", "--k1", "0.1"), "holds for mu up to"),
        (("check", "--samples", "2000"), "Eq. 11"),
        (("experiment", "--quick", "--seeds", "1", "pgd_at"), "pgd_at"),
        (("purification", "--quick", "--seeds", "1", "pgd_at"), "k by length"),
        (("regime", "--quick", "--seeds", "2", "--neurons", "2"), "neurons 2"),
        (("hinge", "--quick", "--seeds", "1"), "k2 D / a"),
        (("rivals", "--quick", "--seeds", "1"), "O_lmax"),
        (("scaling", "--quick", "--seeds", "1"), "exponent of d"),
        (("reasons", "--quick", "--seeds", "1"), "ensemble of the two"),
    ):
        code, text, error = call(*words, "--out", str(tmp_path))
        assert code == 0, error
        assert shown in text and (tmp_path / f"{words[0]}.html").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("check", "--mu", "1.5"), "0 <= mu <= 1"),
        (("phase", "--k1", "-1"), "0 <= k1 <= 1"),
        (("experiment", "pgdat"), "unknown design 'pgdat'"),
        (("purification", "pgdat"), "unknown design 'pgdat'"),
        (("regime", "--mu", "1.5"), "0 <= mu <= 1"),
        (("regime", "--neurons", "0"), "at least 1 neuron"),
    ],
)
def test_bad_input_is_one_line(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    code, _, error = call(*words, "--out", str(tmp_path / "none"))
    assert code != 0 and isinstance(error, CktatError)
    assert said in str(error) and "\n" not in str(error)
