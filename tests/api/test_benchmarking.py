"""`cktat.benchmark` is called as RobustBench's is, returns what AutoAttack's authors' package finds, and writes its JSON."""

from __future__ import annotations

import inspect
import json
from enum import Enum
from pathlib import Path

import pytest
import torch
from torch import nn

import cktat
from cktat.data import Dataset, load

SIGNATURE = (  # robustbench 1.1.1, robustbench/eval.py
    "model", "n_examples", "dataset", "threat_model", "to_disk", "model_name", "data_dir", "corruptions_data_dir", "device",
    "batch_size", "eps", "log_path", "preprocessing", "aa_state_path",
)  # fmt: skip


def fitted(data: Dataset, steps: int) -> nn.Module:
    """A small network after so many steps on the training images: right of most, and broken on some at a small radius."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pixels = data.train.images[0].numel()
        net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(pixels), nn.Linear(pixels, 16), nn.ReLU(),
                            nn.Linear(16, len(data.classes)))  # fmt: skip
        optimiser = torch.optim.Adam(net.parameters(), lr=0.05)
        for _ in range(steps):
            loss = nn.functional.cross_entropy(net(data.train.images / data.levels), data.train.labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return net.eval()


@pytest.fixture(scope="module")
def network(tiny) -> nn.Module:
    return fitted(load(tiny.data), 20)


def test_parameters_are_those_of_robustbench_in_their_order() -> None:
    parameters = inspect.signature(cktat.benchmark).parameters
    assert tuple(parameters) == SIGNATURE
    wanted = {"n_examples": 10000, "dataset": "cifar10", "threat_model": "Linf", "batch_size": 32, "eps": None}
    assert {name: parameters[name].default for name in wanted} == wanted


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_it_returns_what_the_authors_package_finds(norm: str) -> None:
    oracle = pytest.importorskip("pyautoattack")
    data, eps = load("digits"), {"Linf": 0.06, "L2": 0.4}[norm]
    network = fitted(data, 10)
    x, y = data.test.images[:12] / data.levels, data.test.labels[:12]
    theirs = oracle.AutoAttack(network, norm=norm, eps=eps, version="standard", device="cpu", seed=0)
    with torch.random.fork_rng():  # it seeds the global generator
        moved, _ = theirs.run_standard_evaluation(x, y, batch_size=8)
    with torch.no_grad():
        wanted = tuple((network(each).argmax(1) == y).float().mean().item() for each in (x, moved))
    assert cktat.benchmark(network, 12, "digits", norm, eps=eps, batch_size=8) == pytest.approx(wanted)
    assert 0 < wanted[1] < wanted[0]


class ThreatModel(Enum):
    Linf = "Linf"


def test_robustbench_s_own_names_and_a_data_set_as_an_object(network, tiny, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    found = cktat.benchmark(network, n_examples=9, dataset=load(tiny.data), threat_model=ThreatModel.Linf, eps=0.1)
    assert found == cktat.benchmark(network, 9, tiny.data, "Linf", eps=0.1, batch_size=9) and not [*tmp_path.iterdir()]


def test_a_network_in_train_mode_is_measured_in_eval_mode_and_left_as_it_was(network, tiny) -> None:
    before = {name: each.clone() for name, each in network.state_dict().items()}
    wanted = cktat.benchmark(network, 9, tiny.data, eps=0.1)
    network.train()
    try:
        assert cktat.benchmark(network, 9, tiny.data, eps=0.1) == wanted and network.training
    finally:
        network.eval()
    assert all(torch.equal(before[name], each) for name, each in network.state_dict().items())


def test_the_json_is_that_of_robustbench(network, tiny, monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    clean, robust = cktat.benchmark(network, 9, tiny.data, eps=0.1, to_disk=True, model_name="Mine")
    path = tmp_path / "model_info/tiny.npz/Linf/Mine.json"
    info = json.loads(path.read_text())
    assert (info["clean_acc"], info["autoattack_acc"]) == (str(round(100 * clean, 2)), str(round(100 * robust, 2)))
    assert info["eps"] == 0.1 and info["link"] is None
    path.write_text(json.dumps(info | {"link": "https://example.org", "clean_acc": "1.0"}))
    cktat.benchmark(network, 9, tiny.data, eps=0.1, to_disk=True, model_name="Mine")
    assert json.loads(path.read_text()) == info | {"link": "https://example.org"}
    assert f"Clean accuracy: {clean:.2%}\nAdversarial accuracy: {robust:.2%}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({}, "eps must be given"),
        ({"eps": 0.1, "threat_model": "corruptions"}, "unknown threat model 'corruptions'"),
        ({"eps": 0.1, "preprocessing": "Res224"}, "preprocessing is not for cktat.benchmark"),
        ({"eps": 0.1, "aa_state_path": Path("x")}, "aa_state_path is not for"),
        ({"eps": 0.1, "n_examples": 31}, "there are 30"),
        ({"eps": 0.1, "to_disk": True}, "to_disk needs model_name"),
        ({"eps": 0.1, "to_disk": True, "model_name": "../../evil"}, "no path"),
        ({"eps": -1.0, "n_examples": 9}, "eps"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    words, said: str, network, tiny, one_line, monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with one_line(said):
        cktat.benchmark(network, **{"dataset": tiny.data, "n_examples": 9} | words)
    assert not [*tmp_path.iterdir()]
