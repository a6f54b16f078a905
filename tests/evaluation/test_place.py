"""Whose an unfinished measurement is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from cktat.evaluation.place import owner

CARD = {"weights_sha256": "a" * 64, "data": {"fingerprint": "b"}, "epoch": 3}
PROTOCOL = {"eps": 0.1, "seed": 0}


def of(protocol: dict[str, Any], **card: Any) -> dict[str, Any]:
    return owner(protocol, cast(Any, SimpleNamespace(card=CARD | card)))


@pytest.mark.parametrize("change", [{"weights_sha256": "c" * 64}, {"data": {"fingerprint": "d"}}])
def test_progress_is_of_the_weights_the_data_and_the_protocol(change: dict[str, Any]) -> None:
    assert of(PROTOCOL) == of(dict(PROTOCOL)) == of(PROTOCOL, epoch=4)
    assert of(PROTOCOL, **change) != of(PROTOCOL)
    assert of(PROTOCOL | {"seed": 1}) != of(PROTOCOL)
