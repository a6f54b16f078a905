"""Whose an unfinished measurement is, and that no result is written where its run is not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cktat.evaluation import Result
from cktat.evaluation.place import keep, owner
from cktat.runs import Gone, RunFolder

CARD = {"weights_sha256": "a" * 64, "data": {"fingerprint": "b"}, "epoch": 3}
PROTOCOL = {"eps": 0.1, "seed": 0}


def of(protocol: dict[str, Any], **card: Any) -> dict[str, Any]:
    return owner(protocol, cast(Any, SimpleNamespace(card=CARD | card)))


@pytest.mark.parametrize("change", [{"weights_sha256": "c" * 64}, {"data": {"fingerprint": "d"}}])
def test_progress_is_of_the_weights_the_data_and_the_protocol(change: dict[str, Any]) -> None:
    assert of(PROTOCOL) == of(dict(PROTOCOL)) == of(PROTOCOL, epoch=4)
    assert of(PROTOCOL, **change) != of(PROTOCOL)
    assert of(PROTOCOL | {"seed": 1}) != of(PROTOCOL)


def test_a_result_is_not_written_where_its_run_is_gone(tmp_path: Path) -> None:
    subject = cast(Any, SimpleNamespace(run=RunFolder(tmp_path / "run")))
    result = Result("clean", "10", (0, 1), ("a", "b"), {}, {"weights_sha256": "a" * 64})
    with pytest.raises(Gone, match=r"run\.json is gone"):
        keep(result, tmp_path / "run" / "results" / "best-clean.json", subject)
    assert list(tmp_path.iterdir()) == []
