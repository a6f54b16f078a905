"""--data multiview: the theory's samples as a data set without a box."""

from __future__ import annotations

import pytest
import torch

from cktat.data import load
from cktat.errors import CktatError
from cktat.paper.theory.multiview_data import parse, split_of

SPEC = "multiview:k=3,d=8,P=6,mu=0.25,train=40,held_out=8,test=12,seed=4"


def test_splits_are_the_samples() -> None:
    data = load(SPEC)
    assert (data.name, data.box, data.channels, data.size, data.classes) == (SPEC, None, 8, (6, 1), ("0", "1", "2"))
    distribution, sizes = parse(SPEC)
    for name, split in (("train", data.train), ("held_out", data.held_out), ("test", data.test)):
        samples = split_of(distribution, sizes[name], name)
        assert torch.equal(split.images.squeeze(-1).transpose(1, 2), samples.x)
        assert torch.equal(split.labels, samples.y)
    assert (distribution.mu, distribution.seed) == (0.25, 4)


def test_splits_differ_and_come_again() -> None:
    data, again = load(SPEC), load(SPEC)
    assert data.fingerprint == again.fingerprint
    assert not torch.equal(data.held_out.images[:8], data.test.images[:8])
    assert load(SPEC.replace("seed=4", "seed=5")).fingerprint != data.fingerprint


def test_without_parameters() -> None:
    data = load("multiview")
    assert (len(data.train), len(data.held_out), len(data.test), len(data.classes)) == (1500, 300, 1000, 10)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("multiview:nu=0.2", "unknown parameter of multi-view data 'nu'; did you mean 'mu'"),
        ("multiview:mu=2", "0 <= mu <= 1"),
        ("multiview:mu=high", "mu must be a number"),
        ("multiview:k=2.5", "k must be a whole number"),
        ("multiview:train=0", "1 or more"),
        ("multiviews", "did you mean 'multiview'"),
    ],
)
def test_bad_specs_are_one_clear_line(spec: str, said: str) -> None:
    with pytest.raises(CktatError) as error:
        load(spec)
    assert said in str(error.value) and "\n" not in str(error.value)
