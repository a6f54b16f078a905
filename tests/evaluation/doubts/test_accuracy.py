"""Checks of the accuracy, on both sides of their thresholds, from answers made by hand."""

from __future__ import annotations

import pytest
import torch

from cktat.evaluation.doubts import accuracy


def found(check, said: list[int], y: list[int], probe, classes: int = 10):
    """What a check finds where a network of so many classes says `said` of images of classes `y`."""
    known = (torch.tensor(said), torch.tensor(y))
    return check(probe(said=known, logits=torch.zeros(len(y), classes)))


@pytest.mark.parametrize(("right", "finding"), [(7, "doubt"), (8, "ok")])
def test_the_accuracy_of_one_answer_is_none(right: int, finding: str, probe) -> None:
    """90 of 100 images are of class 0; the network is right for these and for so many of the others.

    McNemar's exact p of 7 against 0 is 2 / 128, above 0.01; of 8 against 0 it is 2 / 256, below it.
    """
    y = [0] * 90 + [1] * 10
    made = found(accuracy.chance, [0] * 90 + [1] * right + [0] * (10 - right), y, probe)
    assert made.finding == finding
    assert made.evidence["p"] == pytest.approx(2 / 2**right, rel=1e-3)
    assert made.evidence["accuracy"] == (90 + right) / 100 and made.evidence["one_answer"] == 0.9


def test_a_network_that_says_one_class_never_passes(probe) -> None:
    for k, share in ((0, "90"), (1, "10"), (2, "0")):
        made = found(accuracy.chance, [k] * 100, [0] * 90 + [1] * 10, probe)
        assert (
            made.finding == "doubt" and f"class {k} to all of 100 images, and is right for {share} %" in made.sentence
        )
    assert found(accuracy.chance, [0] * 100, [0] * 99 + [1], probe).finding == "doubt", "one other image is enough"


def test_labels_in_another_order_are_below_chance(probe) -> None:
    y = [k for k in range(10) for _ in range(20)]
    made = found(accuracy.chance, [(k + 1) % 10 for k in y], y, probe)
    assert made.finding == "doubt" and "below chance, 10 %: look for labels in another order" in made.sentence
    near = found(accuracy.chance, [k if i % 10 == 0 else (k + 1) % 10 for i, k in enumerate(y)], y, probe)
    assert near.finding == "doubt" and "tells nothing apart" in near.sentence and near.evidence["accuracy"] == 0.1


@pytest.mark.parametrize(("others", "finding"), [(7, "not checked"), (8, "ok")])
def test_where_nearly_all_images_are_of_one_class_nothing_can_be_said(others: int, finding: str, probe) -> None:
    y = [0] * 50 + [1] * others
    assert found(accuracy.chance, y, y, probe).finding == finding


@pytest.mark.parametrize(("images", "finding"), [(11, "ok"), (12, "doubt")])
def test_a_class_that_is_never_right(images: int, finding: str, probe) -> None:
    """A class of n images at half of an accuracy of 90 % has none right with probability 0.55 ^ n (here times 10)."""
    y = [k for k in range(10) for _ in range(images)]
    said = [8 if k == 9 else k for k in y]
    made = found(accuracy.per_class, said, y, probe)
    by_chance = 10 * 0.55**images
    assert made.evidence == {"by_chance": float(f"{by_chance:.4g}"), "classes_at_0": 1, "lowest": 0}
    assert (made.finding, by_chance < 0.01) == (finding, finding == "doubt")
    assert (f"None of the {images} images of class 9" in made.sentence) == (finding == "doubt")
    assert found(accuracy.per_class, y, y, probe).evidence == {"by_chance": 1, "classes_at_0": 0, "lowest": 1}


def test_a_class_without_images_is_at_no_accuracy(probe) -> None:
    y = [0, 1] * 50
    made = found(accuracy.per_class, y, y, probe)
    assert made.finding == "ok" and made.evidence["lowest"] == 1


@pytest.mark.parametrize(("images", "finding"), [(9, "not checked"), (10, "ok")])
def test_few_images_are_an_anecdote(images: int, finding: str, probe) -> None:
    y = [k % 2 for k in range(images)]
    assert found(accuracy.per_class, y, y, probe).finding == finding
