"""The digits in the package are the ones that UCI and scikit-learn have, split once and for all."""

import numpy as np
import pytest
import torch

from cktat.data import load

DIGITS = load("digits")
SPLITS = (DIGITS.train, DIGITS.held_out, DIGITS.test)


def test_sizes_and_facts() -> None:
    assert [len(s) for s in SPLITS] == [1097, 200, 500]
    assert (DIGITS.channels, DIGITS.size, DIGITS.levels, DIGITS.box) == (1, (8, 8), 16, (0.0, 1.0))
    assert DIGITS.classes == tuple("0123456789")
    assert (DIGITS.eps, DIGITS.augment) == (0.15, "none")


def test_held_out_and_test_are_balanced() -> None:
    assert torch.bincount(DIGITS.held_out.labels).tolist() == [20] * 10
    assert torch.bincount(DIGITS.test.labels).tolist() == [50] * 10


def test_splits_share_no_image() -> None:
    images = [{bytes(image.numpy().tobytes()) for image in split.images} for split in SPLITS]
    assert len(set.union(*images)) == sum(map(len, images)) == 1797


def test_mean_and_deviation_are_those_of_the_training_images() -> None:
    x = DIGITS.train.images.double() / 16
    assert DIGITS.mean == pytest.approx((x.mean().item(),), abs=1e-12)
    assert DIGITS.std == pytest.approx((x.std(correction=0).item(),), abs=1e-12)


def test_content_never_changes() -> None:
    # Results are filed under this; a change would orphan them.
    assert DIGITS.fingerprint == "3325a372d89cb1c84ceee19af3d465aa4432f3216c103ee6c9934543cd40f411"


def test_is_what_scikit_learn_has() -> None:
    sklearn = pytest.importorskip(
        "sklearn.datasets", reason="scikit-learn is not installed: digits not compared with it"
    )
    theirs = sklearn.load_digits()
    key = lambda image, label: (image.astype(np.uint8).tobytes(), int(label))  # noqa: E731
    ours = {key(i.numpy(), y) for s in SPLITS for i, y in zip(s.images, s.labels, strict=True)}
    assert ours == {key(i, y) for i, y in zip(theirs.images, theirs.target, strict=True)}
    # and in its order, so that the first training images are the first ones there, but for those set aside
    first = [key(i, y) for i, y in zip(theirs.images, theirs.target, strict=True)]
    places = [first.index(key(i.numpy(), y)) for i, y in zip(DIGITS.train.images, DIGITS.train.labels, strict=True)]
    assert places == sorted(places)
