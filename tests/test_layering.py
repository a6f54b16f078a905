"""Who may import whom, and that no method's name stands where every method is treated alike."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import cktat

SOURCE = Path(cktat.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))

LAYERS = [
    {"usercode", "schema"},
    {"labels", "attacks", "models"},
    {"designs", "data"},
    {"runs"},
    {"training", "evaluation"},
    {"pages", "loggers"},
    {"api"},
    {"grid", "bench", "exports", "doctor"},
    {"lens", "paper"},
    {"cli"},
]
LEVEL = {package: level for level, packages in enumerate(LAYERS) for package in packages}
BASE = {"errors", "numeric", "registry", "seeds"}
"""Modules that all may import and that import nothing of this package, but for its errors."""

NEVER = {("training", "designs"), ("data", "labels"), ("data", "attacks"), ("data", "models")} | {
    (room, below) for room in ("runs",) for below in ("labels", "attacks", "models", "designs", "data")
}
"""Downward imports that are refused all the same: training is handed a design, data know of no network, and a run on disk
knows of neither."""

METHODS = (
    "standard", "pgd_at", "pgd-at", "trades", "mart", "ard", "iad", "rslad", "ltd", "lbgat", "kd_at_auto", "kd-at-auto",
    "hat", "generalist", "cktat",
)  # fmt: skip
ALIKE = ("training", "attacks", "evaluation")


def package(module: str) -> str:
    """The part of cktat that a module, given without "cktat.", is of; "" is cktat itself."""
    return module.partition(".")[0]


def name_of(path: Path) -> str:
    """`labels.walk` for labels/walk.py, `labels` for labels/__init__.py, "" for cktat itself."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def base_of(node: ast.ImportFrom, module: str, package_itself: bool) -> str:
    """The module between `from` and `import`; a relative one is counted from the place of `module`."""
    if not node.level:
        return node.module or ""
    parts = ["cktat", *filter(None, module.split("."))]
    return ".".join([*parts[: len(parts) - node.level + package_itself], *filter(None, [node.module])])


def imported(text: str, module: str = "", package_itself: bool = False) -> Iterator[tuple[int, str]]:
    """(line, module without "cktat.") for every import of this package, wherever it stands."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = base_of(node, module, package_itself)
            # `from cktat import labels` is an import of labels, too
            names = [f"cktat.{alias.name}" for alias in node.names] if base == "cktat" else [base]
        else:
            continue
        yield from ((node.lineno, name.removeprefix("cktat.")) for name in names if name.startswith("cktat."))


def offences(text: str, module: str, package_itself: bool = False) -> list[str]:
    """What is wrong with the imports of `module`, one line each."""
    own, found = package(module), []
    for line, target in imported(text, module, package_itself):
        theirs = package(target)
        if theirs == own and own not in BASE:
            continue
        if own in BASE and (own, theirs) != ("registry", "errors"):
            found.append(f"{module}:{line} imports {target}, but is below everything")
        elif theirs in BASE:
            continue
        elif theirs not in LEVEL:
            found.append(f"{module}:{line} imports {target}, which is in no layer")
        elif (own, theirs) in NEVER:
            found.append(f"{module}:{line} imports {target}, which it must not know")
        elif LEVEL[theirs] >= LEVEL[own]:
            found.append(f"{module}:{line} imports {target}, which is not below it")
    return found


def test_every_module_is_in_a_layer() -> None:
    tops = {package(name_of(path)) for path in FILES}
    assert tops - set(LEVEL) - BASE == {"", "__main__"}
    assert set(LEVEL) <= tops


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_down_only(path: Path) -> None:
    module, text = name_of(path), path.read_text(encoding="utf-8")
    if package(module) == "__main__":
        assert [target for _, target in imported(text)] == ["cli"]
    elif module == "":
        # the face of the package: what it offers is imported when it is asked for (tests/test_face.py)
        assert {package(target) for _, target in imported(text)} <= {"errors", *LEVEL} - {"usercode", "paper", "cli"}
    else:
        assert offences(text, module, path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("labels.walk", "from cktat.attacks import pgd"),
        ("labels.walk", "import cktat.models"),
        ("labels.walk", "from cktat import models"),
        ("attacks.ball", "from ..labels import kl"),
        ("models.resnet", "from cktat.designs import make"),
        ("data.own", "from cktat.labels import y"),
        ("data.own", "from cktat.models import build"),
        ("designs.mine", "from cktat.data import load"),
        ("training.loop", "from cktat.designs import make"),
        ("training.loop", "def f():\n    from cktat.evaluation import evaluate"),
        ("training.loop", "if TYPE_CHECKING:\n    from cktat.api import commands"),
        ("evaluation.measure", "from cktat.training import Training"),
        ("evaluation.measure", "from cktat.api.store import Store"),
        ("api.commands", "from cktat.cli import main"),
        ("grid.plan", "from cktat.paper.demo import demo"),
        ("data.loading", "from cktat.paper.theory import MultiView"),
        ("runs.folder", "from cktat.data import Dataset"),
        ("bench.steps", "from cktat.grid import Grid"),
        ("errors", "from cktat.seeds import derive"),
        ("seeds", "import cktat.errors"),
        ("training.loop", "from cktat.utils import thing"),
    ],
)
def test_an_import_that_goes_up_or_sideways_is_found(module: str, text: str) -> None:
    assert len(offences(text, module)) == 1


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("labels.walk", "from cktat.labels.labels import y\nfrom .scalars import value\nimport torch"),
        ("labels.walk", "from cktat.errors import CktatError\nfrom cktat import seeds"),
        ("designs.mine", "from cktat.labels import y"),
        ("training.loop", "from cktat.labels import y\nfrom cktat.data import Split\nfrom cktat.attacks import Ball"),
        ("evaluation.measure", "from cktat.runs.files import write_json"),
        ("api.commands", "from cktat.training.calibrate import calibrate"),
        ("cli", "from cktat.api import commands\nfrom cktat.designs import DESIGNS"),
        ("errors", "import json"),
    ],
)
def test_an_import_that_goes_down_is_let_be(module: str, text: str) -> None:
    assert offences(text, module) == []


def test_the_page_on_the_rooms_shows_these_layers() -> None:
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
    picture = page.split("```")[1].strip().splitlines()
    rooms = [set(re.split(r" {2,}", line[:34].strip())) for line in picture]
    assert rooms == LAYERS[::-1]
    assert all(f"`{name}`" in page for name in BASE)
    # every file and name that it sends a newcomer to is there
    rows = page.split("| --- |")[-1].split("\n\n")[0]
    for file in re.findall(r"`([a-z_]+/[a-z_/]*(?:\.py)?)`", rows):
        assert (SOURCE / file).exists(), file
    registries = re.findall(r"`([A-Z]+)`, `([a-z_/]+\.py)`", rows)
    assert len(registries) == 6
    for name, file in registries:
        assert re.search(rf"^{name}\b.*=", (SOURCE / file).read_text(encoding="utf-8"), flags=re.MULTILINE), name


# No circle of files


def circle(texts: Mapping[Path, str]) -> list[str]:
    """The modules of a circle of imports among these files, the first again at the end; empty if there is none.

    Every import statement counts: at the top, inside functions, and for the type checker alone. `from PACKAGE import NAME` is
    an import of the module of that name where there is one, else of the package's own file.
    """
    modules = {name_of(path): path for path in texts}
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        targets = graph.setdefault(module, set())
        for node in ast.walk(ast.parse(texts[path])):
            if isinstance(node, ast.Import):
                targets |= {alias.name.removeprefix("cktat.") for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                base = base_of(node, module, path.name == "__init__.py").removeprefix("cktat").removeprefix(".")
                for alias in node.names:
                    inner = f"{base}.{alias.name}".removeprefix(".")
                    targets.add(inner if inner in modules else base)
    try:
        TopologicalSorter({module: targets & set(modules) for module, targets in graph.items()}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circle({path: path.read_text(encoding="utf-8") for path in FILES}) == []


@pytest.mark.parametrize(
    ("there", "back"),
    [
        ("from cktat.labels.b import x", "from cktat.labels.a import y"),
        ("from cktat.labels.b import x", "def f():\n    from cktat.labels.a import y"),
        ("from cktat.labels.b import x", "if TYPE_CHECKING:\n    from cktat.labels.a import y"),
        ("import cktat.labels.b", "from .a import y"),
        ("from cktat.labels import b", "from . import a"),
        ("from cktat.labels import thing", "from cktat.labels.a import y"),  # through the package's own file
    ],
)
def test_a_circle_that_is_planted_is_found(there: str, back: str) -> None:
    folder = SOURCE / "labels"
    texts = {folder / "__init__.py": "from cktat.labels.b import thing", folder / "a.py": there, folder / "b.py": back}
    found = circle(texts)
    assert found[0] == found[-1] and {"labels.a", "labels.b"} <= set(found)
    assert circle(texts | {folder / "b.py": "import torch"}) == []


# Every module can be had by its name

EVERY_MODULE = """
import importlib, sys, types
names = sys.argv[1:]
for name in names:
    importlib.import_module(name)
for name in names:
    module, (package, _, last) = sys.modules[name], name.rpartition(".")
    for offered in getattr(module, "__all__", ()):
        if isinstance(getattr(module, offered), types.ModuleType) and offered not in getattr(module, "_ROOMS", ()):
            print(f"{name} offers {offered}, which a module has overwritten")
    space = {}
    exec(f"from {package} import {last}" if package else f"import {last}", space)
    if (thing := space[last]) is module:
        continue
    origin = getattr(thing, "__module__", "")
    if not f"{origin}.".startswith(f"{name}."):
        print(f"from {package} import {last} gives {thing!r}")
"""


@pytest.mark.parametrize("order", [sorted, lambda names: sorted(names, reverse=True)], ids=["forward", "backward"])
def test_every_module_can_be_imported_by_its_name(order: Callable[[list[str]], list[str]]) -> None:
    # `from PACKAGE import NAME` gives the module, or the function of that name that is defined in it
    names = [f"cktat.{name_of(path)}".rstrip(".") for path in FILES if path.name != "__main__.py"]
    done = subprocess.run(
        [sys.executable, "-c", EVERY_MODULE, *order(names)], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# No method's name


def sayings(text: str) -> Iterator[tuple[int, str, bool]]:
    """(line, text, whether it is compared with something) of every identifier and string literal that does something."""
    tree = ast.parse(text)
    silent, compared = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            silent.add(id(node.value))  # docstrings, of attributes too
        asks = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in TESTS
        if asks or isinstance(node, ast.Compare | ast.Subscript | ast.MatchValue):
            compared |= {id(part) for part in ast.walk(node)}
    for node in ast.walk(tree):
        line, is_compared = getattr(node, "lineno", 0), id(node) in compared
        if isinstance(node, ast.Name):
            yield line, node.id, True
        elif isinstance(node, ast.Attribute):
            yield line, node.attr, True
        elif isinstance(node, ast.arg | ast.keyword) and node.arg is not None:
            yield line, node.arg, True
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield line, node.name, True
        elif isinstance(node, ast.alias) and node.asname is not None:
            yield line, node.asname, True
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            yield line, node.value, is_compared


TESTS = ("startswith", "endswith", "get", "index", "count", "pop")
"""Methods of strings and dictionaries by which a name may be asked for."""


def names_of_methods(text: str) -> list[str]:
    """Where a text names a method, "line: word" each. Of the package's own name only references are let be.

    A reference is the literal "cktat" alone, a module of it, or a command in backticks; none of them compared with.
    """
    found = []
    for line, said, decides in sayings(text):
        if not decides:
            said = re.sub(r"`cktat [a-z][^`]*`?", "", said)  # where a value is put in, the literal ends at it
            said = re.sub(r"^cktat(\.[a-z_]+)*$", "", said)
        found += [
            f"{line}: {method}"
            for method in METHODS
            if re.search(rf"(?<![\w-]){method}(?![\w-])", said, flags=re.IGNORECASE)
        ]
    return found


@pytest.mark.parametrize("path", [path for path in FILES if package(name_of(path)) in ALIKE], ids=name_of)
def test_no_method_is_named_where_all_are_treated_alike(path: Path) -> None:
    found = names_of_methods(path.read_text(encoding="utf-8"))
    if name_of(path) == "attacks.autoattack.suite":
        found = [line for line in found if not line.endswith(": standard")]  # its authors call a version of it so
    assert found == []


def test_there_is_something_to_read() -> None:
    assert {package(name_of(path)) for path in FILES} > set(ALIKE)
    assert sum(len(list(sayings(path.read_text(encoding="utf-8")))) for path in FILES) > 1000


@pytest.mark.parametrize(
    "text",
    [
        "if design.name == 'TRADES': pass",
        "if design.origin[0] == 'cktat': pass",
        "if design.name in ('x', 'cktat'): pass",
        "if name.startswith('cktat'): pass",
        "table = {'trades': 1}",
        "value = table['cktat']",
        "match name:\n    case 'cktat': pass",
        "text = f'{x} as trades does'",
        "def mart(): pass",
        "class HAT: pass",
        "x = rslad",
        "x = designs.kd_at_auto",
        "def f(generalist): pass",
        "f(standard=True)",
        "import numpy as iad",
        "from a import b as ltd",
        "lbgat: int = 3",
        "x = 'PGD-AT'",
        "x = 'the standard way'",
        "x = 'CKTAT'",
    ],
)
def test_a_name_that_is_planted_is_found(text: str) -> None:
    assert names_of_methods(text)
    assert names_of_methods(
        f"def f():\n    '''A docstring.'''\n    if x:\n        {text.replace(chr(10), chr(10) + ' ' * 8)}"
    )


@pytest.mark.parametrize(
    "text",
    [
        "'''As TRADES and MART do.'''",
        "class A:\n    x: int\n    '''The CKTAT paper's.'''",
        "from cktat.designs.trades import trades as t",
        "import cktat.attacks",
        "{'cktat': version('cktat')}",
        "raise CktatError('use `cktat import`, or `cktat runs`')",
        "files('cktat.evaluation')",
        "f'not there: `cktat evaluate {run}`'",
        "STANDARD_ATTACKS = 1",
        "x = 'hats and hardly standardised, chart'",
        "# trades",
    ],
)
def test_what_names_no_method_is_let_be(text: str) -> None:
    assert names_of_methods(text) == []


# What comes with an import, and how files are called


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import cktat", ["matplotlib", "typer", "cktat.training", "cktat.evaluation", "cktat.api", "torch"]),
        (
            "import cktat.attacks, cktat.labels, cktat.models",
            ["matplotlib", "typer", "cktat.training", "cktat.designs"],
        ),
        ("import cktat.evaluation", ["matplotlib", "typer", "cktat.designs", "cktat.api"]),
        ("import cktat.cli, cktat.doctor", ["matplotlib", "torch", "cktat.api", "cktat.designs", "cktat.runs"]),
    ],
)
def test_an_import_brings_no_more_than_it_needs(statement: str, unwanted: list[str]) -> None:
    code = f"import sys\n{statement}\nprint(*[name for name in {unwanted!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [], "")


def test_no_file_is_a_drawer_for_odds_and_ends() -> None:
    drawers = {"utils", "util", "helpers", "helper", "misc", "common", "tools"}
    parts = {part for path in FILES for part in path.relative_to(SOURCE).with_suffix("").parts}
    assert not parts & drawers


def test_every_file_can_be_read_in_one_sitting() -> None:
    long = {
        name_of(path): lines for path in FILES if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert long == {}
