"""Options of training that combine with any design: weight averaging (EMA) and weight perturbation (AWP)."""

from pathlib import Path
from typing import Any

import pytest
import torch

from cktat.designs import DESIGNS
from cktat.labels import Average, Moment, value

VALUES = {"kd_at_auto": {"tau": 2.0, "share": 0.5}}


@pytest.mark.parametrize("name", DESIGNS)
def test_every_design_trains_with_both(name: str, runs: Any, tmp_path: Path) -> None:
    run = runs.train(name, tmp_path, ema=0.9, awp=0.01, epochs=1, set=VALUES.get(name, {}))
    plain = runs.train(name, tmp_path, epochs=1, set=VALUES.get(name, {}))
    assert run.read()["identity"] != plain.read()["identity"]
    mine, theirs = run.load("last")[0], plain.load("last")[0]
    assert any(not torch.equal(mine[key], theirs[key]) for key in mine)


def test_an_averaged_design_deploys_the_moving_average_of_weights_and_statistics(runs: Any, tmp_path: Path) -> None:
    # one step: the decay begins at (0 + 1) / (0 + 10), so the average is 0.1 start + 0.9 after
    options = {"epochs": 1, "batch_size": 48}
    averaged = runs.train("standard", tmp_path / "a", ema=0.9, **options).load("last")[0]
    after = runs.train("standard", tmp_path / "b", **options).load("last")[0]
    key = "body.1.running_mean"  # starts at 0
    torch.testing.assert_close(averaged[key], 0.9 * after[key])
    assert not torch.equal(averaged["body.0.weight"], after["body.0.weight"])


def test_the_decay_grows_to_what_was_asked_for() -> None:
    average = DESIGNS["trades"]().averaged(0.995).deployed
    assert isinstance(average, Average)
    assert [value(average.decay, Moment(step=s)) for s in (0, 8, 10_000)] == [0.1, 0.5, 0.995]


def test_resuming_with_both_equals_not_stopping(runs: Any, tmp_path: Path) -> None:
    options = {"ema": 0.9, "awp": 0.01}
    whole = runs.outcome(runs.train("trades", tmp_path / "whole", **options))
    with pytest.raises(Exception, match="saved after step"):
        runs.train("trades", tmp_path / "parts", steps=runs.Steps(until=3), **options)
    assert runs.outcome(runs.train("trades", tmp_path / "parts", ensure=True, **options)) == whole
