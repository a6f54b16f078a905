"""The held-out images are decided by pixels alone."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cktat.data.held_out import lowest_ranked, tenth

IMAGES = np.random.default_rng(1).integers(0, 256, (60, 2, 3), dtype=np.uint8)
LABELS = np.arange(60, dtype=np.int64) % 4


def test_is_the_rule_that_is_stated() -> None:
    chosen = lowest_ranked(IMAGES, LABELS, 5)
    for k in range(4):
        members = [i for i in range(60) if LABELS[i] == k]
        members.sort(key=lambda i: hashlib.blake2b(IMAGES[i].tobytes(), digest_size=8).digest())
        assert {i for i in members if chosen[i]} == set(members[:5])


@given(st.permutations(range(60)))
def test_the_order_of_images_does_not_matter(order: list[int]) -> None:
    assert np.array_equal(lowest_ranked(IMAGES[order], LABELS[order], 5), lowest_ranked(IMAGES, LABELS, 5)[order])


@given(st.lists(st.integers(0, 15), min_size=4, max_size=4))
def test_counts_of_each_class(counts: list[int]) -> None:
    chosen = lowest_ranked(IMAGES, LABELS, counts)
    assert np.bincount(LABELS[chosen], minlength=4).tolist() == counts
    fewer = lowest_ranked(IMAGES, LABELS, [max(0, c - 1) for c in counts])
    assert not (fewer & ~chosen).any()  # a larger choice holds every smaller one


def test_equal_images_have_equal_ranks() -> None:
    twice = np.concatenate([IMAGES, IMAGES])
    chosen = lowest_ranked(twice, np.tile(LABELS, 2), 10)
    assert np.array_equal(chosen[:60], chosen[60:])


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([10, 10], [1, 1]),
        ([2, 3, 100], [1, 1, 10]),  # at least one of each class
        ([20_000, 1_000], [1904, 95]),  # at most 2,000: 21,000 images at 2/21
        ([10_000, 10_000], [1000, 1000]),
        ([25_000, 25_000], [1000, 1000]),
    ],
)
def test_tenth(sizes: list[int], expected: list[int]) -> None:
    assert tenth(np.repeat(np.arange(len(sizes)), sizes)).tolist() == expected
