"""A user's code on the command line: stale numbers, code that a file names, failures in it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cktat.api import Store
from cktat.cli import main
from cktat.errors import CktatError
from cktat.evaluation import Result
from cktat.paper.experiments.measure import network as theory_network
from cktat.paper.tables.table_folder import TableFolder, TableKept
from cktat.runs import RunFolder, load_weights, save_weights, write_sealed
from cktat.usercode import source_of, trust

NET = """
import torch
from torch import nn
import scale


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.linear = nn.Linear(36, classes)

    def forward(self, x):
        return self.linear(((x - scale.MEAN) / 0.25).flatten(1))


def net(classes, channels):
    return Net(classes)
"""
EVIL = "from pathlib import Path\nPath({canary!r}).touch()\n"


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Cktat = Callable[..., Done]


@pytest.fixture
def cktat(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cktat:
    """cktat(*words): the command in tmp_path, by a user who has named nothing before this test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(trust, "_own", set())
    for name in ("CKTAT_DATA", "CKTAT_STORE"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["cktat", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture
def stranger(cktat: Cktat, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """After stranger() the commands are those of a user who has named nothing."""

    def become() -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(Path("elsewhere").resolve()))
        monkeypatch.setattr(trust, "_own", set())

    return become


def measured(run: Path, attack: str = "clean") -> dict[str, Any]:
    return json.loads((run / "results" / f"best-{attack}.json").read_text())


@pytest.fixture
def network(tiny: Any, tmp_path: Path, cktat: Cktat) -> Callable[[float], RunFolder]:
    """network(mean): the run that `cktat import` makes of the same weights beside a scale.py of that mean."""
    torch.manual_seed(0)
    torch.save({"linear.weight": torch.randn(3, 36), "linear.bias": torch.zeros(3)}, tmp_path / "w.pt")
    (tmp_path / "net.py").write_text(NET)

    def bring(mean: float) -> RunFolder:
        (tmp_path / "scale.py").write_text(f"MEAN = {mean}\n")
        words = ["import", "w.pt", "--as", "standard", "--data", tiny.data, "--model", "net.py:net", "--inputs", "raw"]
        done = cktat(*words)
        assert done.code == 0, done
        return RunFolder(Path(re.search(r"^run: (.*)$", done.out, re.MULTILINE)[1]))

    return bring


EVALUATE = ("--attacks", "fgsm", "--no-doubts")


def test_a_corrected_file_is_measured_anew_and_the_old_number_is_kept(network, cktat) -> None:
    wrong = network(5.0)
    assert cktat("evaluate", wrong.path, *EVALUATE).code == 0
    before = measured(wrong.path)
    right = network(0.5)
    assert right.path != wrong.path
    done = cktat("evaluate", right.path, *EVALUATE)
    assert "measured already" not in done.out
    after = measured(right.path)
    assert after["robust"] != before["robust"] and measured(wrong.path) == before
    assert after["protocol"]["code"]["model"] == source_of("net.py:net").sha256 != before["protocol"]["code"]["model"]
    # what the card names is another text now: no number can come from it, also not under another name
    done = cktat("evaluate", wrong.path, *EVALUATE, "--trust-code")
    assert done.code == 2 and "was made with another text" in done.err and "net.py with scale.py" in done.err
    assert measured(wrong.path) == before
    assert "measured already" in cktat("evaluate", right.path, *EVALUATE).out


def test_a_result_of_another_text_is_no_result_of_this_one(network, cktat) -> None:
    run = network(0.5)
    cktat("evaluate", run.path, *EVALUATE)
    found = Result.read(run.results_path / "best-clean.json")
    other = network(5.0)
    place = other.results_path / "best-clean.json"
    of_other = replace(found, provenance=found.provenance | {"run": other.read()["identity"]})
    for result, said in ((found, "is a result of another run"), (of_other, "was measured in another way (code ")):
        result.write(place)  # of the same weights and images
        done = cktat("evaluate", other.path, *EVALUATE)
        assert done.code == 2 and f"{place} {said}" in done.err and done.err.count("\n") == 1, done
        assert Result.read(place) == result and [path.name for path in other.results_path.iterdir()] == [place.name]
    place.unlink()
    assert cktat("evaluate", other.path, *EVALUATE).code == 0
    assert measured(other.path)["robust"] != found.robust


def test_the_same_weights_with_other_data_are_another_network(network, cktat, tiny, tmp_path) -> None:
    run = network(0.5)
    arrays = dict(np.load(tiny.data))
    np.savez(tmp_path / "other.npz", **arrays | {"x_test": 255 - arrays["x_test"]})
    words = ["--as", "standard", "--data", "other.npz", "--model", "net.py:net", "--inputs", "raw"]
    assert str(run.path) not in cktat("import", "w.pt", *words).out
    assert len(Store(tmp_path / "runs").runs()) == 2


def test_training_with_an_edited_design_model_data_or_optimiser_is_another_run(cktat, tiny, tmp_path) -> None:
    model = Path(tiny.file).read_text()
    data = (
        "import dataclasses\nfrom cktat.data import load\n"
        f"def data(): return dataclasses.replace(load({tiny.data!r}), mean=(0.5,))\n"
    )
    design = (
        "from cktat.labels import Design, Learner, Schedule, Term, clean, y\nfrom weights import weight\n"
        "def mine():\n    S = Learner('S')\n    return Design('Mine', (Term(S(clean), y, Schedule(weight, 'w')),))\n"
    )
    weights = "def weight(moment): return 1.0\n"
    optimiser = "import torch\ndef own(groups): return torch.optim.Adam(groups, eps=1e-6)\n"
    names = ["--data", "d.py:data", "--model", "m.py:net", "--optimiser", "o.py:own"]

    def run(**edited: str) -> str:
        texts = {"m": model, "d": data, "mine": design, "weights": weights, "o": optimiser} | edited
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(text)
        done = cktat("train", "mine.py:mine", *tiny.flags, *names, "--epochs", 1)
        assert done.code == 0, done
        return done.out.splitlines()[-1]

    first = run()
    others = {
        run(m=model.replace("nn.ReLU", "nn.SiLU")),
        run(d=data.replace("0.5", "0.4")),
        run(weights=weights.replace("1.0", "0.5")),
        run(o=optimiser.replace("1e-6", "1e-4")),
    }
    assert len(others) == 4 and first not in others
    assert run() == first
    there = RunFolder(Path(first.removeprefix("run: "))).read()
    assert there["config"]["recipe"]["optimiser"] == f"{tmp_path}/o.py:own" in there["code"]


def test_a_teacher_from_an_edited_file_makes_another_run_and_its_path_does_not(cktat, tiny, tmp_path) -> None:
    def run(folder: str, smoothing: float) -> str:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "t.py").write_text(
            "from cktat.labels import Design, Learner, Term, clean, mix, uniform, y\ndef t():\n    S = Learner('S')\n"
            f"    return Design('Mine', (Term(S(clean), mix(uniform, y, {smoothing})),))\n"
        )
        spec = f"{folder}/t.py:t"
        done = cktat(
            "train", "ltd", *tiny.flags, "--epochs", 1, "--set", f"teacher={spec}", "--out", f"{folder}{smoothing}"
        )
        assert done.code == 0, done
        return RunFolder(tmp_path / f"{folder}{smoothing}").read()["identity"]

    assert run("a", 0.1) == run("b", 0.1) != run("b", 0.2)


def test_a_card_can_be_used_from_another_working_directory(network, cktat, tmp_path, monkeypatch) -> None:
    run = network(0.5)
    there = (tmp_path / run.path).resolve()
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    assert cktat("evaluate", there, *EVALUATE).code == 0
    assert run_names(there) == {f"{tmp_path}/net.py:net"}


def run_names(run: Path) -> set[str]:
    cards = [load_weights(run / f"{pick}.safetensors")[1] for pick in ("best", "last")]
    return {RunFolder(run).read()["config"]["model"], *(card["model"] for card in cards)}


def test_data_of_a_relative_path_are_found_from_another_working_directory(cktat, tiny, tmp_path, monkeypatch) -> None:
    (tmp_path / "mine.npz").write_bytes(Path(tiny.data).read_bytes())
    assert cktat("train", "standard", *tiny.flags, "--data", "mine.npz", "--out", "run", "--epochs", 1).code == 0
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    assert cktat("evaluate", tmp_path / "run", *EVALUATE).code == 0


def test_an_imported_teacher_is_found_by_its_text_not_by_its_path(network, cktat, tiny, tmp_path, monkeypatch) -> None:
    name = f"standard@{network(0.5).read()['identity'][:8]}"
    words = ["train", "ltd", *tiny.flags, "--epochs", 1, "--set", f"teacher={name}", "--store", tmp_path / "runs"]
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    assert cktat(*words, "--model", "../net.py:net").code == 0
    (tmp_path / "scale.py").write_text("MEAN = 5.0\n")
    done = cktat(*words, "--model", "../net.py:net")
    assert done.code == 2 and f"{name} is of model '{tmp_path}/net.py:net' as its text was" in done.err


# Code that a file names


def planted(run: RunFolder, tmp_path: Path, where: str, *, with_sum: bool) -> None:
    """Lets the run name evil.py:net, in its record as data or in its card as the network."""
    (tmp_path / "evil.py").write_text(EVIL.format(canary=str(tmp_path / "canary")) + NET.replace("import scale", ""))
    spec = f"{tmp_path}/evil.py:net"
    weights, card = run.load("best")
    if with_sum:
        card = card | {"code": {spec: source_of(spec).sha256}}
    if where == "run.json":
        there = run.read()  # whoever edits it computes its sum anew
        write_sealed(run.run_json, there | {"config": there["config"] | {"data": spec}})
    else:
        card = card | {"model": spec}
    for pick in ("best", "last"):
        save_weights(run.weights(pick), weights, card)


@pytest.mark.parametrize("with_sum", [True, False])
@pytest.mark.parametrize("where", ["run.json", "card"])
@pytest.mark.parametrize("command", [("evaluate",), ("knowledge", "--count-images", "1")])
def test_what_a_run_names_does_not_run(command, where, with_sum, network, cktat, stranger, tmp_path) -> None:
    run = network(0.5)
    planted(run, tmp_path, where, with_sum=with_sum)
    done = cktat(command[0], run.path, *command[1:])
    assert done.code == 2 and done.err.count("\n") == 1 and "Traceback" not in done.err, done
    assert f"{tmp_path}/evil.py" in done.err
    assert ("--trust-code" in done.err) == with_sum
    assert not (tmp_path / "canary").exists() and not run.results_path.exists()


def test_what_a_run_of_a_stranger_names_runs_where_it_is_trusted_and_unchanged(
    network, cktat, stranger, tmp_path
) -> None:
    run = network(0.5)
    assert cktat("evaluate", run.path, *EVALUATE).code == 0
    stranger()
    refused = cktat("evaluate", run.path, *EVALUATE)
    sum_ = source_of("net.py:net").sha256
    assert refused.code == 2 and f"{tmp_path}/net.py with scale.py (sha256 {sum_})" in refused.err
    done = cktat("evaluate", run.path, *EVALUATE, "--trust-code")
    assert done.code == 0 and sum_ in done.out and "measured already" in done.out
    (tmp_path / "scale.py").write_text(EVIL.format(canary=str(tmp_path / "canary")) + "MEAN = 0.5\n")
    assert cktat("evaluate", run.path, *EVALUATE, "--trust-code").code == 2
    assert not (tmp_path / "canary").exists()


def test_reports_lists_and_tables_run_nothing(network, cktat, stranger, tmp_path) -> None:
    run = network(0.5)
    assert cktat("evaluate", run.path, *EVALUATE).code == 0
    stranger()
    (tmp_path / "scale.py").write_text(EVIL.format(canary=str(tmp_path / "canary")) + "MEAN = 0.5\n")
    (tmp_path / "net.py").write_text(EVIL.format(canary=str(tmp_path / "canary")))
    for words in (("runs",), ("report", run.path)):
        assert cktat(*words).code == 0
    assert not (tmp_path / "canary").exists()


def test_what_a_run_in_the_store_names_does_not_run_in_a_comparison(cktat, tiny, tmp_path) -> None:
    words = ["--data", tiny.data, "--model", tiny.model, "--epochs", "1", "--seeds", "1", "--attacks", "fgsm"]
    words = ["compare", "standard", "--precision", "fp32", *words]
    assert cktat(*words).code == 0
    (run,) = Store(tmp_path / "runs").runs()
    shutil.rmtree(run.results_path)
    planted(run, tmp_path, "card", with_sum=True)
    done = cktat(*words)
    assert done.code == 2 and "names code that you have not named yourself" in done.err
    with pytest.raises(CktatError, match="is not run"):
        theory_network(run)
    assert not (tmp_path / "canary").exists() and not run.results_path.exists()


@pytest.mark.parametrize("name", ["data", "optimiser", "model"])
@pytest.mark.parametrize("words", [["--plan"], ["--no-run"], [], ["--replace"]])
@pytest.mark.parametrize("asked", ["4a", "3b"])
def test_what_a_folder_of_tables_names_does_not_run(words, name, asked, cktat, tmp_path) -> None:
    (tmp_path / "evil.py").write_text(EVIL.format(canary=str(tmp_path / "canary")) + "def net(*given, **named): ...\n")
    fields = {"data": "digits", "model": "small", "recipe": "common", "precision": "fp32", name: "evil.py:net"}
    rows = {"rows": ("TRADES",), "attacks": ("pgd20",), "weights": "best", "seeds": 1}
    TableFolder(tmp_path / "there").write(TableKept(table="4a", **rows, **fields))
    row = ["TRADES"] if asked == "4a" else ["CKTAT", "--data", "digits", "--model", "small", "--optimiser", "sgd"]
    command = ["table", asked, "--out", "there", *words, "--row", *row]
    done = cktat(*command)
    canary = tmp_path / "canary"
    assert done.code == 2 and done.err.count("\n") == 1 and not canary.exists(), done
    if (name, words) == ("model", ["--no-run"]):  # no network is made, so nothing of it is run
        assert "names code" not in done.err
        return
    assert "table-4a.json names code that you have not named yourself: function net of" in done.err
    if words == ["--plan"] and asked == "4a":
        cktat(*command, "--trust-code")
        assert canary.exists(), "otherwise nothing was asked for here that runs it"


def test_a_folder_of_tables_may_name_what_its_user_names(cktat, tiny, tmp_path, stranger) -> None:
    words = ["table", "4a", *tiny.flags, "--row", "PGDAT", "--attacks", "fgsm", "--out", "there"]
    assert cktat(*words).code == 0
    stranger()
    refused = cktat("table", "4a", "--out", "there")
    assert refused.code == 2 and f"code that you have not named yourself: function net of {tiny.file}" in refused.err
    assert cktat("table", "4a", "--out", "there", "--no-run").code == 0
    assert cktat(*words, "--plan").code == 0, "named on the command line"


@pytest.mark.parametrize("command", ["compare", "table"])
def test_what_a_run_in_the_store_names_runs_in_a_grid_where_it_is_trusted(command, cktat, tiny, tmp_path) -> None:
    words = ["compare", "standard", "--seeds", "1"] if command == "compare" else ["table", "4a", "--row", "PGDAT"]
    words += [*tiny.flags, "--attacks", "fgsm"]
    if command == "compare":
        at = words.index("--precision")
        del words[at : at + 2]
    assert cktat(*words).code == 0
    (run,) = Store(tmp_path / "runs").runs()
    shutil.rmtree(run.results_path)
    (tmp_path / "theirs.py").write_text(Path(tiny.file).read_text() + "# another text\n")
    spec = f"{tmp_path}/theirs.py:net"
    for pick in ("best", "last"):
        weights, card = run.load(pick)
        save_weights(run.weights(pick), weights, card | {"model": spec, "code": {spec: source_of(spec).sha256}})
    refused = cktat(*words)
    assert refused.code == 2 and "the same command then runs it with --trust-code" in refused.err
    done = cktat(*words, "--trust-code")
    assert done.code == 0 and f"runs function net of {tmp_path}/theirs.py" in done.out


@pytest.mark.parametrize(
    "line", ["model: evil.py:net", "data: evil.py:net", "optimiser: evil.py:net", "set:\n  teacher: evil.py:net"]
)
def test_what_a_configuration_names_does_not_run(line, cktat, tiny, tmp_path) -> None:
    (tmp_path / "evil.py").write_text(EVIL.format(canary=str(tmp_path / "canary")) + Path(tiny.file).read_text())
    (tmp_path / "run.yaml").write_text(f"{line}\n")
    done = cktat("train", "ltd", "--config", "run.yaml", "--epochs", 1)
    assert done.code == 2 and "run.yaml names code" in done.err and "--trust-code" in done.err
    assert not (tmp_path / "canary").exists() and not (tmp_path / "runs").exists()


def test_a_configuration_may_name_what_its_user_names_or_trusts(cktat, tiny, tmp_path, stranger) -> None:
    (tmp_path / "run.yaml").write_text(f"data: {tiny.data}\nmodel: {tiny.file}:net\nepochs: 1\nbatch_size: 12\n")
    assert cktat("train", "standard", "--config", "run.yaml", "--out", "a", "--trust-code").code == 0
    assert cktat("train", "standard", "--config", "run.yaml", "--out", "b").code == 0  # it named it when it trained
    stranger()
    assert cktat("train", "standard", "--config", "run.yaml", "--out", "c").code == 2
    assert cktat("train", "standard", "--config", "run.yaml", "--model", "small", "--out", "d").code == 0


# Failures


def test_exit_in_a_users_function_does_not_end_a_command_as_if_all_were_well(tiny, tmp_path) -> None:
    (tmp_path / "mine.py").write_text("import sys\ndef net(classes, channels):\n    sys.exit(0)\n")
    command = [sys.executable, "-m", "cktat", "train", "standard", *tiny.flags, "--model", "mine.py:net"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "mine.py:net': the function failed: SystemExit: 0 (mine.py, line 3, in net)" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.py"]  # no bytecode either


@pytest.mark.parametrize("place", [0, 1, -1])
def test_the_traceback_is_shown_where_it_is_asked_for(place, cktat, tmp_path) -> None:
    (tmp_path / "mine.py").write_text("def mine():\n    raise ValueError('oh')\n")
    words = ["train", "mine.py:mine"]
    plain = cktat(*words)
    assert plain.code == 2 and plain.err.count("\n") == 1
    words.insert(len(words) if place < 0 else place, "--traceback")
    done = cktat(*words)
    assert done.code == 2 and done.err.endswith(plain.err)
    assert "Traceback" in done.err and "ValueError: oh" in done.err and 'mine.py", line 2' in done.err
    assert "--traceback" in cktat("--help").out


NETWORK = """
from torch import nn


class Net(nn.Module):
    passes = 0

    def __init__(self, classes):
        super().__init__()
        self.linear = nn.Linear(36, classes)

    def forward(self, x):
        z = self.linear(x.flatten(1))
        {body}
        return z


def net(classes, channels):
    return {made}
"""
OWN = "Net(classes)"


@pytest.mark.parametrize(
    ("body", "made", "said"),
    [
        ("if self.training: return z, z", OWN, "in train mode the model must return floating logits [N, 3], not a tuple"),
        ("if self.training: raise ValueError('oh')", OWN, "in train mode and fp32, forth and back on images [12, 1, 6, 6]: "
         "ValueError: oh (mine.py, line 14, in forward)"),
        ("if len(z) > 2: import sys; sys.exit(0)", OWN, "in eval mode and fp32, forth and back on images [12, 1, 6, 6]: "
         "SystemExit: 0 (mine.py, line 14, in forward)"),
        ("", "Net(classes).double()", "linear.weight is torch.float64"),
        ("", "nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))", "1.weight is lazy"),
    ],
)  # fmt: skip
def test_a_network_that_cannot_be_trained_is_refused_before_anything_is_written(
    body, made, said, cktat, tiny, runs, tmp_path
) -> None:
    (tmp_path / "mine.py").write_text(NETWORK.format(body=body or "pass", made=made))
    before = runs.tree(tmp_path)
    # a teacher's network is tried, too
    for words in (["standard", "--model", "mine.py:net"], ["ltd", "--set", "teacher_model=mine.py:net"]):
        done = cktat("train", words[0], *tiny.flags, *words[1:])
        assert done.code == 2 and done.err.count("\n") == 1 and "Traceback" not in done.err, done
        assert "model 'mine.py:net': " in done.err and said in done.err
        after = runs.tree(tmp_path)
        assert {name: content for name, content in after.items() if not name.startswith("state")} == before


def test_a_batch_of_one_image_is_tried_as_such(cktat, tiny, tmp_path) -> None:
    (tmp_path / "mine.py").write_text(
        "from torch import nn\ndef net(classes, channels):\n    return nn.Sequential("
        "nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(channels), nn.Flatten(), nn.Linear(channels, classes))\n"
    )
    words = ["train", "standard", *tiny.flags, "--model", "mine.py:net", "--epochs", 1]
    done = cktat(*words, "--batch-size", 1)
    assert done.code == 2 and "Expected more than 1 value per channel" in done.err and not (tmp_path / "runs").exists()
    assert cktat(*words, "--batch-size", 2).code == 0


def test_a_design_whose_loss_fails_is_refused_before_anything_is_written(cktat, tiny, tmp_path) -> None:
    (tmp_path / "mine.py").write_text(
        "from cktat.labels import Design, Learner, Schedule, Term, clean, y\ndef weight(moment):\n    return moment.nothing\n"
        "def mine():\n    S = Learner('S')\n    return Design('Mine', (Term(S(clean), y, Schedule(weight)),))\n"
    )
    done = cktat("train", "mine.py:mine", *tiny.flags)
    assert done.code == 2 and done.err.count("\n") == 1 and not (tmp_path / "runs").exists()
    assert "design 'mine.py:mine': its loss failed on random logits: AttributeError: " in done.err
    assert "(mine.py, line 3, in weight)" in done.err


def test_a_network_that_fails_later_is_one_line_and_its_run_goes_on(cktat, tiny, runs, tmp_path, monkeypatch) -> None:
    body = "import os; Net.passes += self.training\n        if 'BROKEN' in os.environ and Net.passes == 6: 1 / 0"
    (tmp_path / "mine.py").write_text(NETWORK.format(body=body, made=OWN))
    words = ["train", "pgd_at", *tiny.flags, "--model", "mine.py:net", "--out", "run"]
    monkeypatch.setenv("BROKEN", "1")
    done = cktat(*words)
    assert done.code == 2 and done.err == (
        "cktat: the model failed on float32 images [12, 1, 6, 6]: ZeroDivisionError: division by zero (mine.py, line 15, in "
        "forward)\n"
    )
    monkeypatch.delenv("BROKEN")
    assert cktat(*words, "--resume").code == 0
    twin = runs.train("pgd_at", tmp_path / "twin", model="mine.py:net")
    assert runs.outcome(RunFolder(tmp_path / "run")) == runs.outcome(twin)


def test_a_network_that_fails_under_evaluation_is_one_line(cktat, network, tmp_path, monkeypatch) -> None:
    text = NET.replace(
        "        return self", "        import os; 1 / ('BROKEN' not in os.environ)\n        return self"
    )
    (tmp_path / "net.py").write_text(text)
    run = network(0.5)
    monkeypatch.setenv("BROKEN", "1")
    done = cktat("evaluate", run.path, *EVALUATE)
    assert done.code == 2 and done.err == (
        "cktat: the model failed on float32 images [30, 1, 6, 6]: "
        "ZeroDivisionError: division by zero (net.py, line 13, in forward)\n"
    )
