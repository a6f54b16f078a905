"""What a network gets, raw or normalised images, and that weights keep meaning one function wherever they go."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cktat.api import Store, configure
from cktat.api.importing import import_network
from cktat.api.records import identity_of
from cktat.api.run import Run
from cktat.api.ways import Described
from cktat.designs import make
from cktat.errors import CktatError

FLAT = """
from torch import nn


def flat(classes, channels):
    return nn.Sequential(nn.Flatten(), nn.Linear(36 * channels, classes))
"""


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(5, 1, 6, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("inputs", "raw"), [("raw", True), ("data", False)])
def test_a_new_network_gets_what_the_recipe_says(inputs, raw, tiny, runs, images, tmp_path) -> None:
    run = Run.open(runs.train("standard", tmp_path, inputs=inputs))
    data = configure(**tiny.options)[1]
    mean, std = (0.0, 1.0) if raw else (data.mean[0], data.std[0])
    network = run.model("last")
    assert torch.equal(network(images), network.body((images - torch.tensor(mean)) / torch.tensor(std)))
    card = run.load("last")[1]
    assert (card["mean"], card["std"]) == (pytest.approx([mean]), pytest.approx([std]))


def test_teachers_are_trained_on_what_the_run_is(runs, tmp_path) -> None:
    runs.train("cktat", tmp_path, inputs="raw")
    assert {run.load("last")[1]["mean"][0] for run in Store(tmp_path).runs()} == {0.0}
    assert len(Store(tmp_path).runs()) == 2


def test_only_raw_inputs_are_part_of_an_identity(tiny) -> None:
    names = []
    for options in ({}, {"inputs": "data"}, {"inputs": "raw"}):
        config, data = configure(**tiny.options, **options)
        names.append(identity_of(config, data, make("trades")))
    assert names[0] == names[1] != names[2]


def test_another_word_is_refused(tiny) -> None:
    with pytest.raises(CktatError, match="inputs"):
        configure(**tiny.options, inputs="rwa")


@pytest.mark.parametrize(("given", "asked"), [("raw", "data"), ("data", "raw")])
def test_a_start_and_a_teacher_keep_their_function_whatever_the_run_gives_new_networks(
    given, asked, tiny, runs, images, tmp_path
) -> None:
    """Steps too short to be seen, no BatchNorm: the student ends as the function that it began as."""
    (tmp_path / "flat.py").write_text(FLAT)
    body = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    torch.save(body.state_dict(), tmp_path / "w.pt")
    options: dict[str, Any] = tiny.options | {"model": f"{tmp_path / 'flat.py'}:flat"}
    data = configure(**options)[1]
    _, name = import_network(
        tmp_path / "w.pt", Store(tmp_path / "store"), Described(options["model"], inputs=given), design="standard",
        data=tiny.data,
    )  # fmt: skip
    still = {"lr": 1e-30, "weight_decay": 0.0, "model": options["model"], "inputs": asked}
    run = Run.open(runs.train("cktat", tmp_path / "store", set={"teacher": name, "start": name}, **still))
    mean, std = data.normalisation(given)
    shown = (images - torch.tensor(mean)) / torch.tensor(std)
    assert torch.allclose(run.model("last")(images), body(shown), atol=1e-6)
    card = run.load("last")[1]
    assert (card["mean"], card["std"]) == (pytest.approx(mean), pytest.approx(std))
    assert run.history()[0]["terms"]["guide"] > 0  # tau 5 of the very same function
    other = run.read()["inputs"]
    assert {one["run"][:8] for one in other.values()} == {name.rpartition("@")[2]}
