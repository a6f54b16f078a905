"""The entropies of a run's network on test images, in a file: what is measured once is not measured again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cktat.data import Split, ordered
from cktat.errors import CktatError
from cktat.evaluation import Subject
from cktat.evaluation.measure import true_fp32
from cktat.paper.knowledge import Discarding, Feature, discard
from cktat.runs import Kept, commit, hardware, read_sealed, versions, write_sealed

AT_A_TIME = 4
"""Images; each is there as often as noise is drawn."""

ENTROPIES = "a file of entropies of this program"

EntropyWatch = Callable[[int, int], None]
"""(images done, images in all)."""


class OneKept(Kept):
    """Of one image; see Entropies."""

    entropy: list[list[float]]
    change: float
    settled: float


class EntropiesKept(Kept):
    """The file of the entropies of a network, by the image's place."""

    layer: str
    discarding: dict[str, Any]
    provenance: dict[str, Any]
    seconds: float
    images: dict[str, OneKept]


def read_entropies(path: Path) -> dict[str, Any]:
    """The fields of a file of entropies. Raises CktatError if it is broken or was edited."""
    return read_sealed(path, EntropiesKept, ENTROPIES)


@dataclass(frozen=True)
class Entropies:
    """of: what the file says of network, layer and settings. entropy: [N, h, w], nats. change, settled: [N], see
    knowledge.Discarded."""

    of: dict[str, Any]
    entropy: Tensor
    change: Tensor
    settled: Tensor


def entropies(
    subject: Subject,
    layer: str,
    how: Discarding,
    places: Sequence[int],
    path: Path,
    watch: EntropyWatch = lambda *_: None,
) -> Entropies:
    """Those of the test images at `places`, in fp32. The file at `path` is read, and written after every few images.

    Raises CktatError if the file is broken; one of other weights, layer or settings is replaced.
    """
    of: dict[str, Any] = {"layer": layer, "discarding": asdict(how), "provenance": subject.provenance()}
    kept: dict[str, Any] = read_entropies(path) if path.exists() else {}
    if any(kept.get(key) != value for key, value in of.items()):
        kept = of | {
            "commit": commit(),
            "versions": versions(),
            "hardware": hardware(device_of(subject)),
            "seconds": 0.0,
        }
        kept["images"] = {}
    done = kept["images"]
    missing = [place for place in places if str(place) not in done]
    feature = Feature(subject.module, layer)
    for first in range(0, len(missing), AT_A_TIME):
        watch(len(places) - len(missing) + first, len(places))
        part, began = missing[first : first + AT_A_TIME], time.perf_counter()
        with true_fp32():
            found = discard(feature, images(subject, part), how)
        numbers = zip(part, found.entropy.tolist(), found.change.tolist(), found.settled.tolist(), strict=True)
        for place, entropy, change, settled in numbers:
            rounded = [[round(value, 4) for value in row] for row in entropy]
            done[str(place)] = {"entropy": rounded, "change": round(change, 4), "settled": round(settled, 6)}
        kept["seconds"] = round(kept["seconds"] + time.perf_counter() - began, 1)
        kept["at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        write_sealed(path, kept)
    watch(len(places), len(places))
    try:
        read = {key: torch.tensor([done[str(i)][key] for i in places]) for key in ("entropy", "change", "settled")}
    except ValueError:  # images of different sizes
        raise CktatError(f"{path} is not {ENTROPIES}; remove it") from None
    return Entropies({key: value for key, value in kept.items() if key != "images"}, **read)


def images(subject: Subject, places: Sequence[int]) -> Tensor:
    """The test images at `places` [N, C, H, W] in [0, 1], on the network's device."""
    test, index = subject.data.test, torch.tensor(places)
    split = Split(test.images[index], test.labels[index])
    return next(iter(ordered(split, len(places), levels=subject.data.levels, device=device_of(subject)))).x


def device_of(subject: Subject) -> torch.device:
    return next(subject.module.parameters()).device
