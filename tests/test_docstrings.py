"""The examples in docstrings run, and a public function says what it takes, what it raises and where it is from."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cktat
from cktat.attacks import Attack, apgd, autoattack, cw, fab, fgsm, mim, pgd, square
from cktat.designs import DESIGNS, make

SOURCE = Path(cktat.__file__).parent
WITH_EXAMPLES = [
    ".".join(("cktat", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
    for path in sorted(SOURCE.rglob("*.py"))
    if re.search(r"^ *>>> ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
]
ATTACKS = {attack.__name__: attack for attack in (fgsm, pgd, mim, cw, autoattack, apgd, fab, square)}
PUBLIC: dict[str, Callable[..., Any]] = {**ATTACKS, **DESIGNS, "Attack": Attack, "make": make}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What examples write lies in a folder of the test."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_run(module: str) -> None:
    found = doctest.testmod(importlib.import_module(module))
    assert (found.failed, found.attempted > 0) == (0, True)


def test_examples_below_constants_run_too() -> None:
    run = 0
    for name in WITH_EXAMPLES:
        module = importlib.import_module(name)
        for node in ast.parse(inspect.getsource(module)).body[1:]:
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                text = inspect.cleandoc(str(node.value.value))
                examples = doctest.DocTestParser().get_doctest(text, dict(vars(module)), name, None, node.lineno)
                found = doctest.DocTestRunner().run(examples)
                assert found.failed == 0
                run += found.attempted
    assert run > 0


MET = {
    **{f"cktat.{name}": getattr(cktat, name) for name in cktat.__all__},
    **{f"cktat.{room}.{name}": getattr(getattr(cktat, room), name) for room, names in {
        "labels": cktat.labels.__all__,
        "designs": cktat.designs.__all__,
        "data": ("Dataset", "Reader", "Split", "as_pixels", "dataset_of", "load"),
        "evaluation": ("compare_pair", "holm", "spread", "wilson"),
        "models": ("Normalised", "build", "cost", "fit"),
        "attacks": ("Ball", "norm_of"),
        "api": ("Store", "configure"),
        "loggers": ("flat", "logger"),
    }.items() for name in names},
}  # fmt: skip
"""What a user meets: what `import cktat` offers, the words of the language, designs, and what the documents call."""
INNER = {"Cell", "Label", "Network", "Output", "Scalar", "View"}
"""Bases of the words: nobody makes one."""


@pytest.mark.parametrize(
    "name", [name for name, value in MET.items() if inspect.isclass(value) or inspect.isfunction(value)]
)
def test_what_a_user_meets_has_an_example(name: str) -> None:
    if name.rpartition(".")[2] not in INNER:
        assert "\n>>> " in re.sub(r"\n +>>> ", "\n>>> ", inspect.getdoc(MET[name]) or "")


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_function_says_what_it_takes_one_a_line(name: str) -> None:
    text = inspect.getdoc(PUBLIC[name]) or ""
    described = re.findall(r"^    (\w+): \S", text.partition("Args:\n")[2].partition("\n\n")[0], flags=re.MULTILINE)
    assert described == list(inspect.signature(PUBLIC[name]).parameters)
    assert "Raises:\n    CktatError: " in text
    assert "\n>>> " in text


@pytest.mark.parametrize("name", [name for name in {**ATTACKS, **DESIGNS} if name != "standard"])
def test_a_method_says_where_it_is_from(name: str) -> None:
    assert "\nSource: " in (inspect.getdoc(PUBLIC[name]) or "")


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_says_shapes_and_units(name: str) -> None:
    text = inspect.getdoc(ATTACKS[name]) or ""
    assert all(
        said in text for said in ("[N, C, H, W]", "[N, K]", "Labels [N]", "fraction of the pixel range", "Returns:")
    )
