"""What is written on the command line reaches the function behind it, and wins over a file of settings."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
import yaml

from cktat.api import commands as api
from cktat.api import configure, importing
from cktat.api.ways import Described
from cktat.cli import app, main
from cktat.designs import DESIGNS
from cktat.loggers import TensorBoard
from cktat.runs import read_yaml
from cktat.schema import OPTIONS, Recipe, RunConfig, Threat


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[tuple[Any, ...], dict[str, Any]]]:
    """asked("train", ...): what the command calls the function of its name with."""
    monkeypatch.chdir(tmp_path)

    def run(command: str, *words: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
        calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

        def spy(*positional: Any, **named: Any) -> Any:
            calls.append((positional, named))
            return [] if command == "evaluate" else SimpleNamespace(path=tmp_path)

        monkeypatch.setattr(api, command, spy)
        monkeypatch.setattr(sys, "argv", ["cktat", command, *map(str, words)])
        try:
            main()
        except SystemExit as end:
            assert not end.code
        (call,) = calls
        return call

    return run


TRAIN = {
    "data": "digits", "root": "somewhere", "model": "small", "recipe": "common", "epochs": 7, "batch_size": 31, "lr": 0.3,
    "examples": 99, "eps": "8/255", "step": "2/255", "steps": 4, "ema": 0.9, "awp": 0.01, "seed": 5, "device": "cpu",
    "precision": "fp32", "threads": 2, "stop_after": "9m", "size": "48x64",
}  # fmt: skip


def test_every_option_of_train_reaches_it(asked, tmp_path: Path) -> None:
    words = [part for key, value in TRAIN.items() for part in (f"--{key.replace('_', '-')}", value)]
    flags = ["--resume", "--compile", "--strict", "--set", "beta=2", "--out", "here", "--log", "tensorboard"]
    (design,), named = asked("train", "trades", *words, *flags)
    assert design == "trades" and [type(one) for one in named["callbacks"]] == [TensorBoard]
    wanted = TRAIN | {
        "eps": 8 / 255,
        "step": 2 / 255,
        "resume": True,
        "compile": True,
        "strict": True,
        "set": {"beta": 2},
        "out": Path("here"),
    }
    assert {key: named[key] for key in wanted} == wanted


def test_the_command_line_wins_over_a_file_of_settings(asked, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(json.dumps({"epochs": 1, "seed": 3, "set": {"beta": 1.0, "start": "standard"}}))
    _, named = asked("train", "trades", "--config", "run.yaml", "--seed", 4, "--set", "beta=2.0")
    assert (named["seed"], named["epochs"], named["set"]) == (4, 1, {"beta": 2.0, "start": "standard"})


def test_every_option_of_evaluate_reaches_it(asked, monkeypatch) -> None:
    opened: list[tuple[Any, ...]] = []
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr(importing, "run_of", lambda *given, **options: found.append((*given, options)) or "FOUND")
    monkeypatch.setattr(api, "opened", lambda *given: opened.append(given) or SimpleNamespace(finished=True))
    options = {
        "weights": "last", "test_images": 9, "batch_size": 31, "seed": 5, "mode": "packed", "device": "cpu", "data": "here",
        "root": "there", "store": Path("store"), "out": Path("out"),
    }  # fmt: skip
    words = [part for key, value in options.items() for part in (f"--{key.replace('_', '-')}", value)]
    positional, named = asked(
        "evaluate",
        "RUN",
        "--attacks",
        "fgsm,cw",
        "--eps",
        "4/255",
        "--no-doubts",
        "--claimed",
        "56.5",
        "--trust-code",
        *words,
        *["--model", "small", "--mean", "0.5,0.4,0.3", "--std", "0.1,0.2,0.3", "--part", "ema"],
    )
    assert (positional[0], list(positional[1])) == ("FOUND", ["fgsm", "cw"])
    ((what, store, given, named_data),) = found
    assert (what, store.root) == ("RUN", Path("store"))
    assert given == Described("small", "auto", (0.5, 0.4, 0.3), (0.1, 0.2, 0.3), "ema", device="cpu")
    assert (named_data["data"], named_data["root"]) == ("here", "there")
    wanted = options | {"eps": pytest.approx(4 / 255), "doubts": False, "claimed": 56.5, "trust_code": True}
    assert {key: named[key] for key in wanted} == wanted
    assert opened == [("FOUND", Path("store"), Path("out"))], "whose numbers are printed"


# --- the options of a run

WORDS: dict[str, tuple[list[str], Any]] = {
    "set": (["--set", "beta=2", "--set", "start=standard"], {"beta": 2, "start": "standard"}),
    "data": (["--data", "multiview"], "multiview"),
    "root": (["--root", "somewhere"], "somewhere"),
    "size": (["--size", "48x64"], "48x64"),
    "strict": (["--strict"], True),
    "examples": (["--examples", "300"], 300),
    "held_out": (["--held-out", "33"], 33),
    "model": (["--model", "resnet18"], "resnet18"),
    "seed": (["--seed", "9223372036854775807"], 2**63 - 1),
    "recipe": (["--recipe", "authors"], None),  # seen by what comes from it, below
    "epochs": (["--epochs", "7"], 7),
    "batch_size": (["--batch-size", "31"], 31),
    "lr": (["--lr", "1/3"], 1 / 3),
    "optimiser": (["--optimiser", "adamw"], "adamw"),
    "optimiser_args": (["--optimiser-args", "dampening=0.0"], {"dampening": 0.0}),
    "momentum": (["--momentum", "0.5"], 0.5),
    "nesterov": (["--no-nesterov"], False),
    "weight_decay": (["--weight-decay", "1e-3"], 1e-3),
    "schedule": (["--schedule", "cosine"], "cosine"),
    "points": (["--points", "0:1,0.5:0.1,0.75:1e-2"], ((0.0, 1.0), (0.5, 0.1), (0.75, 0.01))),
    "rise": (["--rise", "0.5"], 0.5),
    "warmup_epochs": (["--warmup-epochs", "2"], 2.0),
    "warmup_factor": (["--warmup-factor", "0.3"], 0.3),
    "ema": (["--ema", "0.9"], 0.9),
    "awp": (["--awp", "0.005"], 0.005),
    "augment": (["--augment", "none"], "none"),
    "eps": (["--eps", "8/255"], 8 / 255),
    "step": (["--step", "2/255"], 2 / 255),
    "steps": (["--steps", "4"], 4),
    "norm": (["--norm", "L2"], "L2"),
    "inner": (["--inner", "n-fgsm"], "n-fgsm"),
    "alpha": (["--alpha", "10/255"], 10 / 255),
    "noise": (["--noise", "3"], 3),
    "steps_from": (["--steps-from", "2"], 2),
    "stop_margin": (["--stop-margin", "0"], 0),
    "overfitting": (["--overfitting", "warn"], "warn"),
    "precision": (["--precision", "bf16"], "bf16"),
    "threads": (["--threads", "3"], 3),
    "device": (["--device", "cpu"], "cpu"),
    "compile": (["--compile"], True),
    "inputs": (["--inputs", "raw"], "raw"),
    "teacher_recipe": (["--teacher-recipe", "authors"], "authors"),
    "teacher_epochs": (["--teacher-epochs", "40"], 40),
}


BESIDE = {"alpha": ["--inner", "rs-fgsm"], "noise": ["--inner", "n-fgsm"]}
"""What an option is nothing without."""


@pytest.fixture
def prints(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., str]:
    """prints(*words): what `cktat train` prints of its settings, in an empty folder that stays empty."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> str:
        before = list(tmp_path.iterdir())
        monkeypatch.setattr(sys, "argv", ["cktat", "train", *words, "--print-config"])
        try:
            main()
        except SystemExit as end:
            assert not end.code, capsys.readouterr().err
        assert list(tmp_path.iterdir()) == before
        return capsys.readouterr().out

    return run


def found(config: RunConfig, name: str) -> Any:
    parts = {**dict.fromkeys(Recipe.model_fields, config.recipe), **dict.fromkeys(Threat.model_fields, config.threat)}
    return getattr(parts.get(name, config), name)


def test_every_field_of_the_schema_is_tried_here() -> None:
    fields = {*RunConfig.model_fields, *Recipe.model_fields, *Threat.model_fields}
    assert set(OPTIONS) == fields - {"threat"} == {*WORDS, "design"}


@pytest.mark.parametrize("name", sorted(set(WORDS) - {"recipe", "size"}))
def test_every_field_reaches_the_configuration_from_the_command_line(name, asked) -> None:
    words, value = WORDS[name]
    beside = BESIDE.get(name, [])
    (design,), named = asked("train", "trades", *words, *beside)
    options = {key: of for key, of in named.items() if key in OPTIONS}
    assert set(options) == {name, *(["inner"] if beside else [])}, "what is not given is not handed on"
    config, _ = configure(design=design, **options)
    assert found(config, name) == value
    if name not in ("device", "precision"):  # the machine's own choice may be what is asked for here
        assert found(configure(design=design)[0], name) != value


def test_a_size_reaches_what_reads_image_files(asked) -> None:
    assert asked("train", "trades", *WORDS["size"][0])[1]["size"] == WORDS["size"][1]


def test_a_recipe_reaches_the_configuration_from_the_command_line(asked) -> None:
    _, named = asked("train", "trades", "--recipe", "authors")
    assert configure(design="trades", recipe=named["recipe"])[0].recipe.epochs == 76


@pytest.mark.parametrize(
    ("command", "without"),
    [("train", {"design"}), ("compare", {"design", "set", "seed", "precision"}), ("table", {"design", "set", "seed"})],
)
def test_a_command_has_the_options_of_the_schema_and_not_one_by_hand(command, without) -> None:
    of = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    grouped = {one.name: one for one in of if getattr(one, "rich_help_panel", None) is not None}
    assert set(grouped) == set(OPTIONS) - without
    for name, one in grouped.items():
        option = OPTIONS[name]
        assert (one.opts, one.help, one.rich_help_panel) == ([option.flag], option.about, option.group)
        assert one.default is None, "None is what is not given"
    own = {flag for one in of if one.name not in grouped for flag in one.opts}
    assert not own & {OPTIONS[name].flag for name in set(OPTIONS) - without}


def commands(group: Any, name: str = "") -> dict[str, Any]:
    if not hasattr(group, "commands"):
        return {name: group}
    return {key: of for word, one in group.commands.items() for key, of in commands(one, f"{name} {word}").items()}


@pytest.mark.parametrize("name", commands(typer.main.get_command(app)))
def test_every_word_of_every_command_has_its_help(name) -> None:
    for one in commands(typer.main.get_command(app))[name].params:
        assert one.help and one.help.strip(), one.name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--lr", "fast"], "the recipe: lr: input should be a valid number, not 'fast'"),
        (["--held-out", "0"], "held_out: .* greater than or equal to 1, not 0"),
        (["--held-out", "few"], "held_out must be a whole number, not 'few'"),
        (["--norm", "L3"], "'L3'; did you mean 'L2'"),
        (["--schedule", "step"], "the recipe: schedule: .*'one-cycle'.*, not 'step'"),
        (["--points", "0.5"], "points: .*a share and a factor each, such as 0.5:0.1,0.75:0.01, not '0.5'"),
        (["--points", "0.5:half"], "points: .*a share and a factor each"),
        (["--points", "0.5:0.1:3"], "points: .*a share and a factor each"),
        (["--points", "0.5:0.1,0.2:0.01"], "points: .*the shares must be in order"),
        (["--epochs", "010"], "--epochs at line 1, column 1: '010' is refused: a leading zero"),
        (["--epochs", ""], "--epochs has no value"),
        (["--model", ""], "--model has no value"),
        (["--optimiser", "adamx"], "unknown optimiser 'adamx'; did you mean"),
        (["--optimiser-args", "betas"], "'betas' must be NAME=VALUE"),
        (["--optimiser-args", "damp=1"], "unknown argument of the optimiser sgd 'damp'; did you mean 'dampening'"),
        (["--seed", "-1"], "seed: .*not -1"),
        (["--alpha", "8/255"], "the adversary: .*alpha is the length of the one step"),
        (["--inner", "fgsm"], "the adversary: inner: .*'rs-fgsm'.*, not 'fgsm'"),
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_one_line(words, said, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["cktat", "train", "trades", *words, "--print-config"])
    with pytest.raises(SystemExit) as end:
        main()
    error = capsys.readouterr().err
    assert end.value.code == 2 and re.match(f"cktat: .*{said}", error) and error.count("\n") == 1, error


@pytest.mark.parametrize("design", DESIGNS)
def test_the_settings_that_are_printed_ask_for_the_same_run(design, prints, tmp_path) -> None:
    words = [] if design == "standard" else ["--recipe", "authors", "--eps", "0.1", "--norm", "L2", "--ema", "0.9"]
    text = prints(design, *words)
    (tmp_path / "run.yaml").write_text(text)
    assert prints(design, "--config", "run.yaml") == text
    asked_for = {"recipe": "authors", "eps": 0.1, "norm": "L2", "ema": 0.9} if words else {}
    assert configure(**read_yaml(tmp_path / "run.yaml"))[0] == configure(design=design, **asked_for)[0]
    assert list(yaml.safe_load(text)) == [name for name in OPTIONS if name in yaml.safe_load(text)]
    assert "recipe" not in yaml.safe_load(text), "what it says stands there field by field"


def test_the_version_is_that_of_the_package(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["cktat", "--version"])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code and capsys.readouterr().out == f"cktat {version('cktat')}\n"


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("cktat train trad", ["trades"]),
        ("cktat train trades --data cif", ["cifar10", "cifar100"]),
        ("cktat train trades --model wrn", ["wrn34-10", "wrn28-10"]),
        ("cktat train trades --norm L", ["Linf", "L2"]),
        ("cktat train trades --recipe a", ["authors"]),
        ("cktat compare cktat --attacks fgsm,aa-", ["fgsm,aa-fast", "fgsm,aa-plus", "fgsm,aa-rand"]),
        ("cktat evaluate trades-", ["trades-mine"]),
        ("cktat train trades --held", ["--held-out"]),
    ],
)
def test_a_shell_completes_names(typed, completed, monkeypatch, capsys, tmp_path) -> None:
    (tmp_path / "runs" / "trades-mine").mkdir(parents=True)
    (tmp_path / "runs" / "trades-mine" / "run.json").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CKTAT_STORE", raising=False)
    monkeypatch.setattr(sys, "argv", ["cktat"])
    for name, value in {
        "_CKTAT_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code and capsys.readouterr().out.split() == completed
