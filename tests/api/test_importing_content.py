"""An imported network is what its file holds: its own weights and normalisation, under a name of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cktat.api import Store
from cktat.api.importing import import_network
from cktat.api.ways import Described
from cktat.models import build


def bring(path: Path, tiny: Any, store: Path, inputs: str = "auto") -> tuple[Any, str]:
    return import_network(path, Store(store), Described(tiny.model, inputs), design="standard", data=tiny.data)


def test_weights_that_carry_a_mean_and_deviation_keep_theirs(tiny: Any, tmp_path: Path) -> None:
    whole = build(tiny.model, classes=3, channels=1, mean=(0.3,), std=(0.7,), seed=1)
    torch.save(whole.state_dict(), tmp_path / "w.pt")
    weights, card = bring(tmp_path / "w.pt", tiny, tmp_path / "store")[0].load("best")
    assert all(torch.equal(weights[name], value) for name, value in whole.state_dict().items())
    assert (card["mean"], card["std"]) == (pytest.approx([0.3]), pytest.approx([0.7]))


def test_two_networks_have_two_names_and_each_is_found_by_its_own(tiny: Any, tmp_path: Path) -> None:
    store, names, bodies = tmp_path / "store", [], []
    for seed in (1, 2):
        body = build(tiny.model, classes=3, channels=1, mean=(0.5,), std=(0.25,), seed=seed).body.state_dict()
        torch.save(body, tmp_path / f"{seed}.pt")
        names.append(bring(tmp_path / f"{seed}.pt", tiny, store)[1])
        bodies.append(body)
    assert len(set(names)) == 2
    for name, body in zip(names, bodies, strict=True):
        weights, _ = Store(store).imported(name).load("last")
        assert all(torch.equal(weights[f"body.{key}"], value) for key, value in body.items())
