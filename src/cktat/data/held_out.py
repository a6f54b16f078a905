"""Which training images are held out: decided by the pixels of an image, by nothing else.

An image's rank is a hash of its pixels, and the lowest ranks of each class are held out. So the choice depends on no
seed, no library version and no order of the images; and copies of an image, having one rank, stay together unless they
meet the last place of their class.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt


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
