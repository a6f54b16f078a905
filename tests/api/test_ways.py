"""How a network wants its images is tried, said and recorded; what is not said of it, nobody needs to know."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cktat
from cktat.api import Store
from cktat.api.importing import import_network, run_of
from cktat.api.ways import Described
from cktat.data import Dataset, load

FUNCTIONS = """
import torch
from torch import nn


def nothing():
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 3))


def others(num_classes, in_channels):
    return nn.Sequential(nn.Flatten(), nn.Linear(36 * in_channels, num_classes))


def more(width=36, **named):
    assert set(named) == {"classes", "channels"}
    return nn.Sequential(nn.Flatten(), nn.Linear(width, named["classes"]))


def kept():
    network = nothing()
    network.load_state_dict(torch.load("FILE", weights_only=True))
    return network


def two_outputs():
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
"""


@dataclass(frozen=True)
class Greys:
    """Dark, middle and bright images: which is which is seen at one scale of brightness only."""

    file: str

    @property
    def loaded(self) -> Dataset:
        return load(self.file)


@pytest.fixture(scope="module")
def greys(tmp_path_factory: pytest.TempPathFactory) -> Greys:
    draws, arrays = np.random.default_rng(3), {}
    for part, images in (("train", 60), ("held_out", 30), ("test", 30)):
        labels = np.arange(images) % 3
        noise = draws.integers(-30, 31, (images, 6, 6))
        arrays |= {f"x_{part}": (60 + 70 * labels[:, None, None] + noise).astype(np.uint8), f"y_{part}": labels}
    np.savez(file := tmp_path_factory.mktemp("greys") / "greys.npz", **arrays)
    return Greys(str(file))


@pytest.fixture
def data(greys: Greys) -> Dataset:
    return greys.loaded


def nearest(data: Dataset, mean: float, std: float) -> dict[str, torch.Tensor]:
    """A linear layer that finds the nearest mean image of a class, of images that are normalised so."""
    images = data.train.images.flatten(1).double() / 255
    middle = torch.stack([images[data.train.labels == k].mean(0) for k in range(3)])
    # |x - m|^2 falls with m.x - |m|^2 / 2, where x = mean + std * z
    weight, bias = middle * std, -(middle**2).sum(1) / 2 + middle.sum(1) * mean
    return {"1.weight": weight.float(), "1.bias": bias.float()}


def accuracy(weights: dict[str, torch.Tensor], data: Dataset, mean: float, std: float) -> float:
    """In percent, on held-out images, by hand."""
    x = (data.held_out.images.numpy().reshape(len(data.held_out), -1) / 255 - mean) / std
    scores = x @ weights["1.weight"].numpy().T + weights["1.bias"].numpy()
    return 100 * float(np.mean(scores.argmax(1) == data.held_out.labels.numpy()))


@pytest.fixture
def bring(greys: Greys, tmp_path: Path):
    (tmp_path / "nets.py").write_text(FUNCTIONS.replace("FILE", str(tmp_path / "w.pt")))

    def bring(asked: Described, what: str = "w.pt", design: str | None = None) -> tuple[dict[str, Any], list[str], str]:
        said: list[str] = []
        run, name = import_network(
            tmp_path / what if ":" not in what else f"{tmp_path}/{what}",
            Store(tmp_path / "store"), asked, design=design, data=greys.file, say=said.append,
        )  # fmt: skip
        assert run.read()["notes"] == said
        return run.load("best")[1], said, name

    return bring


WAYS = {"raw": (0.0, 1.0), "data": None, "given": (0.7, 0.1)}


@pytest.mark.parametrize("wanted", WAYS)
def test_what_is_taken_is_right_most_often_and_all_is_said(
    wanted: str, data: Dataset, bring: Any, tmp_path: Path
) -> None:
    own = (data.mean[0], data.std[0])
    mean, std = WAYS[wanted] or own
    weights = nearest(data, mean, std)
    torch.save(weights, tmp_path / "w.pt")
    asked = Described(f"{tmp_path}/nets.py:nothing", **({"mean": (mean,), "std": (std,)} if wanted == "given" else {}))
    card, said, _ = bring(asked)
    assert (card["mean"][0], card["std"][0]) == (pytest.approx(mean), pytest.approx(std))
    shown = {words: float(number) for number, words in re.findall(r"([\d.]+) % \(([^)]+)\)", said[-1])}
    expected = {"raw inputs": (0.0, 1.0), "the data's mean and std": own}
    expected |= {"--mean and --std": (mean, std)} if wanted == "given" else {}
    assert shown == {name: pytest.approx(accuracy(weights, data, *way), abs=0.05) for name, way in expected.items()}
    names = {"raw": "raw inputs", "data": "the data's mean and std", "given": "--mean and --std"}
    assert shown[names[wanted]] == max(shown.values()) > min(shown.values()), "the case tells them apart"
    assert f"taken: {names[wanted]}" in said[-1] and "right more often" not in said[-1]


def test_what_is_asked_for_is_taken_and_what_is_better_is_named(data: Dataset, bring: Any, tmp_path: Path) -> None:
    torch.save(nearest(data, data.mean[0], data.std[0]), tmp_path / "w.pt")
    card, said, _ = bring(Described(f"{tmp_path}/nets.py:nothing", inputs="raw"))
    assert (card["mean"], card["std"]) == ([0.0], [1.0])
    assert said[-1].endswith("taken: raw inputs; right more often is: the data's mean and std")


def test_what_a_file_carries_is_taken_even_where_another_is_right_more_often(
    data: Dataset, bring: Any, tmp_path: Path
) -> None:
    weights = nearest(data, 0.0, 1.0) | {"mean": torch.tensor([0.9]), "std": torch.tensor([0.01])}
    torch.save(weights, tmp_path / "w.pt")
    card, said, _ = bring(Described(f"{tmp_path}/nets.py:nothing"))
    assert (card["mean"], card["std"]) == ([pytest.approx(0.9)], [pytest.approx(0.01)])
    assert "taken: the mean and std in the file; right more often is: raw inputs" in said[-1]


@pytest.mark.parametrize("function", ["nothing", "others", "more"])
def test_a_function_gets_what_it_takes(function: str, data: Dataset, bring: Any, tmp_path: Path) -> None:
    weights = nearest(data, 0.0, 1.0)
    torch.save(weights, tmp_path / "w.pt")
    card, _, _ = bring(Described(f"{tmp_path}/nets.py:{function}"))
    assert card["model"] == f"{tmp_path}/nets.py:{function}"


def test_a_function_that_has_its_weights_is_a_network_too(data: Dataset, bring: Any, tmp_path: Path, one_line) -> None:
    torch.save(nearest(data, 0.0, 1.0), tmp_path / "w.pt")
    card, said, _ = bring(Described(), "nets.py:kept")
    assert card["model"] == f"{tmp_path}/nets.py:kept" and "taken: raw inputs" in said[-1]
    with one_line("makes the network itself"):
        bring(Described("small"), "nets.py:kept")
    with one_line(r"must return floating logits \[N, 3\]; for 2 images it returned \[2, 2\]"):
        bring(Described(), "nets.py:two_outputs")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"mean": (0.5,)}, "mean and std go together"),
        ({"mean": (0.5,), "std": (0.5,), "inputs": "raw"}, "leave inputs raw out"),
        ({"inputs": "both"}, "inputs must be auto, raw or data, not 'both'"),
    ],
)
def test_what_contradicts_itself_is_refused(asked: dict[str, Any], said: str, one_line) -> None:
    with one_line(said):
        Described(**asked)


def test_a_mean_of_another_number_of_channels_is_refused(data: Dataset, bring: Any, tmp_path: Path, one_line) -> None:
    torch.save(nearest(data, 0.0, 1.0), tmp_path / "w.pt")
    with one_line("mean has 3 numbers, and data .* 1 channels"):
        bring(Described(f"{tmp_path}/nets.py:nothing", mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0)))


def test_only_a_teacher_must_be_said_how_it_was_trained(
    data: Dataset, bring: Any, runs: Any, tmp_path: Path, one_line
) -> None:
    torch.save(nearest(data, 0.0, 1.0), tmp_path / "w.pt")
    asked = Described(f"{tmp_path}/nets.py:nothing")
    _, _, unsaid = bring(asked)
    assert unsaid.startswith("imported@")
    with one_line(f"{unsaid} is a teacher here, and nobody said how it was trained; import it again with --as DESIGN"):
        runs.train(
            "cktat", tmp_path / "store", data=data.name, model=asked.model, set={"teacher": unsaid, "start": unsaid}
        )
    started = runs.train(
        "pgd_at", tmp_path / "store", data=data.name, model=asked.model, epochs=1, set={"start": unsaid}
    )
    assert [one["run"][:8] for one in started.read()["inputs"].values()] == [unsaid.partition("@")[2]]
    _, _, named = bring(asked, design="standard")
    taught = runs.train(
        "cktat", tmp_path / "store", data=data.name, model=asked.model, epochs=1, set={"teacher": named}
    )
    assert taught.read()["inputs"]["T"]["run"][:8] == named.partition("@")[2]


def test_evaluate_takes_what_import_takes_once_and_finds_it_again(
    greys: Greys, data: Dataset, bring: Any, tmp_path: Path, one_line
) -> None:
    weights, store = nearest(data, 0.0, 1.0), tmp_path / "store"
    torch.save(weights, tmp_path / "w.pt")
    options = dict(
        data=greys.file, store=store, model=f"{tmp_path}/nets.py:nothing", show=False, draw=False, doubts=False
    )
    (clean, attacked) = cktat.evaluate(tmp_path / "w.pt", ["fgsm"], **options)
    x = data.test.images.flatten(1).numpy() / 255
    scores = x @ weights["1.weight"].numpy().T + weights["1.bias"].numpy()
    assert clean.accuracy == pytest.approx(np.mean(scores.argmax(1) == data.test.labels.numpy()))
    assert attacked.accuracy <= clean.accuracy and attacked.images == len(data.test)
    (run,) = Store(store).runs()
    assert run == run_of(tmp_path / "w.pt", Store(store), Described(options["model"]), data=greys.file)
    (name,) = {run.path.name}
    assert bring(Described(options["model"]))[2].partition("@")[2] in name, "import finds it, too"
    assert len(Store(store).runs()) == 1
    assert [one.robust for one in cktat.evaluate(name, ["fgsm"], store=store, show=False)] == [
        clean.robust, attacked.robust,
    ]  # fmt: skip
    with one_line("is no run, so that nothing says on which images it is to be judged; add --data"):
        cktat.evaluate(tmp_path / "w.pt", ["fgsm"], store=store)
    with one_line("is a run, whose record says what it is"):
        cktat.evaluate(name, ["fgsm"], store=store, model="small")
    torch.save(nearest(data, 0.1, 1.0), tmp_path / "w.pt")
    cktat.evaluate(tmp_path / "w.pt", [], **options)
    assert len(Store(store).runs()) == 2, "another content is another network"


def test_test_images_alone_are_enough_to_judge_and_nothing_is_trained_on_them(
    data: Dataset, bring: Any, greys: Greys, runs: Any, tmp_path: Path, one_line
) -> None:
    with np.load(greys.file) as arrays:
        np.savez(tmp_path / "alone.npz", x_test=arrays["x_test"], y_test=arrays["y_test"])
    torch.save(nearest(data, 0.0, 1.0), tmp_path / "w.pt")
    options = dict(store=tmp_path / "store", model=f"{tmp_path}/nets.py:nothing", show=False)
    alone, whole = (
        [one.robust for one in cktat.evaluate(tmp_path / "w.pt", ["pgd20"], data=str(name), **options)]
        for name in (tmp_path / "alone.npz", greys.file)
    )
    assert alone == whole and len(alone) == 2
    said: list[str] = []
    run_of(tmp_path / "w.pt", Store(tmp_path / "other"), Described(options["model"]), data=str(tmp_path / "alone.npz"),
           say=said.append)  # fmt: skip
    assert re.search(r"of 30 test images it has right [\d.]+ % \(raw inputs\); taken: raw inputs$", said[-1])
    with one_line("hold test images alone, so that there is no mean and std"):
        run_of(
            tmp_path / "w.pt",
            Store(tmp_path / "other"),
            Described(options["model"], "data"),
            data=str(tmp_path / "alone.npz"),
        )
    with one_line("hold test images alone: networks are judged on them, none is trained"):
        runs.train("pgd_at", tmp_path / "none", data=str(tmp_path / "alone.npz"))
    assert not (tmp_path / "none").exists()
