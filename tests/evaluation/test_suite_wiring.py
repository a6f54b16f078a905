"""What reaches AutoAttack in an evaluation: these images, this ball, this seed, and what was done before a stop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from cktat.attacks import SUITES, CampaignEntry, autoattack
from cktat.data import Split
from cktat.evaluation.suite import Fallen, Journal, fallen

LEVELS, IMAGES, EPS = 16, 20, 0.15
MINE = {"weights_sha256": "a"}


@pytest.fixture(scope="module")
def module() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.ReLU(), nn.Linear(16, 4)).eval()


@pytest.fixture(scope="module")
def split(module: nn.Module) -> Split:
    images = torch.randint(0, LEVELS + 1, (IMAGES, 1, 6, 6), generator=torch.Generator().manual_seed(0)).byte()
    labels = module(images.float() / LEVELS).argmax(dim=1)
    labels[3] = (labels[3] + 1) % 4  # wrong without an attack
    return Split(images, labels)


def measured(module: nn.Module, split: Split, name: str, folder: Path, **changed: object) -> Fallen:
    asked = {"eps": EPS, "norm": "Linf", "levels": LEVELS, "batch_size": 6, "seed": 0, "mode": "exact"}
    return fallen(module, split, name, folder=folder, identity=MINE, **asked | changed)  # type: ignore[arg-type]


def entries(folder: Path) -> list[CampaignEntry]:
    return Journal(folder / "part-1-of-1", MINE).entries


def same(ours: list[CampaignEntry], theirs: list[CampaignEntry]) -> bool:
    return [e.stage for e in ours] == [e.stage for e in theirs] and all(
        torch.equal(a.images, b.images) and torch.equal(a.broken, b.broken) and torch.equal(a.x_adv, b.x_adv)
        for a, b in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("aa-fast", {}),
        ("apgd-ce", {"seed": 1}),
        ("apgd-ce", {"eps": 0.1}),
        ("apgd-ce", {"eps": 0.6, "norm": "L2"}),
        ("apgd-ce", {"batch_size": 20}),
    ],
)
def test_an_evaluation_is_autoattack_on_these_images(name, change, module, split, tmp_path: Path) -> None:
    kept: list[CampaignEntry] = []
    asked = {"eps": EPS, "norm": "Linf", "batch_size": 6, "seed": 0, "mode": "exact"} | change
    direct = autoattack(
        module, split.images.float() / LEVELS, split.labels, attacks=SUITES[name], keep=kept.append, **asked
    )
    found = measured(module, split, name, tmp_path, **change)
    assert torch.equal(found.robust, direct.robust)
    assert 0 < int(found.robust.sum()) < IMAGES - 1 and not found.robust[3]
    for attack in SUITES[name]:
        assert found.broken_by[attack] == [i for i, by in enumerate(direct.broken_by) if by == attack]
    assert same(entries(tmp_path), kept)


@pytest.mark.parametrize("change", [{"seed": 1}, {"eps": 0.1}, {"eps": 0.6, "norm": "L2"}])
def test_another_seed_radius_or_norm_is_another_search(change, module, split, tmp_path: Path) -> None:
    for place, changed in (("one", {}), ("other", change)):
        measured(module, split, "apgd-ce", tmp_path / place, **changed)
    assert not same(entries(tmp_path / "one"), entries(tmp_path / "other"))


def test_what_was_searched_before_a_stop_is_not_searched_again(module, split, tmp_path: Path) -> None:
    asked = 0

    def count(*_: object) -> None:
        nonlocal asked
        asked += 1

    handle = module.register_forward_hook(count)
    try:
        first = measured(module, split, "aa-fast", tmp_path)
        whole, asked = asked, 0
        again = measured(module, split, "aa-fast", tmp_path)
    finally:
        handle.remove()
    assert torch.equal(first.robust, again.robust) and first.broken_by == again.broken_by
    assert asked < whole / 20, "the clean pass is made again, the searches are not"
