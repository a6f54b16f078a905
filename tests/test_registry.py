"""Things by name: own ones, registered ones, and those that installed packages bring by entry points."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cktat.cli import app
from cktat.data import DATASETS, Reader, load
from cktat.designs import DESIGNS, LATER, PAPER, make
from cktat.designs.table import brought_table
from cktat.errors import CktatError
from cktat.models import MODELS, build
from cktat.registry import Registry, unreadable

GROUP = "cktat_test.things"


def registry_of(own: Mapping[str, str]) -> Registry[str]:
    return Registry(GROUP, own, "a text", lambda thing: isinstance(thing, str))


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
    registry = registry_of(own)
    registry.register("more", "registered")
    registry.register("own", "replaced")
    assert dict(registry) == {"own": "replaced", "more": "registered"}
    assert (len(registry), "more" in registry, "less" in registry) == (2, True, False)
    assert own == {"own": "mine"}


@pytest.mark.usefixtures("installed")
def test_an_installed_package_brings_things_that_are_imported_when_asked_for() -> None:
    registry = registry_of({"own": "mine"})
    assert list(registry) == ["own", "brought"] and len(registry) == 2 and "brought" in registry
    assert "cktat_test_brought" not in sys.modules
    assert registry["brought"] == "brought"
    assert "cktat_test_brought" in sys.modules


@pytest.mark.usefixtures("installed")
def test_a_package_cannot_take_a_name_that_is_there() -> None:
    registry = registry_of({"own": "mine"})
    assert registry["own"] == "mine"
    registry.register("brought", "registered")
    assert registry["brought"] == "registered"


def test_an_unknown_name_is_a_key_error_and_not_in_it() -> None:
    registry = registry_of({"own": "mine"})
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


Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """install(name, module's text, entry points): a package on the path of this process, with metadata as pip writes them."""
    modules = []

    def installed(name: str, text: str, entries: str) -> Path:
        folder, module = tmp_path / name, name.replace("-", "_")
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{module}.py").write_text(text)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entries)
        monkeypatch.syspath_prepend(str(folder))
        modules.append(module)
        return folder

    yield installed
    for module in modules:
        sys.modules.pop(module, None)


def example() -> tuple[str, dict[str, str], str]:
    """The package of docs/add-a-design.md: its name, its entry points and its module's text."""
    page = (Path(__file__).parents[1] / "docs/add-a-design.md").read_text(encoding="utf-8")
    (project,) = re.findall(r"```toml\n# pyproject\.toml\n(.*?)```", page, flags=re.DOTALL)
    (module,) = re.findall(r"```python\n# smoothed_designs\.py\n(.*?)```", page, flags=re.DOTALL)
    told = tomllib.loads(project)["project"]
    return told["name"], told["entry-points"]["cktat.designs"], module


def entries_of(group: str, entries: Mapping[str, str]) -> str:
    return f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())


def test_the_package_of_the_documents_brings_its_design(install, runs, tmp_path) -> None:
    name, entries, module = example()
    install(name, module, entries_of("cktat.designs", entries))
    assert list(DESIGNS)[-1] == "smoothed" and "smoothed_designs" not in sys.modules
    design = make("smoothed", smoothing=0.2)
    assert str(design) == "S(x'):(0.2 uniform + 0.8 y)"
    assert design.origin == ("smoothed", (("smoothing", 0.2),))
    assert DESIGNS.brought() == {"smoothed": "smoothed-designs 1.0"} and "smoothed" not in (*PAPER, *LATER)
    with pytest.raises(CktatError, match="design 'smoothed' has no parameter 'bata'; it has smoothing"):
        make("smoothed", bata=1)
    run = runs.train("smoothed", tmp_path / "store", set={"smoothing": 0.2})
    assert run.read()["versions"].items() >= {"smoothed-designs": "1.0", "torch": torch.__version__}.items()
    written = tmp_path / "written.py"
    written.write_text(module)
    twin = runs.train(f"{written}:smoothed", tmp_path / "twin", set={"smoothing": 0.2})
    mine, theirs = (load_file(one.path / "last.safetensors") for one in (run, twin))
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


BROKEN = {
    "import no_such_module_of_cktat_tests\n": "ModuleNotFoundError: No module named 'no_such_module_of_cktat_tests'",
    "raise RuntimeError('first\\nsecond')\n": "RuntimeError: first;",
    "def mine(:\n": "SyntaxError: ",
    "raise SystemExit(0)\n": "SystemExit: 0;",
    "other = 1\n": "AttributeError: module 'broken_designs' has no attribute 'mine'",
    "mine = 3\n": "which must be a function that returns a Design, not a int; tell its authors",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_package_is_named_with_its_entry_point_and_breaks_nothing_else(text, install, one_line) -> None:
    install("broken-designs", text, entries_of("cktat.designs", {"mine": "broken_designs:mine"}))
    whose = r"cktat.designs: 'mine' is the entry point broken_designs:mine of the package broken-designs 1.0, "
    with one_line(re.escape(whose) + ".*" + re.escape(BROKEN[text])):
        make("mine")
    assert make("trades").name == "TRADES"
    with one_line("unknown design 'mein'; did you mean 'mine'"):
        make("mein")
    rows, faults = brought_table()
    assert rows == [] and len(faults) == 1 and BROKEN[text] in faults[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def mine(): return 3\n", "design 'mine': the function returned int, not a Design"),
        ("def mine(): return {}['beta']\n", "design 'mine': the function broken_designs.mine failed: KeyError: 'beta'"),
        ("def mine(beta): return 3\n", "design 'mine': missing a required argument: 'beta'"),
    ],
)
def test_what_fails_in_a_packages_function_is_one_line(text, said, install, one_line) -> None:
    install("broken-designs", text, entries_of("cktat.designs", {"mine": "broken_designs:mine"}))
    with one_line(re.escape(said)):
        make("mine")


def test_two_packages_of_one_name_are_both_named_and_neither_is_used(install, one_line) -> None:
    _, _, module = example()
    for name in ("first-designs", "second-designs"):
        install(name, module, entries_of("cktat.designs", {"mine": f"{name.replace('-', '_')}:smoothed"}))
    with one_line("'mine' is brought by two packages, .*; uninstall one of them") as _:
        make("mine")
    assert {*DESIGNS.brought()["mine"].split(" and ")} == {"first-designs 1.0", "second-designs 1.0"}


def test_a_design_of_cktat_is_not_replaced(install) -> None:
    _, _, module = example()
    install("taking-designs", module, entries_of("cktat.designs", {"trades": "taking_designs:smoothed"}))
    assert make("trades").name == "TRADES" and "taking_designs" not in sys.modules
    assert DESIGNS.brought() == {} and DESIGNS.shadowed() == {"trades": "taking-designs 1.0"}


def test_a_package_whose_list_cannot_be_read_hides_no_other(install) -> None:
    name, entries, module = example()
    install("unreadable", "", "[cktat.designs]\nno equals sign\n")
    install(name, module, entries_of("cktat.designs", entries))
    assert make("smoothed").name == "Smoothed" and "multiview" in DATASETS
    (fault,) = unreadable()
    assert fault.startswith("unreadable: TypeError: ")


def test_broken_data_sets_and_networks_are_named_too(install, one_line) -> None:
    install(
        "bad",
        "import no_such_module_of_cktat_tests",
        "[cktat.data]\nflowers = bad:READER\n[cktat.models]\nnet = bad:net\n",
    )
    with one_line("cktat.data: 'flowers' is the entry point bad:READER of the package bad 1.0, which cannot be loaded"):
        load("flowers")
    with one_line("cktat.models: 'net' is the entry point bad:net of the package bad 1.0, which cannot be loaded"):
        build("net", classes=2, mean=[0.5] * 3, std=[0.5] * 3)
    assert len(load("digits").train) > 0


def test_the_commands_that_list_go_on_beside_a_broken_package(install, capsys, monkeypatch) -> None:
    name, entries, module = example()
    install(name, module, entries_of("cktat.designs", entries))
    install("bad", "import no_such", "[cktat.designs]\nbroken = bad:mine\n[cktat.data]\nflowers = bad:READER\n")
    app(["designs"], standalone_mode=False)
    out, err = capsys.readouterr()
    assert out.splitlines()[-1].split()[:3] == ["smoothed-designs", "1.0", "smoothed"]
    assert err.count("\n") == 1 and "'broken' is the entry point bad:mine of the package bad 1.0" in err
    app(["data", "list"], standalone_mode=False)
    out, err = capsys.readouterr()
    assert {"digits", "multiview"} <= {line.split()[0] for line in out.splitlines()} and "flowers" not in out
    assert re.search(r"^multiview +in the package", out, flags=re.MULTILINE)
    assert err.count("\n") == 1 and "'flowers' is the entry point bad:READER of the package bad 1.0" in err


def test_a_registered_function_is_a_design(monkeypatch) -> None:
    monkeypatch.setattr(DESIGNS, "_own", dict(DESIGNS.own))
    DESIGNS.register("mine", lambda beta=2.0: DESIGNS["trades"](beta))
    assert make("mine", beta=3.0) == DESIGNS["trades"](3.0)
