"""An entry of RobustBench is loaded by the rules of its loader.

RobustBench itself cannot be imported here: it needs torchvision. So what its `load_model`, `update_json`,
`list_available_models` and `get_leaderboard_bibtex` do with an entry is stated again below, from robustbench 1.1.1,
robustbench/utils.py, without what is about other models, downloads and corruptions.
"""

from __future__ import annotations

import importlib.util
import json
import pickle
import sys
from collections import OrderedDict
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import cktat
from cktat.runs import RunFolder, save_weights


class BenchmarkDataset(Enum):
    cifar_10 = "cifar10"
    cifar_100 = "cifar100"
    imagenet = "imagenet"


class ThreatModel(Enum):
    Linf = "Linf"
    L2 = "L2"
    corruptions = "corruptions"


def rm_substr_from_state_dict(state_dict: dict[str, Any], substr: str) -> dict[str, Any]:
    return OrderedDict((key[len(substr) :] if substr in key else key, value) for key, value in state_dict.items())


def load_model(zoo: dict[Any, Any], name: str, model_dir: Path, dataset: str, threat_model: str) -> nn.Module:
    dataset_, threat_model_ = BenchmarkDataset(dataset), ThreatModel(threat_model)
    model_path = Path(model_dir) / dataset_.value / threat_model_.value / f"{name}.pt"
    models = zoo[dataset_][threat_model_]
    if models[name]["gdrive_id"] is None:
        raise ValueError("no gdrive_id")
    model = models[name]["model"]()
    assert model_path.is_file()  # else it is downloaded
    checkpoint = torch.load(model_path, map_location=torch.device("cpu"))
    try:
        state_dict = rm_substr_from_state_dict(checkpoint["state_dict"], "module.")
        state_dict = rm_substr_from_state_dict(state_dict, "model.")
    except KeyError:
        state_dict = rm_substr_from_state_dict(checkpoint, "module.")
        state_dict = rm_substr_from_state_dict(state_dict, "model.")
    model.load_state_dict(state_dict, strict=True)
    return model.eval()


FIELDS = {
    "link", "name", "authors", "additional_data", "number_forward_passes", "dataset", "venue", "architecture", "eps",
    "clean_acc", "reported", "autoattack_acc", "footnote",
}  # fmt: skip
"""Of its ModelInfo, without those of corruptions."""


@pytest.fixture(scope="module")
def run(runs, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that says that it is of CIFAR-10, with AutoAttack's result. Its images are drawn: they are not what is tested."""
    store, draws = tmp_path_factory.mktemp("store"), np.random.default_rng(0)
    kinds = draws.integers(60, 200, (10, 3, 32, 32))
    labels = np.arange(120) % 10
    x = (kinds[labels] + draws.integers(-40, 41, (120, 3, 32, 32))).astype(np.uint8)
    np.savez(store / "c.npz", x_train=x[:80], y_train=labels[:80], x_held_out=x[80:100], y_held_out=labels[80:100],
             x_test=x[100:], y_test=labels[100:], classes=[f"c{k}" for k in range(10)])  # fmt: skip
    made = runs.train("trades", store, model="small", data=str(store / "c.npz"), epochs=1, eps=8 / 255)
    cktat.evaluate(made, ["aa"], test_images=4, show=False, draw=False, doubts=False)
    for weights in ("best", "last"):
        tensors, card = made.load(weights)
        own = {name: value for name, value in card.items() if name not in ("sha256", "weights_sha256")}
        save_weights(made.weights(weights), tensors, own | {"data": card["data"] | {"name": "cifar10"}})
    runs.edit(made.run_json, lambda record: record | {"config": record["config"] | {"data": "cifar10"}}, seal=True)
    return made


@pytest.fixture
def entry(run: RunFolder, tmp_path: Path) -> Path:
    return cktat.export(run, "robustbench", tmp_path / "rb", name="Doe2026Robust_small")


def imported(file: Path, monkeypatch: pytest.MonkeyPatch) -> dict[Any, Any]:
    """The zoo after the entry was imported where robustbench is."""
    zoo = {dataset: {threat: OrderedDict() for threat in ThreatModel} for dataset in BenchmarkDataset}
    names = ("robustbench", "robustbench.model_zoo", "robustbench.model_zoo.enums")
    top, model_zoo, enums = (ModuleType(name) for name in names)
    model_zoo.model_dicts, enums.BenchmarkDataset, enums.ThreatModel = zoo, BenchmarkDataset, ThreatModel
    for name, module in zip(names, (top, model_zoo, enums), strict=True):
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("entry", file)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return zoo


def test_its_loader_gives_the_network(entry: Path, run: RunFolder, monkeypatch) -> None:
    zoo = imported(entry / "Doe2026Robust_small.py", monkeypatch)
    network = load_model(zoo, "Doe2026Robust_small", entry / "models", "cifar10", "Linf")
    x = torch.rand(11, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(network(x), cktat.load(run)(x), atol=1e-5)
    assert sum(len(models) for of in zoo.values() for models in of.values()) == 1


def test_its_json_has_the_fields_and_the_numbers(entry: Path, run: RunFolder) -> None:
    path = entry / "model_info/cifar10/Linf/Doe2026Robust_small.json"
    info = json.loads(path.read_text())
    assert set(info) == FIELDS
    clean, attacked = (row for row in cktat.Run.open(run).results() if row["attack"] in ("clean", "aa"))
    assert float(info["clean_acc"]) / 100 == pytest.approx(clean["accuracy"])  # list_available_models
    assert float(info["autoattack_acc"]) / 100 == pytest.approx(attacked["accuracy"])
    assert (info["dataset"], info["eps"], info["additional_data"]) == ("cifar10", "8/255", False)
    assert "4 test images" in info["footnote"]
    assert info["venue"].split(" ")[0] == "Unpublished" and info["authors"].replace(", ", " and ") == ""  # its BibTeX


def test_without_robustbench_the_entry_is_still_there(entry: Path) -> None:
    spec = importlib.util.spec_from_file_location("entry", entry / "Doe2026Robust_small.py")
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    assert isinstance(module.network(), nn.Module) and list(module.ENTRY) == ["Doe2026Robust_small"]


def test_other_data_and_what_was_not_measured_are_refused(run, trained, tmp_path: Path, one_line) -> None:
    with one_line("RobustBench compares networks of cifar10 and cifar100; this one is of 'tiny.npz'"):
        cktat.export(trained, "robustbench", tmp_path / "rb")
    with one_line("wants AutoAttack's result on these weights: `cktat evaluate .* --attacks aa --weights last`"):
        cktat.export(run, "robustbench", tmp_path / "rb", weights="last")
    for name in ("../../evil", "a b", "x'; import os", "", "1st"):
        with one_line("is none for RobustBench"):
            cktat.export(run, "robustbench", tmp_path / "rb", name=name or " ")
    assert not (tmp_path / "rb").exists()


def test_what_a_record_says_does_not_become_code(run, runs, tmp_path: Path, monkeypatch) -> None:
    mark, spoilt = tmp_path / "canary", RunFolder(tmp_path / "spoilt")
    for path in run.path.rglob("*"):
        if path.is_file():
            (spoilt.path / path.relative_to(run.path)).parent.mkdir(parents=True, exist_ok=True)
            (spoilt.path / path.relative_to(run.path)).write_bytes(path.read_bytes())
    evil = f'"""\nopen({str(mark)!r}, "w")\n"""'
    tensors, card = run.load("best")
    save_weights(spoilt.weights("best"), tensors, {k: v for k, v in card.items() if k != "sha256"} | {"design": evil})
    runs.edit(spoilt.run_json, lambda record: record | {"design": record["design"] | {"name": evil}}, seal=True)
    folder = cktat.export(spoilt, "robustbench", tmp_path / "rb")
    (file,) = folder.glob("*.py")
    imported(file, monkeypatch)
    assert not mark.exists() and file.parent == folder


def test_a_pickle_as_its_weights_runs_nothing_in_its_loader(entry: Path, planted, tmp_path: Path, monkeypatch) -> None:
    (path,) = (entry / "models").rglob("*.pt")
    assert all(isinstance(value, torch.Tensor) for value in torch.load(path, weights_only=True).values())
    torch.save(planted(tmp_path / "canary"), path)
    zoo = imported(entry / "Doe2026Robust_small.py", monkeypatch)
    with pytest.raises(pickle.UnpicklingError):
        load_model(zoo, "Doe2026Robust_small", entry / "models", "cifar10", "Linf")
    assert not (tmp_path / "canary").exists()
