"""What a declaration is as JSON: functions of this package by their names, those of others by their text, too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cktat.designs import DESIGNS, make
from cktat.labels import Design, Learner, Moment, Schedule, Term, clean, y
from cktat.labels.walk import canonical


def of(function: Callable[[Moment], float]) -> str:
    S = Learner("S")
    return json.dumps(canonical(Design("Mine", (Term(S(clean), y, Schedule(function, "w")),))))


def test_functions_of_one_name_are_told_apart_by_their_text() -> None:
    def first() -> Callable[[Moment], float]:
        def weight(moment: Moment) -> float:
            return 1.0

        return weight

    def second() -> Callable[[Moment], float]:
        def weight(moment: Moment) -> float:
            return 0.5

        return weight

    for function in (one := first(), other := second()):
        function.__qualname__ = "weight"
    assert of(one) != of(other)
    assert of(one) == of(first()).replace("first.<locals>.weight", "weight").replace(
        f"{__name__}.test_functions_of_one_name_are_told_apart_by_their_text.<locals>.", f"{__name__}."
    )


def test_a_function_of_a_file_is_told_by_all_its_file_imports(tmp_path: Path) -> None:
    def made(value: float) -> str:
        (tmp_path / "weights.py").write_text(f"def weight(moment): return {value}\n")
        (tmp_path / "mine.py").write_text(
            "from cktat.labels import Design, Learner, Schedule, Term, clean, y\nfrom weights import weight\n"
            "def mine():\n    S = Learner('S')\n    return Design('Mine', (Term(S(clean), y, Schedule(weight)),))\n"
        )
        return json.dumps(canonical(make(f"{tmp_path}/mine.py:mine")))

    assert made(1.0) == made(1.0) != made(0.5)


@pytest.mark.parametrize("name", DESIGNS)
def test_the_designs_of_the_package_hold_no_sums(name: str) -> None:
    text = json.dumps(canonical(make(name)))
    assert not any(len(word) == 64 for word in text.replace('"', " ").split())
