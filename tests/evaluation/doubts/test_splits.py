"""Checks of the data, on both sides of their thresholds, from splits made by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cktat.data import Dataset, Split
from cktat.evaluation import examine
from cktat.evaluation.doubts import splits

CLASSES = 4


def numbered(first: int, count: int) -> Tensor:
    """So many different images of 1 x 2 x 2 pixels: the digits of their numbers from `first` on."""
    numbers = torch.arange(first, first + count)
    return torch.stack([numbers // 256**place % 256 for place in range(4)], dim=1).view(-1, 1, 2, 2).to(torch.uint8)


def labels(count: int) -> Tensor:
    return torch.arange(count) % CLASSES


def dataset(train: Tensor, held_out: Tensor, test: Tensor, y_test: Tensor | None = None) -> Dataset:
    parts = [Split(images, labels(len(images))) for images in (train, held_out, test)]
    if y_test is not None:
        parts[2] = Split(test, y_test)
    return Dataset("made", *parts, tuple("abcd"), 255, (0.5,), (0.25,), (0.0, 1.0), 0.1, "none")


def replaced(images: Tensor, copies: Tensor) -> Tensor:
    return torch.cat([copies, images[len(copies) :]])


@pytest.mark.parametrize(("copies", "finding"), [(0, "ok"), (2, "ok"), (3, "doubt")])
@pytest.mark.parametrize("of", ["training", "held-out"])
def test_test_images_that_are_known(of: str, copies: int, finding: str, probe) -> None:
    train, held_out, test = numbered(0, 200), numbered(1000, 200), numbered(2000, 200)
    data = dataset(train, held_out, replaced(test, {"training": train, "held-out": held_out}[of][:copies]))
    found = splits.shared_images(probe(data=data))
    assert (found.finding, found.evidence) == (finding, {"shared": copies / 200, "test": copies / 200, "held_out": 0})


@pytest.mark.parametrize(("copies", "finding"), [(2, "ok"), (3, "doubt")])
def test_held_out_images_that_are_trained_on(copies: int, finding: str, probe) -> None:
    train, held_out = numbered(0, 400), numbered(1000, 200)
    found = splits.shared_images(probe(data=dataset(train, replaced(held_out, train[:copies]), numbered(2000, 200))))
    assert (found.finding, found.evidence) == (finding, {"shared": copies / 200, "test": 0, "held_out": copies / 200})


@pytest.mark.parametrize(("copies", "finding"), [(2, "ok"), (3, "doubt")])
def test_images_with_two_labels(copies: int, finding: str, probe) -> None:
    """The test image is the training image of the same number, whose label is another; or it occurs twice in the test."""
    train, held_out, test = numbered(0, 400), numbered(1000, 200), numbered(2000, 200)
    data = dataset(train, held_out, replaced(test, train[1 : copies + 1]))
    found = splits.two_labels(probe(data=data))
    shares = {"two_labels": copies / 200, "training": copies / 400, "held_out": 0, "test": copies / 200}
    assert (found.finding, found.evidence) == (finding, shares)
    same = splits.two_labels(probe(data=dataset(train, held_out, replaced(test, train[:copies]))))
    assert same.finding == "ok" and same.evidence["two_labels"] == 0, "shared with one label is the other check's"


def test_an_image_twice_in_one_split_with_two_labels(probe) -> None:
    test = numbered(2000, 200)
    test[1:4] = test[0]
    found = splits.two_labels(probe(data=dataset(numbered(0, 400), numbered(1000, 200), test)))
    assert found.finding == "doubt" and found.evidence["test"] == 4 / 200


def answering(probe, right: int, data: Dataset, **known):
    """A probe of a network that is right for all held-out images and for `right` of 1000 test images."""
    y = labels(1000)
    said = torch.where(torch.arange(1000) < right, y, (y + 1) % CLASSES)
    made = probe(data=data, said=(said, y), **known)
    object.__setattr__(made, "model", lambda x: torch.eye(CLASSES)[(255 * x[:, 0, 0, 0]).round().long() % CLASSES])
    return made


@pytest.mark.parametrize(("right", "finding"), [(900, "ok"), (899, "doubt"), (0, "doubt")])
def test_held_out_against_test_accuracy(right: int, finding: str, probe) -> None:
    data = dataset(numbered(0, 40), numbered(0, 1000), numbered(1, 1000))
    found = splits.held_out_accuracy(answering(probe, right, data))
    assert (found.finding, found.threshold) == (finding, 0.1 if right else found.threshold)
    assert found.evidence == {"apart": round(1 - right / 1000, 6), "held_out": 1, "test": right / 1000}


def test_few_held_out_images_must_be_three_deviations_apart(probe) -> None:
    """20 held-out images, all right, and 86 % of 1000: 14 points, but 3 deviations are 23 points."""
    data = dataset(numbered(0, 40), numbered(0, 20), numbered(1, 1000))
    found = splits.held_out_accuracy(answering(probe, 860, data))
    pooled = 880 / 1020
    assert found.finding == "ok"
    assert found.threshold == pytest.approx(3 * (pooled * (1 - pooled) * (1 / 20 + 1 / 1000)) ** 0.5, rel=1e-3)
    few = dataset(numbered(0, 40), numbered(0, 9), numbered(1, 1000))
    assert splits.held_out_accuracy(answering(probe, 860, few)).finding == "not checked"


def test_an_imported_network_may_know_the_held_out_images(probe) -> None:
    data = dataset(numbered(0, 40), numbered(0, 1000), numbered(1, 1000))
    made = answering(probe, 800, data)
    object.__setattr__(made, "unseen", False)
    assert "may have been trained on the held-out images" in splits.held_out_accuracy(made).sentence
    object.__setattr__(made, "model", lambda x: torch.eye(CLASSES)[torch.zeros(len(x), dtype=torch.int64)])
    assert splits.held_out_accuracy(made).finding == "doubt", "but not worse on them than on test images"


@pytest.mark.parametrize("check", [splits.shared_images, splits.two_labels, splits.held_out_accuracy])
def test_without_a_data_set_nothing_is_known(check, probe) -> None:
    assert check(probe()).finding == "not checked"


def test_all_test_images_among_the_training_images_and_labels_in_another_order() -> None:
    """Both are found by `examine`, on a network that knows its training images by heart."""
    images = numbered(0, 40)

    def knows(x: Tensor) -> Tensor:
        return 4 * torch.eye(CLASSES)[(255 * x[:, 0, 0, 0]).round().long() % CLASSES] + 0 * x.sum()

    x = images.float() / 255
    for y, doubts in (
        (labels(40), {"shared images"}),
        ((labels(40) + 1) % CLASSES, {"shared images", "two labels", "chance"}),
    ):
        data = dataset(images, numbered(400, 40), images, y)
        verdict = examine(knows, x, y, eps=0.0, data=data)
        assert doubts <= {found.check for found in verdict.doubts}
        assert verdict.state == "doubts"
    assert "held out accuracy" in {found.check for found in verdict.doubts}
