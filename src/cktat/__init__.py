"""Adversarially robust image classifiers: every label design of adversarial training in one loop.

import cktat
run = cktat.train("trades", data="digits", epochs=10)
for result in cktat.evaluate(run):
    print(result.attack, result.accuracy, result.interval)
cktat.report([run])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cktat.errors import CktatError

if TYPE_CHECKING:
    from cktat.api.commands import evaluate, report, results, train
    from cktat.api.run import Run
    from cktat.training import AdversarialLoss, Callback

__all__ = ["AdversarialLoss", "Callback", "CktatError", "Run", "evaluate", "report", "results", "train"]

_WHERE = {
    "AdversarialLoss": "cktat.training", "Callback": "cktat.training", "Run": "cktat.api.run",
    "evaluate": "cktat.api.commands", "report": "cktat.api.commands", "results": "cktat.api.commands",
    "train": "cktat.api.commands",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    # `import cktat` stays quick: training and evaluation are imported when they are first asked for.
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'cktat' has no attribute {name!r}")
