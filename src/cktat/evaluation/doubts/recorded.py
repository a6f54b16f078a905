"""The verdict on a run: examined once for the same weights and protocol, and kept beside its results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from cktat.data import ordered
from cktat.evaluation.doubts.examine import IMAGES, examine, names, sums
from cktat.evaluation.doubts.finding import Verdict
from cktat.evaluation.doubts.splits import COUNTED
from cktat.evaluation.evaluate import ending_of
from cktat.evaluation.lowest import measured_on
from cktat.evaluation.result import CLEAN
from cktat.evaluation.rows import card_of, group_of, is_of
from cktat.evaluation.subject import Subject
from cktat.runs import RunFolder, World, commit, hardware, versions


def doubts_of(
    subject: Subject,
    *,
    test_images: int | None = None,
    eps: float | None = None,
    batch_size: int = 250,
    seed: int = 0,
    world: World = World(),
) -> Verdict:
    """The verdict on what `evaluate` measured with the same `test_images`, `eps` and `seed`: read, or examined and written.

    The first test images are examined. Every result of these weights in this ball that lies in the run's folder is taken
    into account, as far as it is of the images evaluated; others than before are a reason to examine anew. Of several
    processes the first works.
    """

    def work() -> Verdict:
        data, card = subject.data, subject.card
        tested = len(data.test) if test_images is None else test_images
        radius, ending = card["eps"] if eps is None else eps, ending_of(subject, eps, test_images)
        path = subject.run.results / _file(subject.weights, ending)
        found: dict[str, torch.Tensor] = {}
        for result in measured_on(subject.run, subject.weights, tested, eps=radius, norm=subject.norm):
            if result.attack != CLEAN:  # an image that any of several results under one name broke is broken
                right = torch.tensor([flag == "1" for flag in result.robust])
                found[result.attack] = right & found.get(result.attack, right)
        images = min(IMAGES, tested)
        old = Verdict.read(path) if path.is_file() else None
        if old is not None and is_of(old.provenance, card) and [each.check for each in old.findings] == names():
            now = {"eps": radius, "images": images, "seed": seed, "results": sums(found)}
            if now.items() <= old.protocol.items():
                return old
        device = next(subject.module.parameters()).device
        counted = data.test.first(min(COUNTED, tested))
        batch = next(iter(ordered(counted, len(counted), levels=data.levels, device=device)))
        verdict = examine(
            subject.module.float(), batch.x, batch.y, eps=radius, norm=subject.norm, box=data.box, results=found,
            data=data, unseen=not subject.run.read().get("imported"), seed=seed, images=images, batch_size=batch_size,
        )  # fmt: skip
        about: dict[str, Any] = {"commit": commit(), "versions": versions(), "hardware": hardware(device)}
        verdict = replace(verdict, provenance=subject.provenance() | about)
        subject.run.require_begun()
        verdict.write(path)
        return verdict

    return world.once(work)


def verdict_of(run: RunFolder, weights: str) -> Verdict | None:
    """The verdict on the results of the `weights` that tables show, None if there is none of these weights.

    Raises CktatError if its file is broken.
    """
    ending = group_of(run, weights)[0]
    path = run.results / _file(weights, ending)
    verdict = Verdict.read(path) if path.is_file() else None
    return verdict if verdict is not None and is_of(verdict.provenance, card_of(run, weights)) else None


def _file(weights: str, ending: str) -> Path:
    return Path(f"{weights}-verdict{ending}.json")
