"""Adversarially robust image classifiers: every label design of adversarial training in one loop.

import cktat
run = cktat.train("trades", data="digits", epochs=10)
for result in cktat.evaluate(run):
    print(result.attack, result.accuracy, result.interval)
cktat.report([run])
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cktat.errors import CktatError

if TYPE_CHECKING:
    from cktat import (
        api,
        attacks,
        data,
        designs,
        evaluation,
        exports,
        grid,
        labels,
        loggers,
        models,
        pages,
        runs,
        training,
    )
    from cktat.api.benchmarking import benchmark
    from cktat.api.citing import Citation, cite
    from cktat.api.commands import evaluate, train
    from cktat.api.predicting import Prediction, predict
    from cktat.api.reading import report, results
    from cktat.api.run import Run, load
    from cktat.exports.formats import export
    from cktat.training import AdversarialLoss, Callback

    __version__: str

_OFFERED = {
    "AdversarialLoss": "cktat.training",
    "Callback": "cktat.training",
    "Citation": "cktat.api.citing",
    "Prediction": "cktat.api.predicting",
    "Run": "cktat.api.run",
    "benchmark": "cktat.api.benchmarking",
    "cite": "cktat.api.citing",
    "evaluate": "cktat.api.commands",
    "export": "cktat.exports.formats",
    "load": "cktat.api.run",
    "predict": "cktat.api.predicting",
    "report": "cktat.api.reading",
    "results": "cktat.api.reading",
    "train": "cktat.api.commands",
}
"""A name that is offered, and the module it is taken from. It also stands in the imports above and in `__all__` below, where
type checkers find it."""

_ROOMS = (
    "api", "attacks", "data", "designs", "evaluation", "exports", "grid", "labels", "loggers", "models", "pages", "runs",
    "training",
)  # fmt: skip

__all__ = [
    "AdversarialLoss", "Callback", "Citation", "CktatError", "Prediction", "Run", "__version__",
    "benchmark", "cite", "evaluate", "export", "load", "predict", "report", "results", "train",
    "api", "attacks", "data", "designs", "evaluation", "exports", "grid", "labels", "loggers", "models", "pages", "runs",
    "training",
]  # fmt: skip

if not TYPE_CHECKING:  # a type checker would believe that a module with `__getattr__` has every name

    def __getattr__(name: str) -> Any:
        # `import cktat` stays quick: whatever needs torch is imported when it is first asked for.
        if name in _OFFERED:
            return getattr(import_module(_OFFERED[name]), name)
        if name in _ROOMS:
            return import_module(f"cktat.{name}")
        if name == "__version__":
            return import_module("importlib.metadata").version("cktat")
        raise AttributeError(f"module 'cktat' has no attribute {name!r}", name=name, obj=sys.modules[__name__])


def __dir__() -> list[str]:
    return sorted(__all__)
