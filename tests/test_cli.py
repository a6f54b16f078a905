"""The command line: bad input is one line and exit code 2 and leaves no trace; runs stop, resume, and are shown."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from cktat.cli import main, output
from cktat.designs import DESIGNS, LATER
from cktat.runs import RunFolder, sealed


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Cktat = Callable[..., Done]


@pytest.fixture
def cktat(monkeypatch, capsys, tmp_path) -> Cktat:
    """cktat(*words): the command in an empty folder, 80 columns wide, its output not a terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("CKTAT_DATA", "CKTAT_STORE"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["cktat", *map(str, words)])
        code = 0
        with warnings.catch_warnings(record=True) as told:
            try:
                main()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
        out, err = capsys.readouterr()
        return Done(code, out, err + "".join(f"warning: {warning.message}\n" for warning in told))

    return run


@pytest.fixture
def refused(cktat, runs, tmp_path) -> Callable[..., str]:
    """refused(*words): the one line with which the command ends with 2, having changed nothing in the folder."""

    def run(*words: object) -> str:
        before = runs.tree(tmp_path)
        done = cktat(*words)
        assert runs.tree(tmp_path) == before
        assert done.code == 2, done
        assert done.err.startswith("cktat: ") and done.err.count("\n") == 1 and done.err.endswith("\n"), done.err
        assert "Traceback" not in done.out + done.err
        return done.err

    return run


@pytest.fixture(scope="session")
def finished(runs, tmp_path_factory) -> Path:
    """A store with a finished run of TRADES."""
    store = tmp_path_factory.mktemp("finished")
    runs.train("trades", store)
    return store


@pytest.fixture
def store(finished, tmp_path) -> Path:
    """That store, to be spoilt."""
    return Path(shutil.copytree(finished, tmp_path / "runs"))


@pytest.fixture
def run(store) -> RunFolder:
    return RunFolder(next(store.glob("trades-*")))


class Evil:
    """Pickled, it asks whoever loads it to leave a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def evil(mark: Path, kind: str = "pickle") -> bytes:
    buffer = io.BytesIO()
    if kind == "torch":
        torch.save({"weight": Evil(mark)}, buffer)
    else:
        pickle.dump(Evil(mark), buffer)
    return buffer.getvalue()


HTML = b"<!DOCTYPE html>\n<html><body>404: no such file, please log in</body></html>\n"

SPOILT = {
    "empty": lambda whole, mark: b"",
    "truncated": lambda whole, mark: whole[: len(whole) // 2],
    "a byte short": lambda whole, mark: whole[:-1],
    "one bit flipped": lambda whole, mark: whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:],
    "a web page": lambda whole, mark: HTML,
    "noise": lambda whole, mark: np.random.default_rng(0).bytes(500),
    "a pickle that runs code": lambda whole, mark: evil(mark),
    "a torch file that runs code": lambda whole, mark: evil(mark, "torch"),
}


# --- bad input to `train`


@pytest.mark.parametrize(
    ("words", "named"),
    [
        # names, with the nearest there are
        (["cktt"], "unknown design 'cktt'; did you mean 'cktat'"),
        (["pgd-at"], "did you mean 'pgd_at'"),
        (["./nowhere.py:mine"], "there is no file"),
        (["trades", "--model", "smal"], "unknown model 'smal'; did you mean 'small'"),
        (["trades", "--model", "resnet-18"], "did you mean 'resnet18'"),
        (["trades", "--data", "digit"], "unknown data 'digit'; did you mean 'digits'"),
        (["trades", "--data", "cifra10"], "did you mean 'cifar10'"),
        (["trades", "--recipe", "author"], "unknown recipe 'author'; did you mean 'authors'"),
        (["ard", "--set", "bata=1"], "design 'ard' has no parameter 'bata'; it has tau, alpha, teacher"),
        (["cktat", "--set", "guide=hrad"], "did you mean .*'hard'"),
        (["cktat", "--set", "teacher=standart"], "did you mean 'standard'"),
        (["cktat", "--set", "start=standart"], "did you mean 'standard'"),
        (["cktat", "--set", "start=standard@0123abcd"], "unknown imported network .*'standard@0123abcd'"),
        (["rslad", "--set", "teacher-model=resnet8"], "unknown model 'resnet8'"),
        # temperatures, weights
        (["cktat", "--set", "tau=0"], "tau|temperature"),
        (["cktat", "--set", "tau=-1"], "above 0, not -1"),
        (["cktat", "--set", "tau=.nan"], "'.nan' is refused: numbers are finite here"),
        (["cktat", "--set", "tau=nan"], "tau must be a number or auto, not 'nan'|finite number above 0, not nan"),
        (["cktat", "--set", "tau=.inf"], "finite"),
        (["cktat", "--set", "tau=hot"], "tau must be a number or auto, not 'hot'"),
        (["ard", "--set", "tau=0"], "tau must be a finite number above 0"),
        (["trades", "--set", "beta=-1"], "the weight of smooth must be a finite number of 0 or more, not -1"),
        (["trades", "--set", "beta=.nan"], "finite"),
        (["trades", "--set", "beta=.inf"], "finite"),
        (["trades", "--set", "beta=[1, 2]"], "finite number"),
        (["trades", "--set", "beta=true"], "finite number"),
        (["trades", "--set", "beta="], "finite number"),
        (["cktat", "--set", "teacher=5"], "5"),
        (["cktat", "--set", "start=[standard]"], "design 'cktat'"),
        (["iad", "--set", "alpha=2"], "from 0 to 1"),
        (["trades", "--set", "beta"], "beta.* must be NAME=VALUE"),
        (["cktat", "--set", "beta=0", "--set", "guide=none"], "no term left"),
        # the adversary
        (["trades", "--eps", "-0.1"], "eps must be 0 or more"),
        (["trades", "--eps", "nan"], "eps must be a finite number"),
        (["trades", "--eps", "inf"], "eps must be a finite number"),
        (["trades", "--eps", "8"], "wider than the data's box"),
        (["trades", "--eps", "eight"], "eps must be a finite number, or a fraction such as 8/255, not 'eight'"),
        (["trades", "--eps", "8/0"], "eps must be a finite number, or a fraction"),
        (["trades", "--step", "0"], "step must be above 0"),
        (["trades", "--step", "-1/255"], "step"),
        (["trades", "--steps", "0"], "steps"),
        (["trades", "--steps", "-2"], "steps"),
        # counts
        (["trades", "--epochs", "0"], "epochs"),
        (["trades", "--epochs", "-1"], "epochs"),
        (["trades", "--batch-size", "0"], "batch_size"),
        (["trades", "--batch-size", "-5"], "batch_size"),
        (["trades", "--examples", "0"], "cannot train on 0 images"),
        (["trades", "--examples", "100000"], "there are 48"),
        (["trades", "--seed", "-1"], "seed"),
        (["trades", "--threads", "0"], "threads"),
        (["trades", "--lr", "0"], "lr"),
        (["trades", "--lr", "nan"], "lr"),
        (["trades", "--ema", "1"], "ema"),
        (["trades", "--awp", "-1"], "awp"),
        # the rest
        (["trades", "--precision", "fp16"], "unknown precision 'fp16'"),
        (["trades", "--device", "tpu"], "unknown device 'tpu'"),
        (["trades", "--stop-after", "soon"], "'soon' is not a duration"),
        (["trades", "--stop-after", "0s"], "'0s' is not a duration"),
        (["trades", "--resume"], "nothing to resume"),
        (["trades", "--config", "missing.yaml"], "there is no file missing.yaml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_train_refuses(words, named, refused, tiny) -> None:
    design, *options = words
    # later options win, so that the tiny ones stand wherever nothing is wrong
    assert re.search(named, refused("train", design, *tiny.flags, *options))


@pytest.mark.parametrize("words", [[], ["trades", "--epochs", "many"], ["trades", "--nonsense"], ["trades", "pgd_at"]])
def test_words_that_the_parser_cannot_take_end_with_2_too(words, cktat, runs, tmp_path) -> None:
    done = cktat("train", *words)
    assert done.code == 2 and "Traceback" not in done.err and runs.tree(tmp_path) == {}


@pytest.mark.parametrize("command", [["bench", "--quick"], ["compare", "trades"]])
def test_a_folder_for_the_file_to_write_is_refused_before_anything_is_done(command, cktat, tmp_path) -> None:
    (tmp_path / "there").mkdir()
    done = cktat(*command, "--out", "there")
    assert done.code == 2 and "there" in done.err and done.out == "" and os.listdir(tmp_path) == ["there"]


def test_memory_that_there_is_not_is_one_line_and_exit_code_1(cktat) -> None:
    done = cktat("theory", "check", "--samples", 10**15)  # more bytes than a processor can address
    assert done.code == 1 and re.fullmatch(r"cktat: out of memory; ask for less.*4000000000000000 bytes.*\n", done.err)


YAML = {
    "an unknown key": ("epoch: 3\n", "unknown .* 'epoch'; did you mean 'epochs'"),
    "a hyphen": ("batch-size: 3\n", "did you mean .*'batch_size'"),
    "broken at a bracket": ("epochs: 3\nset: {tau: 3\n", "not valid YAML at line 3"),
    "a tab": ("set:\n\ttau: 3\n", "not valid YAML at line 2"),
    "a list": ("- epochs\n", "must hold keys and values, not list"),
    "nothing": ("", "must hold keys and values"),
    "a control character": ("epochs: \x00\n", "not valid YAML"),
    "two documents": ("epochs: 3\n---\nepochs: 4\n", "line 2, column 1: a second document begins"),
    "an object": ("epochs: !!python/object/apply:os.getcwd []\n", "the tag .* is not read"),
    "a word for a number": ("epochs: many\n", "epochs"),
    "a key twice": ("epochs: 3\nlr: 0.1\nepochs: 4\n", "line 3, column 1: the key 'epochs' stands twice"),
    "a leading zero": ("epochs: 010\n", "run.yaml at line 1, column 9: '010' is refused: a leading zero"),
    "a number to the base 60": ("set: {beta: 1:30}\n", "'1:30' is refused: .*base 60"),
    "yes for a number": ("epochs: yes\n", "'yes' is refused: YAML 1.1 takes it for true or false"),
    "true for a number": ("epochs: true\n", "epochs: input should be a valid integer, not True"),
    "more epochs than there is time": ("epochs: 1e300\n", "epochs: input should be a valid integer, not 1e[+]300"),
    "no number of epochs": ("epochs: 0\n", "epochs"),
    "a list for the data": ("data: [digits]\n", "data must be text"),
    "a number for the model": ("model: 18\n", "model must be text"),
    "a list of hyper-parameters": ("set: [tau]\n", "set must hold names and values"),
    "an unknown hyper-parameter": ("set: {bata: 3}\n", "design 'trades' has no parameter 'bata'"),
    "another design": ("design: cktat\n", "is for another design than 'trades'"),
    "a number for a key": ("3: 4\n", "unknown .* 3"),
    "an option of the command": ("resume: true\n", "unknown .* 'resume'"),
    "the store": ("store: elsewhere\n", "unknown .* 'store'"),
    "an argument of the library": ("ensure: true\n", "unknown .* 'ensure'"),
}


@pytest.mark.parametrize("kind", YAML)
def test_a_configuration_file_is_refused_for(kind, refused, tmp_path) -> None:
    text, named = YAML[kind]
    (tmp_path / "run.yaml").write_text(text)
    assert re.search(named, refused("train", "trades", "--config", "run.yaml"))


def test_a_configuration_file_that_is_no_text_is_refused(refused, tmp_path) -> None:
    (tmp_path / "run.yaml").write_bytes(b"\xff\xfe\x00e\x00p")
    assert "not valid YAML" in refused("train", "trades", "--config", "run.yaml")


def npz(tiny, path: Path, **changes: object) -> Path:
    arrays = {k: v for k, v in (dict(np.load(tiny.data)) | changes).items() if v is not None}
    np.savez(path, **arrays)
    return path


def two_classes(tiny, path: Path) -> Path:
    return npz(tiny, path, **{key: labels % 2 for key, labels in np.load(tiny.data).items() if key.startswith("y_")})


def test_missing_and_short_data_files_are_refused(refused, tiny, tmp_path) -> None:
    whole = Path(tiny.data).read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "page.npz").write_bytes(HTML)
    npz(tiny, tmp_path / "short.npz", y_train=np.arange(40) % 3)
    npz(tiny, tmp_path / "lacking.npz", y_test=None)
    (tmp_path / "empty").mkdir()
    for data, named in {
        "none.npz": "there is no file",
        "half.npz": "not an NPZ file",
        "page.npz": "not an NPZ file",
        "short.npz": "y_train has 40 labels for 48 images",
        "lacking.npz": "lacks y_test",
        "empty": "empty",
        "none.py:data": "there is no file",
        f"{tiny.file}:dataa": "did you mean 'data'",
        f"{tiny.file}:net": "failed",
    }.items():
        assert named in refused("train", "trades", *tiny.flags, "--data", data)


def test_data_that_would_run_code_are_refused_without_running_it(refused, tiny, tmp_path) -> None:
    mark = tmp_path.parent / f"{tmp_path.name}-mark"
    npz(tiny, tmp_path / "evil.npz", x_test=np.array([Evil(mark)], dtype=object))
    assert "not an NPZ file of plain arrays" in refused("train", "trades", *tiny.flags, "--data", "evil.npz")
    assert not mark.exists()


def test_missing_and_short_cifar_files_are_refused(refused, tmp_path) -> None:
    root = tmp_path / "data"
    folder = root / "cifar-10-batches-bin"
    error = refused("train", "trades", "--data", "cifar10", "--root", root)
    assert str(root) in error and "cktat data fetch cifar10" in error
    folder.mkdir(parents=True)
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        (folder / name).write_bytes(bytes(3073 * 10))
    (folder / "batches.meta.txt").write_text("\n".join("abcdefghij"))
    assert "data_batch_1.bin" in refused("train", "trades", "--data", "cifar10", "--root", root)
    (folder / "data_batch_1.bin").write_bytes(HTML)
    assert "data_batch_1.bin" in refused("train", "trades", "--data", "cifar10", "--root", root)


def test_a_folder_that_holds_something_else_is_refused(refused, run, store, tiny, tmp_path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("all of it")
    (tmp_path / "file").write_text("x")
    train = ["train", "trades", *tiny.flags]
    assert "another run" in refused(*train, "--seed", 5, "--out", run.path)
    assert "another run" in refused("train", "pgd_at", *tiny.flags, "--out", run.path)
    assert "another run" in refused(*train, "--seed", 5, "--out", run.path, "--resume")
    assert "holds no run" in refused(*train, "--out", "thesis")
    assert "file" in refused(*train, "--out", "file")
    assert "file" in refused(*train, "--store", "file")
    assert "file" in refused(*train, "--out", "file/deeper")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("raise ValueError('oh\\nno')", "ValueError: oh"),
        ("return 3", "must return an nn.Module, not a int"),
        ("return nn.Flatten()", "floating logits"),
        ("return nn.Linear(1, classes)", "the model failed on images"),
        ("return nn.Sequential(nn.Flatten(), nn.Linear(36, classes + 1))", "for 2 images it returned"),
        (
            "return nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(classes))",
            "depend on a weight; nothing can be trained",
        ),
    ],
)
def test_a_users_model_that_is_no_classifier_is_refused(body, named, refused, tiny, tmp_path) -> None:
    (tmp_path / "mine.py").write_text(f"from torch import nn\ndef net(classes, channels):\n    {body}\n")
    assert named in refused("train", "trades", *tiny.flags, "--model", "mine.py:net")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("def mine(:", "failed to load: SyntaxError"),
        ("def other(): ...", "unknown function in .*'mine'"),
        ("def mine(): return 3", "returned int, not a Design"),
        ("def mine(beta): return 3", "beta"),
        ("import nothing_like_it", "ModuleNotFoundError"),
        ("def mine(): raise ValueError('oh\\nno')", "the function failed: ValueError: oh"),
    ],
)
def test_a_users_design_that_is_none_is_refused(text, named, refused, tiny, tmp_path) -> None:
    (tmp_path / "mine.py").write_text(text)
    assert re.search(named, refused("train", "./mine.py:mine", *tiny.flags))


def test_a_users_design_has_no_recipe_of_its_authors(refused, tiny, tmp_path) -> None:
    (tmp_path / "mine.py").write_text("from cktat.designs import make\ndef mine(): return make('trades')\n")
    assert "use --recipe common" in refused("train", "./mine.py:mine", *tiny.flags, "--recipe", "authors")


# --- bad files


@pytest.mark.parametrize("kind", SPOILT)
def test_spoilt_weights_are_refused(kind, refused, run, tmp_path) -> None:
    mark = tmp_path.parent / f"{tmp_path.name}-mark"
    path = run.weights("best")
    path.write_bytes(SPOILT[kind](path.read_bytes(), mark))
    assert "best.safetensors" in refused("evaluate", run.path)
    assert not mark.exists()


@pytest.mark.parametrize("kind", SPOILT)
def test_a_spoilt_training_state_is_refused_when_resuming(kind, refused, cktat, tiny, tmp_path) -> None:
    mark = tmp_path.parent / f"{tmp_path.name}-mark"
    words = ["train", "pgd_at", *tiny.flags, "--out", "mine"]
    assert cktat(*words, "--stop-after", "0.001s").code == 3
    state = tmp_path / "mine" / "state.pt"
    state.write_bytes(SPOILT[kind](state.read_bytes(), mark))
    assert "state.pt" in refused(*words, "--resume")
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["truncated", "a web page", "a pickle that runs code", "a torch file that runs code"])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_spoilt_file_is_not_imported(kind, suffix, refused, tiny, tmp_path) -> None:
    mark = tmp_path.parent / f"{tmp_path.name}-mark"
    (tmp_path / f"net.{suffix}").write_bytes(SPOILT[kind](b"PK" + bytes(900), mark))
    words = ["import", f"net.{suffix}", "--as", "standard", "--data", tiny.data, "--model", tiny.model]
    assert f"net.{suffix}" in refused(*words)
    assert not mark.exists()


@pytest.mark.parametrize(
    "content", [b"", b"{", HTML, b"[]", b"{}", b'{"config": 3}', b'{"config": {"design": 3}}', b"\xff"]
)
def test_a_spoilt_run_json_is_refused(content, refused, run) -> None:
    run.run_json.write_bytes(content)
    for words in (["evaluate", run.path], ["report", run.path]):
        assert "run.json" in refused(*words)


def test_an_edited_run_json_or_log_is_refused_by_the_report_and_named_by_the_list(refused, cktat, run, runs) -> None:
    whole, log = json.loads(run.run_json.read_text()), (run.path / "log.jsonl").read_text()

    def named() -> str:
        done = cktat("runs")
        assert done.code == 0 and run.path.name not in done.out and done.out.count("standard-") == 0, done
        assert done.err.startswith(f"cktat: passed over runs/{run.path.name}, which is damaged: "), done
        return done.err

    for change, reported in (
        ({"design": {}}, True),
        ({"config": {key: value for key, value in whole["config"].items() if key != "recipe"}}, False),
    ):
        runs.edit(run.run_json, lambda fields, change=change: fields | change, seal=True)
        assert "run.json" in named()
        assert not reported or "run.json" in refused("report", run.path)
        runs.edit(run.run_json, lambda _: whole)
    runs.edit(run.run_json, lambda _: whole | {"commit": "0" * 40})
    assert re.search(r"run\.json was changed: .* train anew", refused("report", run.path))
    assert "run.json was changed" in named()
    runs.edit(run.run_json, lambda _: whole)
    ours = {key: value for key, value in json.loads(log.splitlines()[0]).items() if key != "sha256"}
    for number, line in enumerate(({"epoch": 1}, ours | {"epoch": 3, "held_out": {}}, ours, [1], 3)):
        added = json.dumps(sealed(line) if isinstance(line, dict) else line)
        (run.path / "log.jsonl").write_text(log + added + "\n")
        said = r"log\.jsonl, line 3, is "
        assert re.search(said, refused("report", run.path))
        assert number or re.search(said, named()), "the same is said once"


def test_one_damaged_run_stops_nothing(cktat, run, store, tiny) -> None:
    bad = store / "damaged"
    bad.mkdir()
    (bad / "run.json").write_text("{")
    listed = cktat("runs")
    assert listed.code == 0 and run.path.name in listed.out
    assert listed.err.startswith("cktat: passed over runs/damaged, which is damaged: ") and listed.err.count("\n") == 1
    assert "finished already" in cktat("train", "trades", *tiny.flags).out
    done = cktat("report", run.path, "damaged", "--out", "page.html")
    assert done.code == 2 and "page.html was written without runs/damaged" in done.err
    assert "TRADES" in Path("page.html").read_text()


def test_weights_of_another_run_are_refused(refused, run, runs, tiny, tmp_path) -> None:
    """Another architecture, other classes, or only another seed: they are not what this run trained."""
    few = two_classes(tiny, tmp_path / "few.npz")
    for number, options in enumerate(({"model": f"{tiny.file}:wide"}, {"data": str(few)}, {"seed": 1})):
        other = runs.train("trades", tmp_path / str(number), epochs=1, **options)
        shutil.copy(other.weights("best"), run.weights("best"))
        shutil.copy(other.weights("best").with_suffix(".json"), run.weights("best").with_suffix(".json"))
        assert re.search("another|not what", refused("evaluate", run.path))


def test_weights_of_another_shape_are_not_imported(refused, runs, tiny, tmp_path) -> None:
    few = two_classes(tiny, tmp_path / "few.npz")
    runs.train("standard", tmp_path / "wide", epochs=1, model=f"{tiny.file}:wide")
    runs.train("standard", tmp_path / "few", epochs=1, data=str(few))
    for name, said in (("wide", "not of architecture"), ("few", "with 2 outputs, and data .* have 3 classes")):
        file = next((tmp_path / name).glob("*/best.safetensors"))
        words = ["import", file, "--as", "standard", "--data", tiny.data, "--model", tiny.model]
        assert re.search(said, refused(*words))


def test_a_checkpoint_is_evaluated_without_an_import(cktat, refused, runs, tiny, tmp_path) -> None:
    run = runs.train("standard", tmp_path / "runs", epochs=1)
    weights = run.load("best")[0]
    torch.save({"net": {f"module.{name}": w for name, w in weights.items()}, "acc": 93.5}, tmp_path / "ckpt.t7")
    words = ["--attacks", "fgsm", "--no-doubts", "--device", "cpu"]
    file = ["evaluate", "ckpt.t7", "--data", tiny.data, "--model", tiny.model, *words, "--eps", "0.1"]
    done, of_run = cktat(*file), cktat("evaluate", run.path.name, *words)
    assert (done.code, done.err) == (0, "")
    assert "the mean and std in the file" in done.out

    def measured(out: str) -> list[str]:
        return re.findall(r"^(?:clean|fgsm): \d+/30", out, re.MULTILINE)

    assert len(measured(done.out)) == 2 and measured(done.out) == measured(of_run.out)
    (imported,) = (path.parent for path in (tmp_path / "runs").glob("imported-*/run.json"))
    assert cktat("evaluate", imported.name, *words, "--eps", "0.1").code == 0
    assert "add --data" in refused("evaluate", "ckpt.t7")
    assert "no run at gone.t7" in refused("evaluate", "gone.t7", "--data", tiny.data)
    assert "no architecture that has a name here" in refused("evaluate", "ckpt.t7", "--data", tiny.data)


def test_data_that_changed_under_a_run_are_refused(refused, runs, tiny, tmp_path) -> None:
    data = npz(tiny, tmp_path / "mine.npz")
    run = runs.train("standard", tmp_path / "runs", epochs=1, data=str(data))
    npz(tiny, data, x_test=255 - np.load(tiny.data)["x_test"])
    assert "its content has changed" in refused("evaluate", run.path)
    data.unlink()
    assert "there is no file" in refused("evaluate", run.path)


# --- bad input to the other commands


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--attacks", "pdg20"], "unknown attack 'pdg20'; did you mean 'pgd20'"),
        (["--attacks", "clean,pgd20,pgd21"], "unknown attack"),
        (["--weights", "first"], "weights must be best or last, not 'first'"),
        (["--test-images", "0"], "cannot evaluate 0 images"),
        (["--test-images", "31"], "cannot evaluate 31 images: the test set of .* has 30"),
        (["--eps", "-0.1"], "eps must be 0 or more"),
        (["--eps", "nan"], "eps must be a finite number"),
        (["--eps", "1.1"], "wider than the data's box"),
        (["--eps", "eight"], "eps must be a finite number, or a fraction"),
        (["--device", "tpu"], "unknown device 'tpu'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_evaluate_refuses(words, named, refused, run) -> None:
    assert re.search(named, refused("evaluate", run.path, *words))


def test_a_run_that_does_not_exist_is_named_with_those_that_do(refused, run, store) -> None:
    for command in ("evaluate", "report"):
        error = refused(command, "tradse", "--store", store)
        assert "no run at tradse" in error and run.path.name in error
        assert "no run at" in refused(command, "tradse", "--store", "nowhere")


def test_a_run_without_a_finished_epoch_cannot_be_evaluated(refused, cktat, tiny) -> None:
    assert cktat("train", "pgd_at", *tiny.flags, "--out", "mine", "--stop-after", "0.001s").code == 3
    assert "no epoch of it is finished" in refused("evaluate", "mine")


def test_a_report_is_not_written_over_a_folder(refused, run, tmp_path) -> None:
    (tmp_path / "pages").mkdir()
    assert "pages" in refused("report", run.path, "--out", "pages")


def test_data_that_nobody_offers_cannot_be_fetched(refused) -> None:
    assert "did you mean 'cifar10'" in refused("data", "fetch", "cifar01")


@pytest.mark.parametrize("words", [["trads"], ["cktat bata=1"], ["cktat tau"], ["trades", "--attacks", "pdg20"], [" "]])
def test_compare_refuses(words, refused, tiny) -> None:
    refused("compare", *words, "--data", tiny.data, "--model", tiny.model, "--epochs", 1)


# --- good input


def test_a_run_from_the_command_line_is_that_of_the_library(cktat, runs, tiny, tmp_path) -> None:
    done = cktat("train", "cktat", *tiny.flags, "--set", "tau=3", "--set", "beta=1e-1", "--store", "store")
    assert done.code == 0 and done.err == ""
    path = done.out.splitlines()[-1].removeprefix("run: ")
    run = runs.train("cktat", tmp_path / "twin", set={"tau": 3.0, "beta": 0.1})
    assert runs.outcome(RunFolder(Path(path)))["last.safetensors"] == runs.outcome(run)["last.safetensors"]
    epochs = [line for line in done.out.splitlines() if " epoch " in line]
    assert [line.split(":")[0] for line in epochs] == [
        "Standard epoch 1/2", "Standard epoch 2/2", "CKTAT epoch 1/2", "CKTAT epoch 2/2",
    ]  # fmt: skip


def test_a_configuration_file_gives_what_options_do_not(cktat, tiny, tmp_path) -> None:
    options = {k: v for k, v in tiny.options.items() if k != "epochs"}
    (tmp_path / "run.yaml").write_text(json.dumps(options | {"epochs": 1, "seed": 3, "set": {"beta": 1.0}}))
    done = cktat("train", "trades", "--config", "run.yaml", "--seed", 4, "--set", "start=standard", "--out", "mine")
    assert done.code == 0, done.err
    config = RunFolder(tmp_path / "mine").config()
    assert (config.seed, config.recipe.epochs, config.set) == (4, 1, {"beta": 1.0, "start": "standard"})


def test_a_finished_run_says_so_with_exit_code_0(cktat, runs, store, tiny, tmp_path) -> None:
    before = runs.tree(tmp_path)
    for words in ([], ["--resume"]):
        done = cktat("train", "trades", *tiny.flags, *words)
        assert done.code == 0 and "finished already: nothing to do" in done.out
    assert runs.tree(tmp_path) == before


def test_stop_after_ends_with_3_and_resume_with_0(cktat, runs, tiny, tmp_path) -> None:
    words = ["train", "pgd_at", *tiny.flags, "--out", "mine"]
    done = cktat(*words, "--stop-after", "0.001s")
    assert done.code == 3
    assert re.fullmatch(
        r"cktat: the time given with --stop-after is over: saved after step 1 of 8 in mine; the same command with "
        r"--resume goes on\n", done.err
    )  # fmt: skip
    assert cktat(*words).code == 2
    assert cktat(*words, "--resume", "--stop-after", "1h").code == 0
    twin = runs.train("pgd_at", tmp_path / "twin")
    assert runs.outcome(RunFolder(tmp_path / "mine"))["last.safetensors"] == runs.outcome(twin)["last.safetensors"]


def test_divergence_ends_with_1_and_one_line(cktat, tiny) -> None:
    done = cktat("train", "trades", *tiny.flags, "--lr", "1e30", "--epochs", "6", "--out", "mine")
    assert done.code == 1 and done.err.count("\n") == 1
    assert re.match(r"cktat: step \d+: the (term|weight) \S+ ", done.err)


def test_a_path_with_brackets_is_printed_as_it_is(cktat, tiny) -> None:
    words = ["train", "standard", *tiny.flags, "--epochs", "1", "--out", "a[bold]b[/c]"]
    assert cktat(*words).code == 0
    assert "a[bold]b[/c] is finished already" in cktat(*words).out


def test_cktat_designs_in_a_pipe_is_one_plain_line_per_design(cktat, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    done = cktat("designs")
    first, second = (part.splitlines() for part in done.out.split("\n\n"))
    lines = [*first[1:], *second[1:]]
    assert done.code == 0 and first[0].startswith("design ") and second[0].startswith("design ")
    assert [[line.split()[0] for line in part[1:]] for part in (first, second)] == [
        [name for name in DESIGNS if name not in LATER], list(LATER)
    ]  # fmt: skip
    assert "\x1b" not in done.out and "│" not in done.out and min(map(len, lines)) > 40


def test_cktat_designs_as_markdown_has_a_row_per_design(cktat) -> None:
    lines = [line for line in cktat("designs", "--markdown").out.splitlines() if line]
    assert len(lines) == 4 + len(DESIGNS) and len({line.replace("\\|", "").count("|") for line in lines}) == 1


COMMANDS = [
    "demo",
    "designs",
    "doctor",
    "train",
    "evaluate",
    "report",
    "compare",
    "import",
    "runs",
    "data list",
    "data fetch",
]


@pytest.mark.parametrize("command", ["", "data", *COMMANDS])
def test_help_fits_its_screen_and_shows_an_example(command, cktat) -> None:
    done = cktat(*command.split(), "--help")
    lines = done.out.splitlines()
    # all options of a run, under headings; all that may be said of anybody's network
    most = {"train": 130, "compare": 130, "evaluate": 55}.get(command, 45)
    assert done.code == 0 and len(lines) <= most and max(map(len, lines)) <= 80
    if command in ("", "train", "evaluate", "report", "compare", "import", "designs", "data fetch"):
        assert "Example" in done.out and f"cktat {command}".strip() in done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_help(command, cktat) -> None:
    *group, name = command.split()
    assert re.search(rf"^  {name}\b", cktat(*group, "--help").out, re.MULTILINE)


def test_cktat_runs_lists_the_store(cktat, run, tmp_path) -> None:
    header, line = cktat("runs").out.splitlines()
    assert header.split()[:2] == ["run", "design"]
    best = max(epoch["held_out"]["pgd"] for epoch in run.history())
    assert line.split() == [run.path.name, "TRADES", "2/2", "finished", f"{best:.3f}", "0"]
    assert cktat("runs", "--store", "nowhere").out == "no runs in nowhere\n"


def test_cktat_data_list_says_where_data_are(cktat, tmp_path) -> None:
    done = cktat("data", "list", "--root", tmp_path)
    places = {line.split()[0]: line for line in done.out.splitlines()[1:]}
    assert done.code == 0 and places.keys() >= {"digits", "cifar10", "cifar100"}
    assert "in the package" in places["digits"] and "not here" in places["cifar10"]


def test_evaluate_prints_a_table_and_leaves_results_with_their_evidence(cktat, run) -> None:
    done = cktat("evaluate", run.path, "--attacks", "pgd20,cw")
    assert done.code == 0 and done.err == ""
    assert {"clean", "pgd20", "cw"} <= set(done.out.split())
    for attack in ("clean", "pgd20", "cw"):
        result = json.loads((run.results_path / f"best-{attack}.json").read_text())
        low, high = result["interval"]
        assert 0 <= low <= result["accuracy"] <= high <= 1
        assert result["accuracy"] == result["correct"] / result["images"] and result["images"] == 30
        assert result["per_class"].keys() == {"0", "1", "2"}
        assert sum(right for right, _ in result["per_class"].values()) == result["correct"]
        assert result["protocol"]["precision"] == "fp32" and result["protocol"]["seed"] == 0
        provenance = result["provenance"]
        assert provenance["run"] == run.read()["identity"] and provenance["design"] == "TRADES"
        assert provenance["weights_sha256"] == run.load("best")[1]["weights_sha256"]
        assert provenance["versions"]["torch"] == torch.__version__ and provenance["hardware"]["device"] == "cpu"
        assert provenance["data"]["fingerprint"] == run.read()["data"]["fingerprint"]
        assert provenance["seconds"] >= 0 and "commit" in provenance and provenance["at"].endswith("Z")
    assert json.loads((run.results_path / "best-pgd20.json").read_text())["protocol"]["eps"] == 0.1

    again = cktat("evaluate", run.path, "--attacks", "pgd20,cw")
    assert again.out.count("measured already") == 3


def test_evaluate_says_its_doubts_unless_told_not_to(cktat, run) -> None:
    words = ["evaluate", run.path, "--attacks", "fgsm"]
    assert "doubt" not in cktat(*words, "--no-doubts").out
    assert not (run.results_path / "best-verdict.json").exists()
    done = cktat(*words)
    verdict = json.loads((run.results_path / "best-verdict.json").read_text())
    assert re.search(r"^(no doubts|\d+ doubts?): \d+ of \d+ checks on 30 images, [\d.]+ s$", done.out, re.MULTILINE)
    assert ("no doubts" in done.out) == (verdict["state"] == "no doubts")
    assert list(verdict["protocol"]["results"]) == ["fgsm"] and verdict["protocol"]["eps"] == 0.1


def test_evaluate_answers_a_claim(cktat, run) -> None:
    words = ["evaluate", run.path, "--attacks", "fgsm,pgd20", "--test-images", 20, "--no-doubts"]
    done = cktat(*words, "--claimed", "100")
    assert re.search(
        r"^worst case: [\d.]+ % \[[\d.]+, [\d.]+\] of 20 images, over fgsm, pgd20$", done.out, re.MULTILINE
    )
    assert re.search(r"^claimed 100\.0, found at most [\d.]+ \[[\d.]+, [\d.]+\]: \w", done.out, re.MULTILINE)
    assert json.loads((run.results_path / "best-claimed-first20.json").read_text())["claimed"] == 100
    for given, message in (("0.56", "in percent"), ("half", "claimed must be a finite number"), ("101", "in percent")):
        done = cktat(*words, "--claimed", given)
        assert done.code == 2 and message in done.err and done.err.count("\n") == 1
    assert "name at least one" in cktat("evaluate", run.path, "--attacks", "", "--claimed", "56").err


def test_evaluate_on_some_images_or_another_radius_prints_these_numbers(cktat, run) -> None:
    done = cktat("evaluate", run.path, "--attacks", "pgd20", "--test-images", 10, "--eps", "8/255")
    assert done.code == 0 and "of 10 images" in done.out
    names = {path.name for path in run.results_path.glob("*pgd20*.json")}
    assert names == {"best-pgd20-eps0.03137-first10.json"}


def test_report_writes_one_page(cktat, run, tmp_path) -> None:
    cktat("evaluate", run.path, "--attacks", "pgd20")
    for words, page in (([], run.path / "report.html"), (["--out", "deep/page.html"], tmp_path / "deep" / "page.html")):
        done = cktat("report", run.path, *words)
        assert done.code == 0 and done.out.startswith("page: "), done.err
        text = page.read_text()
        assert "TRADES" in text and "<img" in text
        assert not re.search(r"(src|href)=\"?(http|//)", text), "the page stands alone"


def test_an_imported_network_is_a_teacher_a_start_and_can_be_evaluated(cktat, runs, tiny, tmp_path) -> None:
    weights, _ = runs.train("standard", tmp_path / "elsewhere").load("best")
    torch.save({"state_dict": {f"module.{k}": v for k, v in weights.items()}}, tmp_path / "net.pt")
    done = cktat("import", "net.pt", "--as", "standard", "--data", tiny.data, "--model", tiny.model)
    assert done.code == 0, done.err
    name = re.search(r"teacher=(\S+)", done.out)[1]
    words = ["train", "cktat", *tiny.flags, "--set", f"teacher={name}", "--set", f"start={name}", "--out", "mine"]
    done = cktat(*words)
    assert done.code == 0 and "Standard epoch" not in done.out, done.err
    inputs = RunFolder(tmp_path / "mine").read()["inputs"]
    imported = RunFolder(next((tmp_path / "runs").glob("imported-*")))
    assert {record["run"] for record in inputs.values()} == {imported.read()["identity"]}
    assert cktat("evaluate", imported.path, "--attacks", "fgsm").code == 0


# --- as a process


def test_the_installed_command_ends_with_one_line_and_2() -> None:
    command = Path(sys.executable).with_name("cktat")
    done = subprocess.run([command, "train", "cktt"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("cktat: unknown design 'cktt'; did you mean 'cktat'?")
    assert done.stderr.count("\n") == 1


SIGNALLING = """
import os
import signal

from torch import nn


class Signalling(nn.Module):
    passes = 0

    def forward(self, x):
        Signalling.passes += self.training
        if Signalling.passes == 6 and self.training and "SIGNAL" in os.environ:
            os.kill(os.getpid(), int(os.environ["SIGNAL"]))
        return x


def net(classes, channels):
    return nn.Sequential(Signalling(), nn.Flatten(), nn.Linear(36, classes))
"""


@pytest.fixture
def signalling(tiny, tmp_path) -> list[str]:
    """A training whose network sends the signal in the environment's SIGNAL to its own process, in the sixth step."""
    (tmp_path / "signalling.py").write_text(SIGNALLING)
    return ["train", "pgd_at", *tiny.flags, "--model", "signalling.py:net", "--out", "mine"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_ends_with_3_and_the_run_can_be_resumed(
    number, signalling, cktat, runs, tmp_path, monkeypatch
) -> None:
    before = signal.getsignal(number)
    monkeypatch.setenv("SIGNAL", str(int(number)))
    done = cktat(*signalling)
    assert signal.getsignal(number) == before
    assert done.code == 3
    assert done.err == (
        f"cktat: received {number.name}: saved after step 6 of 8 in mine; the same command with --resume goes on\n"
    )
    monkeypatch.delenv("SIGNAL")
    assert cktat(*signalling, "--resume").code == 0
    twin = runs.train("pgd_at", tmp_path / "twin", model="signalling.py:net")
    assert runs.outcome(RunFolder(tmp_path / "mine")) == runs.outcome(twin)


def test_a_real_process_that_is_killed_can_be_resumed(signalling, cktat, runs, tmp_path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "SIGNAL": str(int(signal.SIGKILL))}
    command = [sys.executable, "-m", "cktat", *signalling]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == -signal.SIGKILL and "epoch 1/2" in done.stdout, done.stderr
    assert cktat(*signalling, "--resume").code == 0
    twin = runs.train("pgd_at", tmp_path / "twin", model="signalling.py:net")
    assert runs.outcome(RunFolder(tmp_path / "mine")) == runs.outcome(twin)


def test_a_disk_that_is_full_ends_with_one_line(cktat, tiny, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cktat.runs.files.os.fsync", full)
    done = cktat("train", "standard", *tiny.flags, "--out", "mine")
    assert done.code == 1 and re.fullmatch(
        r"cktat: mine/run\.json cannot be written: no space left on device, it needs [\d,]+ bytes and [\d,]+ are free in "
        r".*mine; make room and start again\n",
        done.err,
    )


def test_results_go_elsewhere_and_the_report_finds_them_there(cktat, run, runs) -> None:
    before = runs.tree(run.path)
    done = cktat("evaluate", run.path, "--attacks", "fgsm", "--out", "away")
    assert (done.code, done.err) == (0, "") and "fgsm: " in done.out
    assert runs.tree(run.path) == before
    assert (Path("away") / run.path.name / "best-fgsm.json").is_file()
    assert cktat("report", run.path, "--results", "away", "--out", "page.html").code == 0
    assert "FGSM" in Path("page.html").read_text() or "fgsm" in Path("page.html").read_text()
    assert runs.tree(run.path) == before


def test_data_that_moved_are_named_and_known_by_their_content(cktat, refused, runs, tiny, tmp_path) -> None:
    here, moved = tmp_path / "here.npz", tmp_path / "there.npz"
    shutil.copy(tiny.data, here)
    run = runs.train("standard", tmp_path / "runs", data=str(here))
    here.rename(moved)
    words = ["evaluate", run.path, "--attacks", "fgsm", "--no-doubts"]
    assert "if the data have moved, say where with --data or --root" in refused(*words)
    other = dict(np.load(moved))
    other["x_test"] = other["x_test"] ^ 1
    np.savez(tmp_path / "other.npz", **other)
    assert re.search(
        r"its content has changed \(fingerprint \w{12} here, \w{12} there\)", refused(*words, "--data", "other.npz")
    )
    done = cktat(*words, "--data", moved)
    assert (done.code, done.err) == (0, "") and (run.results_path / "best-fgsm.json").is_file()


def test_another_way_of_measuring_does_not_replace_a_result(cktat, refused, run) -> None:
    words = ["evaluate", run.path, "--attacks", "aa-fast", "--no-doubts"]
    assert cktat(*words, "--mode", "packed").code == 0
    for way, said in (
        (["--mode", "exact"], "mode packed there, exact asked"),
        (["--seed", 1], "seed 0 there, 1 asked"),
    ):
        assert said in refused(*words, *way)
    again = cktat(*words)
    assert again.code == 0 and "aa-fast: measured already (mode packed), in " in again.out
    assert cktat(*words, "--mode", "exact", "--out", "away").code == 0, "both are kept"


@pytest.mark.parametrize("name", ["PYTHONIOENCODING", "LC_ALL"])
def test_any_text_can_be_written_to_a_stream_of_ascii(name, tmp_path) -> None:
    results = Path(__file__).parents[1] / "results" / "tables-digits"
    environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment.pop("PYTHONIOENCODING", None)
    environment |= {"PYTHONIOENCODING": "ascii"} if name == "PYTHONIOENCODING" else {"LC_ALL": "C"}
    shutil.copytree(results, tmp_path / "tables")
    words = [sys.executable, "-m", "cktat", "table", "3a", "--no-run", "--out", "tables"]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"80.8 +- 4.5" in done.stdout and done.stdout.isascii()
    assert "80.8 ± 4.5" in (tmp_path / "tables" / "table-3a.md").read_text(encoding="utf-8"), (
        "files are UTF-8 all the same"
    )
    wrong = [sys.executable, "-m", "cktat", "report", "größe−∞"]
    done = subprocess.run(wrong, cwd=tmp_path, env=environment, capture_output=True, timeout=120)
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and b"UnicodeEncodeError" not in done.stderr


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_a_narrow_terminal_cuts_no_name(width, monkeypatch, capsys) -> None:
    columns, name = ("run", "design", "set", "epochs"), "cktat-cifar10-preactresnet18-s0-1a2b3c4d"
    row = (name, "CKTAT [tau]", "tau 1, beta 1", "110/110")

    def terminal() -> Console:
        return Console(force_terminal=True, width=width, file=sys.stdout, color_system=None)

    monkeypatch.setattr(output, "Console", terminal)
    output.print_table(columns, [row, row], False)
    shown = capsys.readouterr().out
    assert shown.count(name) == 2 and shown.count("[tau]") == 2 and "…" not in shown
    assert (len(shown.splitlines()) == 3) == (width == 200 or width == 80)


def test_a_clock_that_is_set_back_gives_no_negative_seconds(monkeypatch, runs, tmp_path) -> None:
    now = iter(range(10**9, 0, -1000))
    monkeypatch.setattr(time, "time", lambda: float(next(now)))
    run = runs.train("standard", tmp_path)
    seconds = [line[key] for line in run.history() for key in line if key.startswith("seconds")]
    assert min([*seconds, run.read()["finished"]["seconds_this_session"]]) >= 0
    assert max(seconds) < 600
