"""The grid of conditions: resumed, read, and judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cktat.errors import CktatError
from cktat.grid.tasks import Key
from cktat.paper.experiments import regime_page
from cktat.paper.experiments.border import fates, foretold, missing, over, redrawn, verdict
from cktat.paper.experiments.regime import RegimeSetting, RegimeTask, record_of, regime
from cktat.runs import Stop, Stopped

SMALL = RegimeSetting(2, (0.4,), (0.6,), (1, 2), (0.1,), (0.0, 0.8), (1,), k=2, d=8, P=4, samples=40)


def numbers(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in record.items() if name != "provenance"} for record in records]


def test_a_grid_that_was_stopped_goes_on_to_the_same_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = regime(SMALL, tmp_path / "whole", say=lambda text: None)
    assert [r["condition"] for r in whole] == [vars(place) for place in SMALL.places] and len(whole) == 4
    carry_out = RegimeTask.carry_out

    def once(task: RegimeTask, stop: Stop) -> str:
        if list((tmp_path / "stopped" / "regime").glob("*.json")):
            raise Stopped("enough")
        return carry_out(task, stop)

    with monkeypatch.context() as patched, pytest.raises(Stopped, match="the same command goes on"):
        patched.setattr(RegimeTask, "carry_out", once)
        regime(SMALL, tmp_path / "stopped", say=lambda text: None)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "stopped" / "regime").iterdir()}
    assert len(kept) == 2
    assert numbers(regime(SMALL, tmp_path / "stopped", say=lambda text: None)) == numbers(whole)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept

    account = regime_page.report(SMALL, whole, tmp_path)
    assert account.page.read_text().count('<svg class="plot"') == 2
    kept_numbers = json.loads((tmp_path / "regime.json").read_text())
    assert [c["left"] for c in kept_numbers["conditions"]] == [fates(record).share("left") for record in whole]


def test_records_of_another_setting_are_made_anew(tmp_path: Path) -> None:
    group = SMALL.groups[0]
    task = RegimeTask(SMALL, group, tmp_path)
    with Stop() as stop:
        assert task.carry_out(stop) == "trained and measured" and task.carry_out(stop) == "is there"
        other = RegimeTask(RegimeSetting(**{**vars(SMALL), "samples": 50}), group, tmp_path)
        assert other.carry_out(stop) == "trained and measured"
    assert record_of(tmp_path, group[0]).name == "mu0.4-eps0.6-neurons1-noise0.1-alike0-epochs1.json"


def test_tasks_of_a_grid_have_names_of_their_own(tmp_path: Path) -> None:
    tasks = [RegimeTask(RegimeSetting(), group, tmp_path) for group in RegimeSetting().groups]
    keys: set[Key] = {task.key for task in tasks}
    assert len(keys) == len(tasks) and len(set(RegimeSetting().places)) == len(RegimeSetting().places)


@pytest.mark.parametrize("wrong", [{"mu": ()}, {"mu": (2.0,)}, {"eps": (0.0,)}, {"neurons": (0,)}, {"seeds": 0}])
def test_a_box_of_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(CktatError):
        RegimeSetting(**wrong)


def record(
    clean: list[list[float]], adversarial: list[list[float]], share: float = 0.5, mu: float = 0.0
) -> dict[str, Any]:
    """Two seeds alike. The first feature answers 1 and loses nothing; the second of the clean network loses `share`."""
    one = {
        "standard": {"accuracy": clean, "a": [[1.0, 1.0]] * len(clean), "taken": [[0.0, share]] * len(clean)},
        "pgd_at": {"accuracy": adversarial, "a": [[1.0, 0.1]] * len(clean), "taken": [[0.0, 0.0]] * len(clean)},
    }
    return {"condition": {"mu": mu}, "seeds": [{"seed": seed, **one} for seed in (0, 1)]}


def test_the_four_fates_of_a_class() -> None:
    clean = [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 0.2]]
    adversarial = [[1.0, 0.4], [0.1, 0.2], [1.0, 1.0], [0.9, 0.8]]
    found = fates(record(clean, adversarial))
    assert [found.share(name) for name in ("known", "left", "lost", "gained")] == [
        [0.75, 0.75], [0.25, 0.25], [0.25, 0.25], [0.25, 0.25],
    ]  # fmt: skip
    spread = missing(record(clean, adversarial))
    assert spread is not None and spread.mean == 0.25 and verdict(record(clean, adversarial)) == "holds"
    averaged = over([record(clean, adversarial), record(clean, clean)], "left")
    assert averaged is not None and averaged.mean == 0.125


def test_eq_11_turns_at_k2_d_equal_to_a_where_there_are_no_single_views() -> None:
    """mu 0 leaves p1 >= p12, that is k2 D >= a."""
    for share, hurts in ((0.9, False), (1.1, True)):
        assert bool((fates(record([[1.0, 1.0]], [[1.0, 0.0]], share)).rise > 0).all()) is hurts


def test_a_forecast_that_is_always_right_has_full_skill_and_one_turned_round_has_none() -> None:
    left, kept = [[1.0, 0.0]], [[1.0, 1.0]]
    right = [record(kept, left, 2.0), record(kept, kept, 0.1)] * 4
    said = foretold(right)
    assert said.table == (8, 0, 0, 8) and said.rank.value == pytest.approx(1)
    assert (said.found.value, said.alarms.value, said.skill.value) == (1, 0, 1)
    wrong = foretold([record(kept, left, 0.1), record(kept, kept, 2.0)] * 4)
    assert wrong.rank.value == pytest.approx(-1) and wrong.skill.value == -1 and wrong.table == (0, 8, 8, 0)


def test_an_interval_of_redrawn_conditions_is_that_of_the_mean() -> None:
    values = np.random.default_rng(1).normal(size=400)
    found = redrawn(lambda rows: float(values[rows].mean()), 400)
    assert found.low < found.value < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.15)
    assert str(redrawn(lambda rows: float("nan"), 3, 5)) == "none"
