"""One word for one thing: no two public classes or type aliases of the package have one name."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import cktat

SOURCE = Path(cktat.__file__).parent


def defined(text: str) -> Iterator[str]:
    """Names of the public classes and type aliases of a module: those at its top level that are written LikeThis.

    A name in capitals alone is a constant or a type variable, and one that only another module defines is not its own.
    """
    for node in ast.parse(text).body:
        named = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if isinstance(node, ast.ClassDef):
            named = [ast.Name(node.name)]
        if node.__class__.__name__ == "TypeAlias":  # a statement of Python 3.12
            named = [node.name]  # type: ignore[attr-defined]
        yield from (name.id for name in named if isinstance(name, ast.Name) and is_of_a_class(name.id))


def is_of_a_class(name: str) -> bool:
    return name[0].isupper() and not name.isupper()


def of_one_name(texts: Mapping[str, str]) -> dict[str, list[str]]:
    """Every name that several modules define, or one module twice, with where."""
    places = defaultdict(list)
    for module, text in texts.items():
        for name in defined(text):
            places[name].append(module)
    return {name: modules for name, modules in places.items() if len(modules) > 1}


def test_no_two_public_classes_have_one_name() -> None:
    texts = {str(path.relative_to(SOURCE)): path.read_text(encoding="utf-8") for path in sorted(SOURCE.rglob("*.py"))}
    assert sum(len(list(defined(text))) for text in texts.values()) > 100
    assert of_one_name(texts) == {}


@pytest.mark.parametrize(
    "text",
    [
        "class Row: pass",
        "class Row(NamedTuple):\n    x: int",
        "@dataclass(frozen=True)\nclass Row:\n    x: int",
        "class Row(Protocol): ...",
        "Row = Callable[[int], None]",
        "Row: TypeAlias = tuple[int, int]",
        "Row = Other = int",
    ],
)
def test_a_name_that_is_planted_is_found(text: str) -> None:
    assert of_one_name({"a.py": text, "b.py": "class Row: pass"}) == {"Row": ["a.py", "b.py"]}


@pytest.mark.parametrize(
    "text",
    [
        "from cktat.b import Row",
        "class _Row: pass",
        "_Row = tuple[int, int]",
        "ROW = 1",
        "T = TypeVar('T')",
        "row = 1",
        "def f():\n    class Row: pass",
        "class Table:\n    class Row: pass",
        "Row.names = ()",
    ],
)
def test_what_is_no_second_public_class_is_let_be(text: str) -> None:
    assert of_one_name({"a.py": text, "b.py": "class Row: pass\nROW = 2\nT = TypeVar('T')"}) == {}
