"""The experiment of the theory, end to end on almost nothing, and the pages of the accounting."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cktat.errors import CktatError
from cktat.evaluation import Spread, spread
from cktat.paper.experiments import Condition, ExperimentSetting, accounts, experiment, findings, quick, summarise
from cktat.paper.experiments.measure import followed, learning
from cktat.paper.experiments.summary import says
from cktat.runs import RunFolder, sealed


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
    assert page.count("<svg") == 4 and "http://" not in page.replace("http://www.w3.org", "") and "src=" not in page
    numbers = json.loads((tmp_path / "experiment.json").read_text())
    assert {row["design"] for row in numbers["table"]} == set(setting.designs)
    clean = [r for r in records if r["design"] == "standard"]
    assert numbers["definition_4_1"] == [r["definition_4_1"] for r in clean]
    stronger = [max(pair) for r in clean for pair in r["curve"][1]["phi"]]
    assert numbers["curves"]["phi-first"]["standard"][1] == pytest.approx(sum(stronger) / len(stronger))

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").iterdir()}
    assert experiment(setting, tmp_path, say=lines.append) == records  # nothing is trained or measured twice
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "results").iterdir()} == before


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
