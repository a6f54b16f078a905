"""Networks that other runs trained enter a run with the weights that its design names: a teacher, a start, best or last."""

from __future__ import annotations

import pytest
import torch

from cktat.errors import CktatError
from cktat.runs import RunFolder


@pytest.mark.parametrize("pick", ["best", "last"])
def test_a_teacher_and_a_start_are_the_weights_that_the_design_picks(pick, watched, tmp_path) -> None:
    differ = False
    for seed in range(4):
        store = tmp_path / str(seed)
        seen, _ = watched("cktat", store, seed=seed, epochs=4, lr=0.1, set={"pick": pick})
        given = {p: RunFolder(next(store.glob("standard-*"))).load(p)[0] for p in ("best", "last")}
        differ |= any(not torch.equal(given["best"][name], given["last"][name]) for name in given["best"])
        student = seen.first["CKTAT"][0]
        learner = next(p.module for p in seen.passes if p.design == "CKTAT" and p.trains)
        frozen = [p for p in seen.passes if p.design == "CKTAT" and p.phase == "step" and p.module is not learner]
        assert frozen, "the teacher is asked"
        for name, weights in given[pick].items():
            assert torch.equal(student[name], weights)
            assert all(torch.equal(p.module.state_dict()[name], weights) for p in frozen)
    assert differ, "otherwise one pick would do as well as the other"


def test_a_learner_without_a_start_begins_from_fresh_weights(watched, tmp_path) -> None:
    seen, _ = watched("cktat", tmp_path, set={"start": None})
    given, _ = RunFolder(next(tmp_path.glob("standard-*"))).load("best")
    assert not torch.equal(seen.first["CKTAT"][0]["body.0.weight"], given["body.0.weight"])
    assert torch.equal(seen.first["CKTAT"][0]["body.0.weight"], seen.first["Standard"][0]["body.0.weight"])


def test_weights_of_another_run_are_not_taken_for_this_ones(runs, tmp_path) -> None:
    one, other = runs.train("standard", tmp_path), runs.train("standard", tmp_path, seed=1)
    one.weights("best").write_bytes(other.weights("best").read_bytes())
    with pytest.raises(CktatError, match=r"best\.safetensors is of another run .*, not of the one in its folder"):
        one.load("best")
