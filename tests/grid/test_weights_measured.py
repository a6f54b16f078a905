"""A grid measures the weights, the attacks and the images that were asked for, each in a file that says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cktat.evaluation import Result
from cktat.grid import Grid, Measurement, configured
from cktat.runs import RunFolder


def test_each_measurement_is_of_its_own_weights_and_images(tiny: Any, tmp_path: Path) -> None:
    wanted = (Measurement("last", ("fgsm",)), Measurement("best", ("pgd10",), 20))
    grid = Grid(*configured([("one", {"design": "pgd_at"} | tiny.options | {"epochs": 3}, wanted)]), tmp_path)
    outcome = grid.run()
    assert not outcome.failures and not grid.left()[0]
    (folder,) = (RunFolder(path.parent) for path in tmp_path.glob("*/run.json"))
    names = {"last-clean", "last-fgsm", "best-clean-first20", "best-pgd10-first20"}
    assert {path.stem for path in folder.results.glob("*.json")} == names
    evidence = grid.evidence()
    for measurement in wanted:
        card = folder.load(measurement.weights)[1]
        for attack in ("clean", *measurement.attacks):
            row = grid.result(evidence, "one", measurement, attack)
            found = Result.read(row.path)
            assert found.robust == row.robust and found.images == (measurement.images or 30)
            assert found.provenance["weights"] == measurement.weights
            assert found.provenance["weights_sha256"] == card["weights_sha256"]
