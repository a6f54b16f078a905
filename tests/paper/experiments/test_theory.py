"""The experiment of the theory, end to end on almost nothing, and the pages of the accounting."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from cktat.errors import CktatError
from cktat.evaluation import Spread, spread
from cktat.grid.tasks import Key
from cktat.paper.experiments import Condition, ExperimentSetting, accounts, experiment, findings, quick, summarise
from cktat.paper.experiments.experiment import ExperimentTask, tasks
from cktat.paper.experiments.measure import FeatureLog, followed, learning
from cktat.paper.experiments.summary import Record, says
from cktat.runs import RunFolder, Stopped, sealed


def test_the_experiment_from_end_to_end(tmp_path: Path) -> None:
    setting = quick(("standard", "cktat tau=1 beta=1"), seeds=2)
    lines: list[str] = []
    records = experiment(setting, tmp_path, say=lines.append)
    assert len(records) == len(lines) == 4
    assert {(r["design"], r["seed"]) for r in records} == {(d, s) for d in setting.designs for s in (0, 1)}
    for record in records:
        assert [line["epoch"] for line in record["curve"]] == [1, 2]
        assert len(record["curve"][0]["phi"]) == len(record["learned_after"]) == 2
        assert all(0 <= share <= 1 for share in record["measured"].values())
    account = findings.report(summarise(setting, records), tmp_path, 1.0)
    assert [row[0] for row in account.rows] == list(setting.designs)
    page = account.page.read_text()
    assert (
        page.count('<svg class="plot"') == 4
        and "http://" not in page.replace("http://www.w3.org", "")
        and "src=" not in page
    )
    numbers = json.loads((tmp_path / "experiment.json").read_text())
    assert {row["design"] for row in numbers["table"]} == set(setting.designs)
    clean = [r for r in records if r["design"] == "standard"]
    assert numbers["definition_4_1"] == [r["definition_4_1"] for r in clean]
    stronger = [max(pair) for r in clean for pair in r["curve"][1]["phi"]]
    assert numbers["curves"]["phi-first"]["standard"][1] == pytest.approx(sum(stronger) / len(stronger))

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").iterdir()}
    assert experiment(setting, tmp_path, say=lines.append) == records  # nothing is trained or measured twice
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "results").iterdir()} == before


SETTING = quick(("standard", "pgd_at"), seeds=2)


def numbers(records: list[Record]) -> list[Record]:
    """What does not say when and for how long."""
    return [{name: value for name, value in record.items() if name != "provenance"} for record in records]


def test_a_run_that_fails_takes_only_those_with_it_that_need_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, lines = ExperimentTask.trained, list[str]()

    def broken(task: ExperimentTask, *given: Any) -> RunFolder:
        if task.seed == 0 and task.design == "standard":
            raise CktatError("no such luck")
        return train(task, *given)

    with (
        monkeypatch.context() as patched,
        pytest.raises(CktatError, match=r"^2 of 4 runs failed: standard, .*no such luck"),
    ):
        patched.setattr(ExperimentTask, "trained", broken)
        experiment(SETTING, tmp_path, say=lines.append)
    assert len(lines) == 4 and "it needs a run that failed: no such luck" in "".join(lines)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").iterdir()}
    assert len(before) == 2
    assert len(experiment(SETTING, tmp_path, say=lines.append)) == 4
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_stopped_experiment_goes_on_to_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    whole = experiment(SETTING, tmp_path / "whole", say=lambda text: None)
    epoch = FeatureLog.epoch

    def interrupted(log: FeatureLog, record: dict[str, Any]) -> None:
        epoch(log, record)
        if "pgd_at" in log.folder.path.name:
            os.kill(os.getpid(), signal.SIGTERM)

    with (
        monkeypatch.context() as patched,
        pytest.raises(Stopped, match=r"^received SIGTERM; the same command goes on$"),
    ):
        patched.setattr(FeatureLog, "epoch", interrupted)
        experiment(SETTING, tmp_path / "stopped", say=lambda text: None)
    left = [path.name for path in (tmp_path / "stopped" / "results").iterdir()]
    assert len(left) == 2 and all("standard" in name for name in left)
    again = experiment(SETTING, tmp_path / "stopped", jobs=jobs, say=lambda text: None)
    assert numbers(again) == numbers(whole)


def test_a_clean_run_is_trained_before_all_that_look_at_it(tmp_path: Path) -> None:
    """Networks at other radii are the clean one at the base's: of several workers one trains it."""
    todo = tasks(ExperimentSetting(("standard", "pgd_at"), 1, eps=(0.3,), mu=(0.8,), epochs=()), tmp_path)
    done = set[Key]()
    for task in todo:
        assert done.issuperset(task.needs)
        done.add(task.key)
    needs = {task.label: [label for label, _ in task.needs] for task in todo}
    base, near, far = ("standard, eps 0.6, mu 0.4, 20 epochs, seed 0", "standard, eps 0.3, mu 0.4, 20 epochs, seed 0",
                       "standard, eps 0.6, mu 0.8, 20 epochs, seed 0")  # fmt: skip
    assert (needs[base], needs[near], needs[far]) == ([], [base], [])
    assert set(needs[near.replace("standard", "pgd_at")]) == {near, base}


def test_the_first_time_a_feature_is_learned() -> None:
    curve = [[[0.2, 0.6], [0.0, 0.0]], [[0.7, 0.4], [0.0, 0.0]], [[0.1, 0.9], [0.5, 0.51]]]
    lines = [{"epoch": e, "accuracy": accuracy} for e, accuracy in enumerate(curve, 1)]
    assert learning(lines) == [(2, 1), (None, 3)]
    assert learning([]) == []


def test_an_epoch_that_was_trained_again_counts_once(tmp_path: Path) -> None:
    lines = [{"epoch": 1, "at": "a"}, {"epoch": 2, "at": "b"}, {"epoch": 1, "at": "c"}]
    (tmp_path / "features.jsonl").write_text("".join(json.dumps(sealed(line)) + "\n" for line in lines))
    assert followed(RunFolder(tmp_path)) == [{"epoch": 1, "at": "c"}, {"epoch": 2, "at": "b"}]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0.3, 0.31, 0.29], "holds"),
        ([-0.3, -0.31, -0.29], "opposite"),
        ([0.3, -0.3, 0.1], "undecided"),
        ([0.0, 0.0], "no difference"),
    ],
)
def test_a_claim_holds_where_the_interval_leaves_out_0(values: list[float], said: str) -> None:
    found = spread(values)
    assert found is not None and says(found) == said
    assert "one seed" in says(Spread(0.3, 0.0, 1))
    assert spread([]) is None


def test_conditions_change_one_thing_at_a_time() -> None:
    setting = ExperimentSetting(seeds=1, eps=(0.3,), mu=(0.8,), epochs=(5,))
    assert setting.conditions == (Condition(), Condition(eps=0.3), Condition(mu=0.8), Condition(epochs=5))
    assert setting.swept("eps") == (Condition(eps=0.3), Condition())
    assert "pgd_at start=standard" not in setting.designs_at(Condition(mu=0.8))
    with pytest.raises(CktatError, match="unknown design 'pgdat'"):
        ExperimentSetting(designs=("pgdat",))
    with pytest.raises(CktatError, match="0 <= mu <= 1"):
        ExperimentSetting(mu=(1.2,))


def test_the_pages_of_the_accounting(tmp_path: Path) -> None:
    rows = dict(accounts.example(tmp_path).rows)
    assert rows["difference by the formula (Eq. 11)"] == "0.147" and rows["difference as printed"] == "0.102"
    assert dict(accounts.phase(tmp_path).rows)["0.3"] == "nowhere"  # below a / D
    account, agrees = accounts.check(tmp_path, 0.4, 0.3, 0.8, 1.0, 3.0, n=2000)
    assert agrees and len(account.rows) == 6
    for name in ("example", "phase", "check"):
        assert (tmp_path / f"{name}.html").is_file() and (tmp_path / f"{name}.json").is_file()
    assert (tmp_path / "phase.svg").read_bytes().startswith(b'<svg xmlns="http://www.w3.org/2000/svg"')
