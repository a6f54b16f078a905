"""Adversarially robust image classifiers: every label design of adversarial training in one loop.

import cktat
run = cktat.train("trades", data="digits", epochs=10)
for result in cktat.evaluate(run):
    print(result.attack, result.accuracy, result.interval)
cktat.report([run])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cktat.errors import CktatError

if TYPE_CHECKING:
    from cktat.api.commands import evaluate, report, results, train

__all__ = ["CktatError", "evaluate", "report", "results", "train"]


def __getattr__(name: str) -> Any:
    # `import cktat` stays quick: training and evaluation are imported when they are first asked for.
    if name in ("evaluate", "report", "results", "train"):
        from cktat.api import commands as api

        return getattr(api, name)
    raise AttributeError(f"module 'cktat' has no attribute {name!r}")
