"""Checks of the data: whether test images are new to the network, and their labels what it was taught."""

from __future__ import annotations

import math
from itertools import chain

from cktat.data import Split, ordered
from cktat.evaluation.doubts.finding import Finding, judged, not_checked
from cktat.evaluation.doubts.probe import FEWEST, Probe, percent, share

SHARED = 0.01
CONTRADICTED = 0.01
APART = 0.1
COUNTED = 1000
"""Images of a split on which accuracy is counted: one in a hundred can be seen on them."""
UNKNOWN = "It is not known what data set these images are of."
ALONE = "There are test images alone."


def shared_images(probe: Probe) -> Finding:
    """Test images are none of the training or held-out images, nor held-out images training images. Doubted from 1 % of a
    split.

    Equal is equal in every byte; what was shifted or compressed anew is not found. A shared test image is no test, and a
    shared held-out image chooses the weights that know it by heart.
    """
    if probe.data is None:
        return not_checked(UNKNOWN)
    if probe.data.only_tests:
        return not_checked(ALONE)
    train, held_out, test = probe.data.sums
    seen = set(train)
    among_training = share(sum(each in seen for each in held_out), len(held_out))
    seen |= set(held_out)
    of_test = share(sum(each in seen for each in test), len(test))
    most = max(of_test, among_training)
    sentence = (
        f"{percent(of_test)} of the test images are also training or held-out images, and {percent(among_training)} of the "
        f"held-out images training images"
        + (": accuracy on them is memory. Remove the copies, and train again." if most > SHARED else ".")
    )
    return judged(most > SHARED, sentence, SHARED, shared=most, test=of_test, held_out=among_training)


def two_labels(probe: Probe) -> Finding:
    """No image bears two labels, within a split or over splits. Doubted from 1 % of a split's images."""
    if probe.data is None:
        return not_checked(UNKNOWN)
    splits = (probe.data.train, probe.data.held_out, probe.data.test)
    sums, labels = probe.data.sums, [split.labels.tolist() for split in splits]
    first: dict[bytes, int] = {}
    both = {
        each for each, label in zip(chain(*sums), chain(*labels), strict=True) if first.setdefault(each, label) != label
    }
    shares = [share(sum(each in both for each in part), len(part)) for part in sums]
    most = max(shares)
    sentence = (
        f"{percent(shares[2])} of the test images bear another label elsewhere, {percent(shares[0])} of the training and "
        f"{percent(shares[1])} of the held-out images"
        + (": no network can be right about them. Look at how the labels were made." if most > CONTRADICTED else ".")
    )
    evidence = dict(zip(("training", "held_out", "test"), shares, strict=True))
    return judged(most > CONTRADICTED, sentence, CONTRADICTED, two_labels=most, **evidence)


def held_out_accuracy(probe: Probe) -> Finding:
    """Test images are as hard as held-out ones. Doubted where the two accuracies are 10 points and 3 deviations apart.

    Held-out images come from the training images and were not trained on, so both accuracies estimate one number unless
    test images or their labels are of another kind. An imported network may have been trained on the held-out images; then
    a lower accuracy on test images is to be expected, and nothing is checked.
    """
    if probe.data is None:
        return not_checked(UNKNOWN)
    if probe.data.only_tests:
        return not_checked(ALONE)
    said, y = probe.said
    split = _first(probe.data.held_out)
    if min(len(y), len(split)) < FEWEST:
        return not_checked(f"Too few images: {len(split)} held-out, {len(y)} test; {FEWEST} of each are needed.")
    right = sum(
        int((probe.answers(batch.x).argmax(dim=1) == batch.y).sum())
        for batch in ordered(split, probe.batch_size, levels=probe.data.levels, device=probe.x.device)
    )
    test, held_out = share(int((said == y).sum()), len(y)), share(right, len(split))
    if not probe.unseen and test <= held_out:
        return not_checked("An imported network may have been trained on the held-out images.")
    pooled = (right + int((said == y).sum())) / (len(split) + len(y))
    threshold = max(APART, 3 * math.sqrt(pooled * (1 - pooled) * (1 / len(split) + 1 / len(y))))
    apart = abs(test - held_out)
    sentence = f"{percent(held_out)} of held-out images are right, and {percent(test)} of test images" + (
        ": test images or their labels are of another kind. Look at the order of the labels, and at how images were made."
        if apart > threshold
        else "."
    )
    return judged(apart > threshold, sentence, threshold, apart=apart, held_out=held_out, test=test)


def _first(split: Split) -> Split:
    return split.first(min(COUNTED, len(split)))
