"""The package as a library, as its README shows it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import cktat
from cktat.designs import DESIGNS
from cktat.errors import CktatError
from cktat.labels import Design, Learner, Term, adversarial, clean, mix, uniform, y
from cktat.runs import Stopped


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CKTAT_STORE", raising=False)
    monkeypatch.delenv("CKTAT_DATA", raising=False)


def test_train_evaluate_report(tiny, tmp_path, capsys) -> None:
    run = cktat.train("trades", **tiny.options)
    results = cktat.evaluate(run, ["pgd10", "cw"])
    page = cktat.report([run])
    assert run.path.parent.samefile(tmp_path / "runs") and run.finished
    for result in results:
        low, high = result.interval
        assert 0 <= low <= result.accuracy <= high <= 1
    assert [result.attack for result in results] == ["clean", "pgd10", "cw"]
    assert page == run.path / "report.html" and "TRADES" in page.read_text()
    said = capsys.readouterr()
    assert "TRADES epoch 2/2" in said.out and "cw: " in said.out and said.err == ""


def test_results_of_a_store_are_flat_rows(tiny, tmp_path, capsys) -> None:
    runs = [cktat.train("standard", show=False, seed=seed, **tiny.options) for seed in (0, 1)]
    there = {seed: cktat.evaluate(run, ["fgsm"], show=False) for seed, run in enumerate(runs)}
    found = cktat.results()
    of = {(line["seed"], line["attack"]): line for line in found}
    assert len(found) == 4 and {tuple(line) for line in found} == {tuple(found[0])}
    for seed, results in there.items():
        for result in results:
            line = of[seed, result.attack]
            assert (line["run"], line["robust"], line["weights"]) == (runs[seed].path.name, result.robust, "best")
            assert (line["accuracy"], line["low"], line["high"]) == (result.accuracy, *result.interval)
    next(runs[0].results_path.glob("best-fgsm.json")).write_text("{")
    capsys.readouterr()
    assert {line["seed"] for line in cktat.results()} == {1} and runs[0].path.name in capsys.readouterr().err
    assert cktat.results(tmp_path / "empty") == []


def test_nothing_is_printed_where_nothing_is_to_be_shown(tiny, capsys) -> None:
    run = cktat.train("standard", show=False, **tiny.options)
    cktat.train("standard", show=False, **tiny.options)
    cktat.evaluate(run, [], show=False)
    assert capsys.readouterr() == ("", "")


def test_runs_are_found_by_folder_and_by_name(tiny, tmp_path) -> None:
    run = cktat.train("standard", show=False, store=tmp_path / "store", **tiny.options)
    results = cktat.evaluate(run, ["fgsm"], show=False)
    assert cktat.evaluate(run.path, ["fgsm"], show=False) == results
    assert cktat.evaluate(run.path.name, ["fgsm"], store=tmp_path / "store", show=False) == results
    with pytest.raises(CktatError, match=r"no run at nothing; .* holds standard-"):
        cktat.evaluate("nothing", store=tmp_path / "store")


def test_a_report_is_of_at_least_one_run() -> None:
    with pytest.raises(CktatError, match="at least one run"):
        cktat.report([])
    with pytest.raises(CktatError, match=r"takes a list of runs, such as \['runs/one'\]"):
        cktat.report("runs/one")


def test_ensure_takes_what_is_there(tiny) -> None:
    with pytest.raises(Stopped):
        cktat.train("pgd_at", stop_after="0.001s", show=False, **tiny.options)
    with pytest.raises(CktatError, match="add --resume"):
        cktat.train("pgd_at", show=False, **tiny.options)
    run = cktat.train("pgd_at", ensure=True, show=False, **tiny.options)
    assert run.finished
    before = (run.path / "state.pt").stat().st_mtime_ns
    cktat.train("pgd_at", ensure=True, show=False, **tiny.options)
    assert (run.path / "state.pt").stat().st_mtime_ns == before


def test_a_design_with_hyper_parameters_is_that_of_its_name(tiny, tmp_path) -> None:
    made = cktat.train(DESIGNS["trades"](beta=2.0), show=False, **tiny.options)
    named = cktat.train("trades", set={"beta": 2.0}, show=False, **tiny.options)
    assert made.path == named.path
    assert named.config().set["beta"] == 2.0


def test_a_design_made_by_hand_is_trained_evaluated_and_shown(tiny) -> None:
    S = Learner("S")
    mine = Design("Mine", (Term(S(adversarial(S, y)), mix(uniform, y, 0.1)), Term(S(clean), y, 0.5)))
    run = cktat.train(mine, show=False, **tiny.options)
    assert run.read()["design"]["name"] == "Mine" and run.config().design == "Mine"
    clean_result, _ = cktat.evaluate(run, ["fgsm"], show=False)
    assert clean_result.accuracy > 0.5
    assert "Mine" in cktat.report([run]).read_text()


def test_an_edited_design_is_another_run(tiny) -> None:
    whole = cktat.train("cktat", show=False, **tiny.options)
    edited = cktat.train(DESIGNS["cktat"]().without("smooth"), show=False, **tiny.options)
    assert edited.path != whole.path
    assert set(edited.history()[0]["terms"]) == {"guide"}


def test_a_design_that_was_made_takes_no_hyper_parameters_and_no_recipe_of_its_authors(tiny, tmp_path) -> None:
    edited = DESIGNS["cktat"]().without("smooth")
    for design in (edited, DESIGNS["cktat"](tau=2.0)):
        with pytest.raises(CktatError, match="is made already; set= goes with"):
            cktat.train(design, set={"tau": 3.0}, show=False, **tiny.options)
    with pytest.raises(CktatError, match="made by hand"):
        cktat.train(edited, recipe="authors", show=False, **tiny.options)
    assert list(tmp_path.iterdir()) == []


FIVE_LINES = """\
from cktat.labels import Design, Learner, Term, adversarial, clean, y
def my_design(beta: float = 3.0):
    S = Learner("S")
    adv = adversarial(S, y)
    return Design("mine", (Term(S(adv), y), Term(S(adv), S(clean), beta, name="smooth")))
"""


def test_a_design_in_a_file_of_five_lines(tiny, tmp_path) -> None:
    assert len(FIVE_LINES.splitlines()) == 5
    (tmp_path / "my_design.py").write_text(FIVE_LINES)
    run = cktat.train("./my_design.py:my_design", set={"beta": 6.0}, show=False, **tiny.options)
    assert run.path.name.startswith("my_design-tiny-tiny-s0-")
    assert run.config().set == {"beta": 6.0}
    assert cktat.evaluate(run, ["fgsm"], show=False)[0].accuracy > 0.5
    with pytest.raises(CktatError, match=r"design '\./my_design\.py:my_design' has no parameter 'bata'; it has beta"):
        cktat.train("./my_design.py:my_design", set={"bata": 6.0}, show=False, **tiny.options)
    with pytest.raises(CktatError, match="the weight of smooth must be a finite number of 0 or more, not -1"):
        cktat.train("./my_design.py:my_design", set={"beta": -1}, show=False, **tiny.options)


def test_a_design_in_a_file_can_be_a_teacher(tiny, tmp_path) -> None:
    (tmp_path / "my_design.py").write_text(FIVE_LINES)
    run = cktat.train("ltd", set={"teacher": "./my_design.py:my_design"}, show=False, **tiny.options)
    mine = cktat.train("./my_design.py:my_design", show=False, **tiny.options)
    assert run.read()["inputs"]["T"]["run"] == mine.read()["identity"]


def test_an_unknown_option_names_the_nearest(tiny) -> None:
    with pytest.raises(CktatError, match="unknown option of a run 'epoch'; did you mean 'epochs'"):
        cktat.train("trades", epoch=3)


def test_the_attributes_are_those_listed() -> None:
    assert {"train", "evaluate", "report", "CktatError"} <= set(cktat.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        cktat.trian  # noqa: B018
    assert all(callable(getattr(cktat, name)) for name in (*cktat._OFFERED, "CktatError"))


def test_importing_the_package_does_not_import_torch() -> None:
    """`cktat --help` and editors wait for this import."""
    command = [sys.executable, "-c", "import sys, cktat; print('torch' in sys.modules)"]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "False\n"


def test_the_folder_of_a_run_is_what_train_returns(tiny, tmp_path) -> None:
    run = cktat.train("standard", out=tmp_path / "mine", show=False, **tiny.options)
    assert run.path == tmp_path / "mine" and run.load("best")[1]["design"] == "Standard"
