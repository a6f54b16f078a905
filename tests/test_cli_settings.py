"""--config and --print-config of the commands that make many runs: what is printed asks for the very same runs."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from cktat.cli import main
from cktat.grid.comparison import Comparison
from cktat.grid.grid import Grid
from cktat.schema import OPTIONS

Run = Callable[..., tuple[int, str, str]]
MANY = {"compare": ["compare", "trades", "cktat tau=1 beta=1"], "table": ["table", "3b"]}
TRAINED = "nothing may be trained"


@pytest.fixture
def cktat(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CKTAT_STORE", str(tmp_path / "runs"))

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cktat", *words])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def identities(cktat: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """identities(*words): the runs that a command would make, by their labels; none is made."""
    seen: list[Grid] = []

    def noted(self: Grid, *_: object, **__: object) -> None:
        seen.append(self)
        raise RuntimeError(TRAINED)

    monkeypatch.setattr(Grid, "run", noted)

    def run(*words: str) -> dict[str, str]:
        with pytest.raises(RuntimeError, match=TRAINED):
            cktat(*words)
        return dict(seen.pop().identities)

    return run


ASKED = ["--epochs", "3", "--eps", "0.1", "--ema", "0.9", "--norm", "L2", "--threads", "1", "--optimiser", "adamw"]


@pytest.mark.parametrize("command", MANY)
def test_what_is_printed_asks_for_the_same_runs(command, cktat, identities, tmp_path) -> None:
    code, text, _ = cktat(*MANY[command], *ASKED, "--print-config")
    told = yaml.safe_load(text)
    assert code == 0 and list(told) == [name for name in OPTIONS if name in told]
    assert not {"design", "set", "seed", "recipe"} & set(told) and (told["epochs"], told["norm"]) == (3, "L2")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "run.yaml").write_text(text)
    assert cktat(*MANY[command], "--config", "run.yaml", "--print-config")[1] == text
    typed = identities(*MANY[command], *ASKED)
    assert identities(*MANY[command], "--config", "run.yaml") == typed and len(typed) >= 6
    assert identities(*MANY[command], "--config", "run.yaml", "--epochs", "4") != typed, "options win"


def test_several_precisions_are_no_setting_of_a_file_and_one_is(cktat, tmp_path) -> None:
    _, text, _ = cktat("compare", "trades", "--precision", "fp32", "--print-config")
    assert yaml.safe_load(text)["precision"] == "fp32"
    _, text, _ = cktat("compare", "trades", "--precision", "fp32,bf16", "--print-config")
    assert yaml.safe_load(text)["precision"] in ("fp32", "bf16")  # what auto is on this machine


def test_the_precision_of_a_file_is_that_of_the_runs(cktat, monkeypatch, tmp_path) -> None:
    made: list[Comparison] = []
    monkeypatch.setattr(Comparison, "run", lambda self, *_: made.append(self) or [])
    (tmp_path / "run.yaml").write_text("precision: fp32\nepochs: 2\n")
    cktat("compare", "trades", "--config", "run.yaml")
    cktat("compare", "trades", "--config", "run.yaml", "--precision", "bf16")
    assert [[entry.precision for entry in one.entries] for one in made] == [[None], ["bf16"]]
    assert [one.options for one in made] == [{"epochs": 2, "precision": "fp32"}, {"epochs": 2}]


@pytest.mark.parametrize("command", MANY)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed: 3\n", "run.yaml: seed is of one run, and this command makes many; take it out"),
        ("design: trades\n", "run.yaml: design is of one run"),
        ("set: {tau: 1}\n", "run.yaml: set is of one run"),
        ("epoch: 3\n", "unknown key in run.yaml 'epoch'; did you mean 'epochs'"),
        ("data: 3\n", "data must be text, not 3"),
    ],
)
def test_a_file_that_cannot_be_for_many_runs_is_one_line(command, text, said, cktat, tmp_path) -> None:
    (tmp_path / "run.yaml").write_text(text)
    code, _, error = cktat(*MANY[command], "--config", "run.yaml")
    assert code == 2 and re.match(f"cktat: .*{said}", error) and error.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", MANY)
def test_recipes_of_each_design_are_not_printed_as_one(command, cktat) -> None:
    code, _, error = cktat(*MANY[command], "--recipe", "authors", "--print-config")
    assert code == 2 and "cktat train DESIGN --recipe authors --print-config" in error


@pytest.mark.parametrize("command", MANY)
def test_code_that_a_file_names_is_asked_for(command, cktat, tiny, tmp_path) -> None:
    (tmp_path / "net.py").write_text((Path(tiny.file)).read_text() + f"# of {command}\n")
    (tmp_path / "run.yaml").write_text(f"model: {tmp_path / 'net.py'}:net\n")
    code, _, error = cktat(*MANY[command], "--config", "run.yaml")
    assert code == 2 and "run.yaml names code that you have not named yourself" in error and "--trust-code" in error
