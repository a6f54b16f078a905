"""Processor time of AutoAttack on the first test images of a run, by its authors' package or here, as one line of JSON.

OMP_NUM_THREADS=1 python results/bench/autoattack.py package|exact|packed RUN IMAGES
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

from cktat.attacks import autoattack
from cktat.evaluation.subject import load_subject
from cktat.models import folded
from cktat.runs import RunFolder


def measured(who: str, run: Path, images: int) -> dict[str, Any]:
    """Seconds of the processor and flags; `packed` asks a folded copy, as `cktat evaluate` does."""
    subject = load_subject(RunFolder(run), "best", None, torch.device("cpu"))
    test, module, eps = subject.data.test, subject.module.requires_grad_(False), subject.card["eps"]
    x, y = test.images[:images].float() / subject.data.levels, test.labels[:images]
    if who == "package":
        from pyautoattack import AutoAttack

        module = module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        theirs = AutoAttack(module, eps=eps, seed=0)
    began = time.process_time()
    if who == "package":
        found = theirs.run_standard_evaluation(x, y, batch_size=images)
        took = time.process_time() - began
        moved = found if isinstance(found, torch.Tensor) else found[0]
        with torch.no_grad():
            robust = module(moved).argmax(dim=1) == y
    else:
        quick = folded(module) if who == "packed" else None
        mode: Any = who
        robust = autoattack(module, x, y, eps, mode=mode, batch_size=images, quick=quick).robust
        took = time.process_time() - began
    flags = "".join(str(int(flag)) for flag in robust)
    return {"who": who, "run": run.name, "images": images, "cpu_seconds": round(took, 2), "flags": flags}


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
