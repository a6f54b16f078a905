"""Which images are held out or test images where data do not say: decided by the pixels of an image, by nothing else.

An image's rank is a hash of its pixels, and the lowest ranks of each class are held out. So the choice depends on no
seed, no library version and no order of the images; and copies of an image, having one rank, stay together unless they
meet the last place of their class.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cktat.errors import CktatError

PARTS = ("train", "held_out", "test")
WHOLE = "whole"
"""The part of images that do not say of which part they are."""
CALLED = {"train": "training", "held_out": "held-out", "test": "test"}

Chosen = tuple[str, npt.NDArray[np.bool_] | None]
"""The part that images come from, and which of them; None is all."""


def lowest_ranked(
    images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], counts: npt.ArrayLike
) -> npt.NDArray[np.bool_]:
    """Marks, for each class k, the counts[k] images of lowest rank. images: [N, ...]; labels: [N]; returns bool [N].

    Equal images are ranked in the order they come. `counts` is one number for all classes, or one for each.
    """
    digests = b"".join(hashlib.blake2b(image.data, digest_size=8).digest() for image in images.reshape(len(images), -1))
    order = np.lexsort((np.frombuffer(digests, dtype=">u8"), labels))  # by class, then by rank
    by_class = labels[order]
    place = np.arange(len(labels)) - np.searchsorted(by_class, by_class)  # of an image within its class
    wanted = np.broadcast_to(counts, int(labels.max()) + 1)
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[order] = place < wanted[by_class]
    return chosen


def tenth(labels: npt.NDArray[np.int64], most: int = 2000) -> npt.NDArray[np.int64]:
    """How many images of each class to hold out of data without a split of its own. labels: [N]; returns [K].

    A tenth of each class, or the same smaller share of all where that would pass `most` images; at least one.
    """
    sizes = np.bincount(labels)
    whole = max(10 * most, len(labels))
    return np.maximum(1, sizes * most // whole)


def parts_of(given: Iterable[str]) -> tuple[str, ...]:
    """The parts that images of the parts `given` are divided into: all three, or test images alone."""
    return ("test",) if set(given) == {"test"} else PARTS


def divided(
    name: str,
    images: Mapping[str, npt.NDArray[np.uint8]],
    labels: Mapping[str, npt.NDArray[np.int64]],
    classes: tuple[str, ...],
) -> tuple[dict[str, Chosen], list[str]]:
    """Where the training, held-out and test images are to be taken from, and what is to be said of it.

    Args:
        name: The data's, for errors.
        images: By part, [N, ...]: "whole" alone, "train" and "test" with or without "held_out", or "test" alone.
        labels: By part, [N], each in 0..K-1.
        classes: K names.

    Returns:
        Of "whole" a fifth of each class is for testing and a tenth held out; of "train" a tenth is held out where there
        are no held-out images (`tenth`). All else stays as it is.

    Raises:
        CktatError: A class has too few images for that.
    """
    if parts_of(images) == ("test",):
        return {"test": ("test", None)}, []
    source = WHOLE if WHOLE in images else "train"
    least = 3 if source == WHOLE else 1 if "held_out" in images else 2
    sizes = np.bincount(labels[source], minlength=len(classes))
    if (short := np.flatnonzero(sizes < least)).size:
        why = {1: "", 2: " (one to hold out; or give held-out images)", 3: " (one for each part)"}[least]
        raise CktatError(
            f"data {name!r}: class {classes[short[0]]!r} (label {short[0]}) has {sizes[short[0]]} "
            f"{'' if source == WHOLE else 'training '}images, it needs at least {least}{why}"
        )
    said = [
        f"no {CALLED[part]} image is of class {classes[k]!r}"
        for part in images
        for k in np.flatnonzero(np.bincount(labels[part], minlength=len(classes)) == 0)
    ]
    rows: dict[str, Chosen] = {part: (part, None) for part in PARTS if part in images}
    if "held_out" in images:
        return rows, said
    if source == WHOLE:
        for_test = np.maximum(1, sizes // 5)
        test = lowest_ranked(images[source], labels[source], for_test)
        held_out = lowest_ranked(images[source], labels[source], for_test + tenth(labels[source])) & ~test
        rows = {"train": (source, ~(test | held_out)), "held_out": (source, held_out), "test": (source, test)}
        said.append(
            f"divided by the content of the images, class by class: {int((~(test | held_out)).sum()):,} for training, "
            f"{int(held_out.sum()):,} held out, {int(test.sum()):,} for testing"
        )
        return rows, said
    held_out = lowest_ranked(images[source], labels[source], tenth(labels[source]))
    rows |= {"train": (source, ~held_out), "held_out": (source, held_out)}
    return rows, said


def taken(arrays: Mapping[str, npt.NDArray[Any]], rows: Mapping[str, Chosen]) -> dict[str, npt.NDArray[Any]]:
    """The rows of the arrays, part by part; a copy only where not all are taken."""
    return {part: arrays[of] if chosen is None else arrays[of][chosen] for part, (of, chosen) in rows.items()}
