"""Checks of the accuracy itself: whether the network tells the classes apart at all."""

from __future__ import annotations

import math

from cktat.evaluation.doubts.finding import Finding, judged, not_checked
from cktat.evaluation.doubts.probe import FEWEST, Probe, percent, share
from cktat.evaluation.paired import mcnemar

BY_CHANCE = 0.01
"""What luck does less often than this is not taken for luck."""
OTHERS = 8
"""Fewer images than this, all right, could be no evidence: 2 * 2 ** -7 is above 0.01."""


def chance(probe: Probe) -> Finding:
    """The network tells the classes apart: it is right for more images than one answer to all would be. Doubted where it is
    not, by McNemar's exact test of the two at p < 0.01.

    The one answer is the most frequent class, right for 1 / K of the images or more. An accuracy that it reaches says
    nothing of a network, and no number under attack is worth more. A network that says one class only never passes; nor
    does one whose labels are in another order.
    """
    said, y = probe.said
    right, constant = said == y, y == y.bincount().argmax()
    others = int((~constant).sum())
    one_answer = bool((said == said[0]).all())
    if others < OTHERS and not (one_answer and others):
        return not_checked(f"Only {others} of {len(y)} images are not of the most frequent class; {OTHERS} are needed.")
    more, less = int((right & ~constant).sum()), int((constant & ~right).sum())
    p = mcnemar(more, less) if more > less else 1.0
    accuracy, by_one = share(int(right.sum()), len(y)), share(len(y) - others, len(y))
    uniform = 1 / probe.logits.shape[1]
    if p < BY_CHANCE:
        sentence = f"The accuracy, {percent(accuracy)}, is above that of one answer to all images, {percent(by_one)}."
    elif one_answer:
        sentence = (
            f"The network says class {int(said[0])} to all of {len(y)} images, and is right for {percent(accuracy)} of them: "
            f"that is no accuracy, with or without an attack."
        )
    elif accuracy < uniform - 3 * math.sqrt(uniform * (1 - uniform) / len(y)):
        sentence = (
            f"The accuracy, {percent(accuracy)}, is below chance, {percent(uniform)}: look for labels in another order than "
            f"the network's classes."
        )
    else:
        sentence = (
            f"The accuracy, {percent(accuracy)} of {len(y)} images, is not clearly above that of one answer to all, "
            f"{percent(by_one)}: this network tells nothing apart. Look at its training, its input and its labels."
        )
    return judged(p >= BY_CHANCE, sentence, BY_CHANCE, p=p, accuracy=accuracy, one_answer=by_one)


def per_class(probe: Probe) -> Finding:
    """Every class has right images. Doubted where a class has none, which at half of the network's accuracy would happen to
    a class of so many images by chance less than once in 100, all classes together.

    Such a class was never learnt, or its label is another's: the accuracy is then of other classes than it says.
    """
    said, y = probe.said
    if len(y) < FEWEST:
        return not_checked(f"There are only {len(y)} images; {FEWEST} are needed.")
    classes, accuracy = probe.logits.shape[1], share(int((said == y).sum()), len(y))
    images, right = y.bincount(minlength=classes), y[said == y].bincount(minlength=classes)
    at_zero = [(int(images[k]), int(k)) for k in ((right == 0) & (images > 0)).nonzero().flatten()]
    largest, worst = max(at_zero, default=(0, 0))
    luck = min(1.0, classes * (1 - accuracy / 2) ** largest)
    lowest = min(share(int(right[k]), int(images[k])) for k in range(classes) if images[k])
    doubted = luck < BY_CHANCE
    sentence = (
        f"None of the {largest} images of class {worst} is right, while {percent(accuracy)} of all are: the network never "
        f"learnt it, or its label is another's. Look at the labels, and report the accuracy per class."
        if doubted
        else f"No class is at 0 where it should not be; the lowest is at {percent(lowest)}."
    )
    return judged(doubted, sentence, BY_CHANCE, by_chance=luck, classes_at_0=len(at_zero), lowest=lowest)
