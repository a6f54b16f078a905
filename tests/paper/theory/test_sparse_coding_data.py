"""--data sparse-coding: the vectors of Section 3.1.2 as a data set without a box."""

from __future__ import annotations

import pytest
import torch

from cktat.data import load
from cktat.errors import CktatError
from cktat.paper.theory.sparse_coding_data import parse

SPEC = "sparse-coding:d=12,k=3,noise=0.1,train=40,held_out=8,test=12,seed=4"


def test_splits_are_the_samples() -> None:
    data = load(SPEC)
    assert (data.name, data.box, data.channels, data.size, data.classes) == (SPEC, None, 12, (1, 1), ("0", "1"))
    distribution, sizes = parse(SPEC)
    for number, (name, split) in enumerate((("train", data.train), ("held_out", data.held_out), ("test", data.test))):
        x, y, _ = distribution.sample(sizes[name], seed=number)
        assert torch.equal(split.images.flatten(1), x) and torch.equal(split.labels, y)
    assert (distribution.noise, distribution.seed) == (0.1, 4)


def test_it_comes_again_and_another_seed_is_another_data_set() -> None:
    assert load(SPEC).fingerprint == load(SPEC).fingerprint != load(SPEC.replace("seed=4", "seed=5")).fingerprint


def test_without_parameters() -> None:
    data = load("sparse-coding")
    assert (len(data.train), len(data.held_out), len(data.test), data.channels) == (2000, 500, 1000, 64)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("sparse-coding:mu=0.2", "unknown parameter of sparse-coding data 'mu'"),
        ("sparse-coding:k=9,d=8", "1 <= k <= d"),
        ("sparse-coding:noise=-1", "noise >= 0"),
        ("sparse-coding:noise=much", "noise must be a number"),
        ("sparse-coding:d=2.5", "d must be a whole number"),
        ("sparse-coding:train=0", "1 or more"),
        ("sparse_coding", "did you mean 'sparse-coding'"),
    ],
)
def test_bad_specs_are_one_clear_line(spec: str, said: str) -> None:
    with pytest.raises(CktatError) as error:
        load(spec)
    assert said in str(error.value) and "\n" not in str(error.value)
