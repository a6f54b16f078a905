"""What one look at the machine found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["ok", "note", "fail"]
"""ok: as it should be. note: works, but you should know. fail: something of the package will not work."""


@dataclass(frozen=True)
class Diagnosis:
    """One line of `cktat doctor`.

    topic: what was looked at, one word. text: what was found, for people. advice: what to do, "" where nothing is to be done.
    values: what was found, for programs; JSON.
    """

    topic: str
    state: State
    text: str
    advice: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
