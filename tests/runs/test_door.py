"""What is read back is what was written, by its limits, its sum and its schema; nothing is cut, converted or guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cktat.runs import door, read_sealed, write_sealed
from cktat.runs.door import Kept, parse, read_bytes
from cktat.runs.schemas import HeldOut, ShareKept


def test_what_is_too_large_is_refused_and_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_line) -> None:
    monkeypatch.setattr(door, "MOST_BYTES", 2**20)
    path = tmp_path / "a.json"
    path.write_bytes(b" " * 2**20)
    assert len(read_bytes(path)) == 2**20
    path.write_bytes(b" " * (2**20 + 1))
    with one_line(r"a\.json has more than 1 MiB"):
        read_bytes(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ('{"b": {"a": 1, "c": 0, "a": 1}}', "the key 'a' stands twice"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": -Infinity}', "-Infinity is no number"),
        ('{"a": [1e999]}', "holds a number that is too large"),
        ('{"a": 36893488147419103232}', "an integer beyond 64 bits"),
    ],
)
def test_a_key_that_stands_twice_and_what_is_no_number_are_refused(text: str, said: str, one_line) -> None:
    with one_line(f"^here .*{said}"):
        parse(text, "here")


class Half(Kept):
    share: ShareKept


def kept(path: Path, **fields: Any) -> dict[str, Any]:
    write_sealed(path, fields)
    return read_sealed(path, Half, "a share")


@pytest.mark.parametrize("value", ["0.5", None, [0.5]])
def test_nothing_is_converted(value: object, tmp_path: Path, one_line) -> None:
    with one_line(r"a\.json is not a share: share: "):
        kept(tmp_path / "a.json", share=value)


@pytest.mark.parametrize("value", [-0.01, 1.01, 5])
def test_a_share_is_between_0_and_1(value: float, tmp_path: Path, one_line) -> None:
    assert kept(tmp_path / "a.json", share=1.0) == {"share": 1.0}
    with one_line(r"a\.json is not a share: share: "):
        kept(tmp_path / "a.json", share=value)
    write_sealed(tmp_path / "b.json", {"images": 10, "clean": 0.5, "pgd": value})
    with one_line("is not of held-out images: pgd: "):
        read_sealed(tmp_path / "b.json", HeldOut, "of held-out images")
