"""Training images judged by networks that never saw them: the parts, what trains on what, and the command."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import cktat
from cktat.api import Store
from cktat.api.run import Run
from cktat.cli.lens import lens_app
from cktat.data import Split
from cktat.errors import CktatError
from cktat.evaluation import load_subject
from cktat.lens.crossfit import cross_fitted, parts
from cktat.lens.standing import logits_on
from cktat.training.loop import Training


@given(st.lists(st.integers(0, 3), min_size=5, max_size=40), st.integers(2, 5))
def test_parts_are_of_equal_size_and_have_equal_shares_of_each_class(labels: list[int], folds: int) -> None:
    y = torch.tensor(labels)
    found = parts(y, folds)
    for some in (found, *(found[y == k] for k in range(4))):
        counts = torch.bincount(some, minlength=folds)
        assert int(counts.sum()) == len(some) and int(counts.max() - counts.min()) <= 1


def test_parts_that_cannot_be() -> None:
    with pytest.raises(CktatError, match="in 2 to 3 parts, not 4"):
        parts(torch.tensor([0, 1, 2]), 4)


def test_each_image_is_judged_by_a_network_trained_without_it(
    tmp_path: Path, runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runs.train("standard", tmp_path / "store")
    subject = load_subject(run, "last", None, torch.device("cpu"))
    train, store = subject.data.train, Store(tmp_path / "store")
    found = cross_fitted(subject, 2, store)
    which = parts(train.labels, 2)
    # trained by hand, without the first part, through the function that everyone calls
    rest = dataclasses.replace(subject.data, train=Split(train.images[which != 0], train.labels[which != 0]))
    options = {name: value for name, value in runs.tiny.options.items() if name != "data"}
    own = cktat.train("standard", data=rest, store=str(tmp_path / "by-hand"), **options)
    theirs = logits_on(load_subject(Run(own.path), "last", None, torch.device("cpu"), rest), train)
    assert torch.equal(found[which == 0], theirs[which == 0])
    assert not torch.allclose(found[which == 1], theirs[which == 1], atol=1e-4)

    def refuse(*args: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(Training, "step", refuse)
    assert torch.equal(cross_fitted(subject, 2, store), found)


def test_an_imported_network_cannot_be_trained_again(tmp_path: Path, runs: Any) -> None:
    run = runs.train("standard", tmp_path / "store", epochs=1)
    text = json.loads(run.run_json.read_text())
    subject = load_subject(run, "last", None, torch.device("cpu"))
    monkey = type(run).read
    try:
        type(run).read = lambda self: {**text, "imported": "net.pt"}
        with pytest.raises(CktatError, match="was imported: how to train it again is not known"):
            cross_fitted(subject, 2, Store(tmp_path / "store"))
    finally:
        type(run).read = monkey


def test_the_command_judges_training_images(tmp_path: Path, runs: Any, shown: Any) -> None:
    run = runs.train("standard", tmp_path / "store")
    words = ["labels", str(run.path), "--folds", "2", "--tau", "1,2", "--designs", "trades,adaad", "--weights", "last"]
    result = CliRunner().invoke(lens_app, [*words, "--store", str(tmp_path / "store"), "--out", str(tmp_path)])
    assert result.exit_code == 0, result.exception
    record = json.loads((tmp_path / "labels.json").read_text())
    subject = load_subject(run, "last", None, torch.device("cpu"))
    train = subject.data.train
    unseen = cross_fitted(subject, 2, Store(tmp_path / "store"))
    by_name = {one["label"]: one for one in record["labels"]}
    assert record["split"] == "training" and by_name["y"]["images"] == len(train)
    assert by_name["T at tau 2"]["kl"] == pytest.approx(float(F.cross_entropy(unseen.double() / 2, train.labels)))
    seen = logits_on(subject, train).double()
    assert record["seen"][0]["kl"] == pytest.approx(float(F.cross_entropy(seen, train.labels)))
    assert [one["label"] for one in record["designs"]] == ["trades"]
    assert "needs x', which is not searched here" in record["left_out"]["adaad"]
    # the images at which what T says of new images is farthest from y; y itself is far from none
    best = record["most_right"]
    assert best in ("T at tau 1", "T at tau 2")
    far = F.cross_entropy(unseen.double() / float(best[-1]), train.labels, reduction="none")
    worst = record["most_wrong_images"][0]
    assert worst["image"] == int(far.argmax()) and worst["kl"] == pytest.approx(float(far.max()), abs=1e-4)
    page = shown.page(tmp_path / "labels.html")
    assert shown.table(shown.under(page, "Of images that T has seen"))[1][1] == f"{record['seen'][0]['kl']:.3f}"
    bad = CliRunner().invoke(lens_app, [*words, "--people", "people.npy"])
    assert isinstance(bad.exception, CktatError) and "either --people or --folds" in str(bad.exception)
