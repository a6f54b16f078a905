"""Things by name: own ones, registered ones, and those that installed packages bring by entry points."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cktat.data import DATASETS, Reader, load
from cktat.errors import CktatError
from cktat.models import MODELS, build
from cktat.registry import Registry

GROUP = "cktat_test.things"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package on the path whose metadata names two things, as pip writes it."""
    (tmp_path / "cktat_test_brought.py").write_text("BROUGHT = 'brought'\nCLASH = 'of the package'\n")
    info = tmp_path / "cktat_test_brought-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cktat-test-brought\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{GROUP}]\nbrought = cktat_test_brought:BROUGHT\nown = cktat_test_brought:CLASH\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "cktat_test_brought", raising=False)


def test_own_things_are_there_and_others_are_added_or_replaced() -> None:
    own = {"own": "mine"}
    registry = Registry(GROUP, own)
    registry.register("more", "registered")
    registry.register("own", "replaced")
    assert dict(registry) == {"own": "replaced", "more": "registered"}
    assert (len(registry), "more" in registry, "less" in registry) == (2, True, False)
    assert own == {"own": "mine"}


@pytest.mark.usefixtures("installed")
def test_an_installed_package_brings_things_that_are_imported_when_asked_for() -> None:
    registry = Registry(GROUP, {"own": "mine"})
    assert list(registry) == ["own", "brought"] and len(registry) == 2 and "brought" in registry
    assert "cktat_test_brought" not in sys.modules
    assert registry["brought"] == "brought"
    assert "cktat_test_brought" in sys.modules


@pytest.mark.usefixtures("installed")
def test_a_package_cannot_take_a_name_that_is_there() -> None:
    registry = Registry(GROUP, {"own": "mine"})
    assert registry["own"] == "mine"
    registry.register("brought", "registered")
    assert registry["brought"] == "registered"


def test_an_unknown_name_is_a_key_error_and_not_in_it() -> None:
    registry = Registry(GROUP, {"own": "mine"})
    assert registry.get("none") is None and "none" not in registry and 3 not in registry
    with pytest.raises(KeyError, match="none"):
        registry["none"]


def test_what_the_paper_brings_is_listed_and_loaded_by_name() -> None:
    assert {"digits", "cifar10", "cifar100", "multiview", "sparse-coding"} <= set(DATASETS)
    assert {"small", "resnet18", "patchnet", "patchnet-wide"} <= set(MODELS)
    assert all(isinstance(reader, Reader) for reader in DATASETS.values())


def test_a_misspelt_name_is_answered_with_the_names_that_entry_points_bring() -> None:
    with pytest.raises(CktatError, match=r"did you mean 'multiview'"):
        load("multivew")
    with pytest.raises(CktatError, match=r"did you mean 'patchnet'"):
        build("patchnett", classes=2, mean=[0.5] * 3, std=[0.5] * 3)
