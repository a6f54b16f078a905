"""The map: a run looked at through the lens, and what its page shows, on runs of a second."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from typer.testing import CliRunner

from cktat.api.run import Run
from cktat.cli.lens import lens_app
from cktat.data import load
from cktat.designs import DESIGNS
from cktat.errors import CktatError
from cktat.grid.comparison import DesignEntry
from cktat.labels import Average
from cktat.lens.design_map import LensSetting, LensTask, looked_at
from cktat.lens.follow import Follow, area, followed
from cktat.lens.map_page import foretelling, relations
from cktat.lens.measured import labelling, measured
from cktat.lens.placed import Placed
from cktat.lens.taught import Taught
from cktat.runs import Stop
from cktat.training.loop import Training


def test_the_networks_of_a_run_are_those_it_ended_with(tmp_path: Path, runs: Any) -> None:
    run = Run(runs.train("cktat", tmp_path, set={"tau": 2.0, "beta": 1.0}).path)
    taught = Taught.of(run, store=str(tmp_path))
    student, teacher = (next(n for n in taught.design.networks if n.letter == letter) for letter in "ST")
    for name, weight in run.load("last")[0].items():
        assert torch.equal(taught.team.modules[student].state_dict()[name], weight)
    clean = next(one for one in tmp_path.iterdir() if one.name.startswith("standard"))
    for name, weight in Run(clean).load("best")[0].items():
        assert torch.equal(taught.team.modules[teacher].state_dict()[name], weight)
    # an untrained student is as it was drawn, though this one started from the clean network; its teacher stays
    drawn = Taught.of(Run(runs.train("pgd_at", tmp_path, epochs=1).path), store=str(tmp_path)).untrained
    own = drawn.team.modules[drawn.design.deployed].state_dict()
    theirs = taught.untrained.team.modules[student].state_dict()
    assert all(torch.equal(own[name], theirs[name]) for name in own)
    assert taught.untrained.team.modules[teacher] is taught.team.modules[teacher]
    assert (taught.moment.epoch, taught.moment.step) == (1, 7)


def test_answers_are_the_label_and_the_student_at_the_adversary_of_training(tmp_path: Path, runs: Any) -> None:
    run = Run(runs.train("trades", tmp_path).path)
    taught = Taught.of(run, store=str(tmp_path))
    found, network = taught.answers(taught.data.test), run.model("last")
    x = taught.data.test.images.float() / taught.data.levels
    with torch.no_grad():
        torch.testing.assert_close(found.label, F.log_softmax(network(x).double(), dim=1), atol=1e-5, rtol=0)
    views, _ = next(taught.batches(taught.data.test))
    moved = views[taught.design.views[1]]
    assert 0 < float((moved - x).abs().max()) <= taught.config.threat.eps + 1e-6
    with torch.no_grad():
        torch.testing.assert_close(found.output, F.log_softmax(network(moved).double(), dim=1), atol=1e-5, rtol=0)
    again = taught.answers(taught.data.test)
    assert torch.equal(again.output, found.output)


def test_what_was_never_taught_is_refused(tmp_path: Path, runs: Any, one_line: Any) -> None:
    run = Run(runs.train("pgd_at", tmp_path, epochs=1).path)
    run.state.unlink()
    with one_line("has no state.pt"):
        Taught.of(run)


def test_the_networks_of_labels() -> None:
    letters = {name: [n.letter for n in labelling(DESIGNS[name]())] for name in DESIGNS}
    assert letters["pgd_at"] == letters["generalist"] == []
    assert letters["trades"] == letters["hat"] == ["S"] and letters["cktat"] == ["T", "S"]
    assert letters["kd_at_auto"] == ["T"]


def test_a_curve_is_what_was_left_after_each_epoch(tmp_path: Path, runs: Any) -> None:
    from cktat.api import Runner, Store, configure

    config, data = configure(design="trades", **runs.tiny.options)
    follow = Follow(tmp_path / "out", data, 30, str(tmp_path / "store"))
    folder = Runner(Store(tmp_path / "store"), Stop(), follow, lambda text: None).train(config, data)
    run = Run(folder.path)
    found = followed(tmp_path / "out", run)
    answers = Taught.of(run, data).answers(data.train.first(30))
    left = (answers.label.exp() * (answers.label - answers.output)).sum(dim=1).mean()
    assert [len(curve) for curve in found.values()] == [2, 2, 2] and found["left"][1] == pytest.approx(float(left))
    # TRADES asks for what the student says of clean images, and that moves: its guidance is the student's own
    test, network = data.test, run.model("last")
    with torch.no_grad():
        said = F.softmax(network(test.images.float() / data.levels).double(), dim=1)
    assert found["brier"][1] == pytest.approx(
        float((said - F.one_hot(test.labels, 3)).square().sum(dim=1).mean()), abs=1e-6
    )
    assert found["kl"][1] == pytest.approx(float(F.nll_loss(said.log(), test.labels)), abs=1e-6)
    assert abs(found["brier"][0] - found["brier"][1]) > 1e-3
    assert area([2.0, 1.0], 3.0, 2) == pytest.approx(0.5)
    assert area([2.0], 3.0, 2) is None and area([2.0, 1.0], 0.0, 2) is None
    other = Run(runs.train("trades", tmp_path / "other", seed=1).path)
    assert followed(tmp_path / "out", other) == {"left": [], "brier": [], "kl": []}


def test_a_run_measured_for_a_hard_label(tmp_path: Path, runs: Any) -> None:
    run = Run(runs.train("pgd_at", tmp_path).path)
    taught = Taught.of(run)
    seen = measured(run, taught, tmp_path, images=12, attacks=("pgd5",))
    assert seen["guidance"]["kl"] == 0.0 and seen["guidance"]["agrees"] == 1.0 and seen["difficulty"]["entropy"] == 0.0
    y = taught.data.train.labels[:12]
    shares = torch.bincount(y, minlength=3).double() / 12
    assert seen["difficulty"]["constant"] == pytest.approx(float(torch.special.entr(shares).sum()))
    answers = taught.answers(taught.data.train.first(12))
    assert seen["difficulty"]["left"] == pytest.approx(float(F.nll_loss(answers.output, y)), rel=1e-4)
    assert seen["jumps"] == {} and seen["pulls"]["conflict"] is None and seen["area"] is None
    assert set(seen["accuracy"]) == {"clean", "pgd5"} and seen["images"] == {"train": 12, "test": 12}
    worst = max(range(12), key=lambda n: -float(answers.output[n, y[n]]))
    assert seen["hardest"][0]["image"] == worst and json.dumps(seen)
    people = torch.full((30, 3), 1 / 3, dtype=torch.float64)
    assert measured(run, taught, tmp_path, images=12, people=people, attacks=("pgd5",))["guidance"]["kl"] is None


def test_the_command_places_designs_and_goes_on(
    tmp_path: Path, runs: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [
        "map", "pgd_at", "trades", "cktat tau=1 beta=1", "lbgat", *runs.tiny.flags, "--seeds", "1", "--images", "20",
        "--attacks", "pgd5", "--out", str(tmp_path / "out"), "--store", str(tmp_path / "store"),
    ]  # fmt: skip
    words = [word for place, word in enumerate(words) if not {word, words[place - 1]} & {"--device"}]
    result = CliRunner().invoke(lens_app, words)
    assert result.exit_code == 0, result.exception
    record = json.loads((tmp_path / "out" / "map.json").read_text())
    assert list(record["designs"]) == ["pgd_at", "trades", "cktat tau=1 beta=1", "lbgat"]
    assert {(one["axis"], one["accuracy"]) for one in record["relations"]} >= {
        ("difficulty", "clean"),
        ("difficulty", "pgd5"),
    }
    assert all(one["n"] == 4 for one in record["relations"]) and record["truth"] == "y"
    page = shown.page(tmp_path / "out" / "map.html")
    table = shown.table(shown.under(page, "The map"))
    assert [line[0] for line in table[1:]] == list(record["designs"])
    discs = shown.discs("Brier(y, label)")
    places = [(one["difficulty"], one["guidance Brier"]) for one in record["designs"].values()]
    assert [disc[:2] for disc in discs.values()] == [pytest.approx(place) for place in places]

    records = [json.loads(path.read_text()) for path in (tmp_path / "out" / "runs").iterdir()]
    seen = {one["design"]: one["seen"] for one in records}
    drawn = list(shown.lines("Guidance: Brier(y, label) after each epoch").values())
    # y is at 0 and is not drawn
    assert [[y for _, y in line] for line in drawn] == [
        pytest.approx(seen[name]["guidance_curve"]["brier"]) for name in ("trades", "cktat tau=1 beta=1", "lbgat")
    ]
    assert [x for x, _ in drawn[0]] == list(range(1, 1 + len(drawn[0])))

    def refuse(*args: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(Training, "step", refuse)
    again = CliRunner().invoke(lens_app, words)
    assert again.exit_code == 0 and again.output.count("is there") == 4


def test_a_design_whose_label_is_at_x_is_in_no_relation() -> None:
    def seen(hard: float, reached: float) -> dict[str, Any]:
        guide = {"kl": None, "brier": hard, "agrees": 1.0}
        return {"guidance": guide, "difficulty": {"relative": hard}, "area": None, "accuracy": {"clean": reached}}

    names = ("pgd_at", "trades", "mart", "ard", "iad")
    designs = [Placed(name, (seen(place, -place),)) for place, name in enumerate(names)]
    found = relations([*designs, Placed("standard", (seen(0.0, -9.0),))])
    assert {axis: (one.rho, one.n) for (axis, _), one in found.items() if axis != "guidance KL"} == {
        "guidance Brier": (-1.0, 5),
        "difficulty": (-1.0, 5),
    }
    assert found["guidance KL", "clean"].rho is None  # infinite for all
    assert foretelling(designs)["difficulty", "clean"] == pytest.approx(1.0)
    assert relations([Placed("standard", (seen(0.0, 1.0),))]) == {}


WRONG = [(("trdes",), "did you mean 'trades'"), (("trades", "--attacks", "pgf"), "unknown attack")]


@pytest.mark.parametrize(("words", "said"), WRONG)
def test_bad_input_is_one_line(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(lens_app, ["map", *words, "--out", str(tmp_path / "none")])
    assert isinstance(result.exception, CktatError) and said in str(result.exception)
    assert not (tmp_path / "none").exists()


def test_every_design_of_the_package_can_be_looked_at(tmp_path: Path, runs: Any) -> None:
    setting = LensSetting(
        {**runs.tiny.options, "epochs": 1}, images=6, attacks=("pgd2",), store=str(tmp_path / "store")
    )
    names = list(DESIGNS)
    entries = [DesignEntry.read(name) for name in names]
    records = looked_at(entries, 1, setting, tmp_path / "out", jobs=1, say=lambda text: None)
    assert [record["design"] for record in records] == names
    for record in records:
        seen = record["seen"]
        assert len(seen["curve"]) == 1 and seen["area"] is not None, record["design"]
        assert seen["difficulty"]["left"] is not None and seen["difficulty"]["left"] >= 0
    data = load(runs.tiny.data)
    task = LensTask(entries[-1], 0, setting, tmp_path / "out")
    generalist = Taught.of(Run(next((tmp_path / "store").glob("generalist-*"))), data)
    assert isinstance(generalist.design.deployed, Average) and task.record.exists()


def test_class_means_are_those_that_the_last_epoch_saw(tmp_path: Path, runs: Any) -> None:
    run = Run(runs.train("ikl", tmp_path).path)
    taught = Taught.of(run, store=str(tmp_path))
    (mean,) = taught.design.class_means
    _, at = next(taught.batches(taught.data.train))
    found = next(logits for cell, logits in at.logits.items() if cell.network == mean).exp()
    assert taught.moment.epoch == 1 and float((found - 1 / 3).abs().max()) > 0.01
    # they are one distribution a class
    for k in range(3):
        assert len(found[at.y == k].unique(dim=0)) == 1
