"""A result survives the disk, contradicts no edit unnoticed, and the worst of several is their conjunction."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cktat.errors import CktatError
from cktat.evaluation import Result, wilson, worst_case


def test_what_is_written_is_read(tmp_path: Path, result: Callable[..., Result]) -> None:
    there = result("pgd20", "1011100010")
    there.write(tmp_path / "best-pgd20.json")
    assert Result.read(tmp_path / "best-pgd20.json") == there


def test_the_file_states_the_derived_numbers_for_readers(tmp_path: Path, result: Callable[..., Result]) -> None:
    result("pgd20", "1011100010").write(tmp_path / "r.json")
    fields = json.loads((tmp_path / "r.json").read_text())
    assert (fields["correct"], fields["images"], fields["accuracy"]) == (5, 10, 0.5)
    assert fields["interval"] == list(wilson(5, 10))
    assert fields["per_class"] == {"cat": [2, 4], "dog": [1, 3], "frog": [2, 3]}


@pytest.mark.parametrize(
    "change", [{"correct": 6}, {"robust": "1111111111"}, {"robust": "10111000100"}, {"labels": [0, 1, 2]}]
)
def test_an_edited_count_is_refused(
    change: dict[str, object], tmp_path: Path, result: Callable[..., Result], edit: Callable[..., None]
) -> None:
    path = tmp_path / "r.json"
    result("pgd20", "1011100010").write(path)
    edit(path, **change)
    with pytest.raises(CktatError, match=r"r\.json was changed"):
        Result.read(path)


@pytest.mark.parametrize("content", ["{", "[]", "3", '{"attack": "clean"}', "\xff"])
def test_another_file_is_refused_by_name(content: str, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(CktatError, match=r"r\.json"):
        Result.read(path)


@given(
    flags=st.integers(1, 5).flatmap(lambda n: st.lists(st.text("01", min_size=7, max_size=7), min_size=n, max_size=n))
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_worst_case_is_right_where_all_are(flags: list[str], result: Callable[..., Result]) -> None:
    results = [result(f"attack{number}", text) for number, text in enumerate(flags)]
    worst = worst_case(results)
    assert [flag == "1" for flag in worst.robust] == [all(r.robust[i] == "1" for r in results) for i in range(7)]
    assert worst.correct <= min(r.correct for r in results)
    assert worst.protocol == {"worst_of": [r.attack for r in results]}


def test_the_worst_case_of_other_images_or_weights_is_refused(result: Callable[..., Result]) -> None:
    here = result("clean")
    for other in (result("pgd20", "11111"), result("pgd20", labels=(1,) * 10), result("pgd20", weights="c" * 64)):
        with pytest.raises(CktatError, match="same images and weights"):
            worst_case([here, other])
