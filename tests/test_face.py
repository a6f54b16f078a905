"""What `import cktat` offers, how little it brings along, and that a type checker sees all of it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cktat
from cktat.designs import DESIGNS, parameters

SOURCE = Path(cktat.__file__)


def fresh(code: str) -> str:
    """What a new Python prints that runs `code`."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_dir_shows_what_there_is_and_nothing_else() -> None:
    assert dir(cktat) == sorted(cktat.__all__)
    assert {"train", "evaluate", "report", "results", "CktatError", "attacks", "designs", "labels"} <= set(dir(cktat))
    for name in dir(cktat):
        assert getattr(cktat, name) is not None


def test_the_names_are_those_that_a_type_checker_is_shown() -> None:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    (shown,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    )
    rooms: set[str] = set()
    taken: dict[str, str] = {}
    for node in shown.body:
        if isinstance(node, ast.ImportFrom) and node.module == "cktat":
            rooms |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            taken |= {alias.name: str(node.module) for alias in node.names}
    assert taken == cktat._OFFERED
    assert rooms == set(cktat._ROOMS)
    assert sorted([*taken, *rooms, "CktatError", "__version__"]) == sorted(cktat.__all__)


@pytest.mark.parametrize("name", cktat._ROOMS)
def test_a_room_is_there_without_an_import_of_its_own(name: str) -> None:
    assert (
        fresh(f"import cktat, sys\nassert 'torch' not in sys.modules\nprint(cktat.{name}.__name__)") == f"cktat.{name}"
    )


def test_looking_at_what_there_is_imports_nothing() -> None:
    assert (
        fresh("import cktat, sys\ndir(cktat)\nprint('torch' in sys.modules, 'numpy' in sys.modules)") == "False False"
    )


def test_a_name_that_is_not_there_is_an_attribute_error_with_the_nearest() -> None:
    with pytest.raises(AttributeError, match="module 'cktat' has no attribute 'trian'") as caught:
        cktat.trian  # type: ignore[attr-defined]  # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("trian", cktat)  # from these Python finds "did you mean 'train'"
    assert not hasattr(cktat, "no_such")


def test_the_package_says_that_it_has_types() -> None:
    assert (SOURCE.parent / "py.typed").is_file()


CODE = """
import math
import cktat
from cktat.attacks import Attack, autoattack, cw, mim, pgd
from cktat import designs
from cktat.designs import DESIGNS, make, trades
from cktat.labels import Design
from torch import Tensor, nn

def attack(model: nn.Module, x: Tensor, y: Tensor, name: str) -> Design:
    moved: Tensor = pgd(model, x, y, 8 / 255, steps=10, norm="linf")
    moved = pgd(model, x, y, eps=8 / 255, alpha=2 / 255, norm=2, seed=3)
    moved = mim(model, x, y, 8 / 255, norm=math.inf)
    moved = cw(model, x, y, 8 / 255, stepps=10)  # wrong
    moved = pgd(model, x, y, "8/255")  # wrong
    moved = pgd(model, x, y, 8 / 255, start="middle")  # wrong
    moved = Attack(steps=3)(model, x, y, 8 / 255)
    moved = Attack(stepps=3)(model, x, y, 8 / 255)  # wrong
    share: float = autoattack(model, x, y, 8 / 255, version="rand").accuracy
    share = autoattack(model, x, y, 8 / 255, version="random").accuracy  # wrong
    share = autoattack(model, x, y, 8 / 255).accurracy  # wrong
    trades(beta=[6])  # wrong
    trades(6, None, 3)  # wrong
    DESIGNS["trades"](beta="6")  # wrong
    DESIGNS["trades"](6, beta=6)  # wrong
    make("trades", beta=6)
    cktat.trian("trades")  # wrong
    cktat.attacks.pdg  # wrong
    text: str = cktat.__version__
    try:
        cktat.designs.trades(3.0)
    except cktat.CktatError:
        pass
    return DESIGNS[name](beta=3)

"""


def test_mypy_sees_a_misspelled_parameter_and_takes_the_right_ones(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is a tool of development")
    code = CODE
    for name, maker in DESIGNS.items():
        right = ", ".join(f"{key}={value!r}" for key, value in parameters(maker).items())
        code += f"designs.{name}({right})\nDESIGNS[{name!r}]({right})\n"
        code += f"designs.{name}(no_such=1)  # wrong\nDESIGNS[{name!r}](no_such=1)  # wrong\n"
    file = tmp_path / "user.py"
    file.write_text(code, encoding="utf-8")
    words = ["--no-incremental", "--no-error-summary", "--hide-error-context", "--config-file=", "--strict"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *words, str(file)], capture_output=True, text=True, timeout=300, cwd=tmp_path
    )
    found = {int(line) for line in re.findall(r"user\.py:(\d+): error", done.stdout)}
    wanted = {number for number, line in enumerate(code.splitlines(), 1) if line.endswith("# wrong")}
    assert found == wanted, done.stdout + done.stderr
    assert len(wanted) > 2 * len(DESIGNS)
    assert 'Unexpected keyword argument "no_such" for "trades"' in done.stdout
