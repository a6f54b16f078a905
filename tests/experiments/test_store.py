"""Runs are found by what they compute, a finished one before one that still trains."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cktat.experiments import Store


@pytest.mark.parametrize("unfinished", ["a-copy", "z-copy"])
def test_a_finished_run_is_found_before_an_unfinished_one_of_the_same(unfinished, runs: Any, tmp_path: Path) -> None:
    run, other = runs.train("standard", tmp_path), runs.train("standard", tmp_path, seed=1)
    copy = tmp_path / unfinished
    shutil.copytree(run.path, copy)
    runs.edit(copy / "run.json", lambda fields: fields | {"finished": None})
    store = Store(tmp_path)
    for each in (run, other):
        assert store.find(each.read()["identity"]) == each
    assert store.find("0123456789abcdef") is None
