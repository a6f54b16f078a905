"""Checks that the attack was strong enough: steps, restarts, objective."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from cktat.attacks import SUITES
from cktat.evaluation.doubts.finding import Finding, judged, not_checked
from cktat.evaluation.doubts.probe import RESTARTS, SHORT, STEPS, TARGETS, Probe, percent, share

RISING = 0.1
STRONGER = 0.05
LUCK = 0.1
OBJECTIVES = 0.1
FEW = 7
"""Fewer images in favour of one attack and none of the other happen by chance more often than once in 100 (2 ** -7)."""
BEYOND = 0.1
CLEARLY = 0.03
SOME = 3
"""Images that only the stronger attack breaks: no chance is in them, but one or two lie on the boundary of anything."""

CROSS_ENTROPY = ("fgsm", "pgd10", "pgd20", "pgd100", "mim", "mim10", "apgd-ce", "apgd-ce-x5", "apgd-ce-eot20")
MARGINS = ("cw", "apgd-dlr", "apgd-dlr-x5", "apgd-dlr-eot20", "apgd-t", "fab", "fab-x5", "fab-t")
BOTH = ("aa-fast", "aa-rand")
"""Attacks by what they follow, where an evaluation has results of them; all see the gradient."""


def still_rising(probe: Probe) -> Finding:
    """PGD has arrived after 100 steps. Doubted where 10 % of the images are still on their way.

    On its way is an image that is not broken yet and would be, if its best margin went on for another 100 steps as in the
    last 25. Some images always lie just before the boundary; one in ten says that steps are too few or too short.
    """
    best = probe.by_cross_entropy.cummax(dim=0).values
    rise = best[-1] - best[-1 - STEPS // 4]
    coming = (best[-1] <= 0) & (best[-1] + 4 * rise > 0)
    part = share(int(coming.sum()), probe.images)
    sentence = (
        f"After {STEPS} steps {percent(part)} of the images are still on their way to the boundary: more or longer steps "
        f"would break them. Use more steps."
        if part > RISING
        else f"After {STEPS} steps {percent(part)} of the images are still on their way to the boundary."
    )
    return judged(part > RISING, sentence, RISING, on_their_way=part, images=probe.images)


def more_steps(probe: Probe) -> Finding:
    """PGD-100 breaks hardly more than PGD-20. Doubted from 5 points of accuracy (and 7 images) more.

    Honest networks lose about 1 point. Taken from the evaluation's results if both are there.
    """
    if {"pgd20", "pgd100"} <= probe.results.keys():
        short, long = (int((~probe.results[name]).sum()) for name in ("pgd20", "pgd100"))
        images = len(probe.results["pgd20"])
    else:
        short, long = (int((probe.by_cross_entropy[step] > 0).sum()) for step in (SHORT, STEPS))
        images = probe.images
    doubted, gap = _more(long - short, images, STRONGER)
    sentence = f"PGD-{STEPS} breaks {percent(max(gap, 0))} of {images} images more than PGD-{SHORT}" + (
        f": {SHORT} steps are too few here, and {STEPS} may be. Report the stronger, and try more." if doubted else "."
    )
    return judged(doubted, sentence, STRONGER, gap=gap, broken_by_20=short, broken_by_100=long, images=images)


def restarts(probe: Probe) -> Finding:
    """Other starts find hardly more than the first. Doubted from 10 % of the images (and 7) that only a later start breaks.

    Robust networks lose about 1 point to several restarts, undefended ones on 128 images up to 6; randomised networks and
    loss surfaces in shreds lose tens.
    """
    more = int(probe.by_restarts.sum())
    doubted, part = _more(more, probe.images, LUCK)
    sentence = f"{RESTARTS} more starts of PGD-{SHORT} break {percent(part)} of the images that the first did not" + (
        ": the outcome depends on luck. Use restarts, and an attack by black-box." if doubted else "."
    )
    return judged(doubted, sentence, LUCK, only_by_restarts=part, images=probe.images)


def other_objective(probe: Probe) -> Finding:
    """An attack on the margin breaks hardly more than one on the cross-entropy. Doubted from 10 points (and 7 images).

    Honest networks lose 1 to 5 points to the margin, those with labels softened or samples weighted the most; a masked
    softmax loses tens. Taken from the evaluation's results if it has attacks of both kinds, the worst case over each.
    """
    by_entropy, by_margin = (_broken(probe, names) for names in (CROSS_ENTROPY, MARGINS))
    if by_entropy is None or by_margin is None:
        by_entropy, by_margin = probe.by_cross_entropy[-1] > 0, probe.by_margin[-1] > 0
        images = probe.images
    else:
        images = len(by_entropy)
    entropy, margins = int(by_entropy.sum()), int(by_margin.sum())
    doubted, gap = _more(margins - entropy, images, OBJECTIVES)
    sentence = (
        f"Attacks on the margin break {percent(max(gap, 0))} of {images} images more than those on the cross-entropy"
        + (": the cross-entropy misleads here. Report the margin's or AutoAttack's number." if doubted else ".")
    )
    return judged(
        doubted, sentence, OBJECTIVES, gap=gap, broken_by_cross_entropy=entropy, broken_by_margin=margins, images=images
    )


def targeted(probe: Probe) -> Finding:
    """An attack that aims at the likeliest wrong classes breaks hardly more than the usual ones. Doubted where it breaks
    more than 10 % of the images that PGD-100 and the same ascent on the margin both left, and 3 % of all (and 3).

    It is what APGD-T adds in AutoAttack, in short.
    """
    found, left = int(probe.by_targets.sum()), int((~probe.by_usual).sum())
    part, doubted = _beyond(found, left, probe.images)
    sentence = (
        f"An attack aimed at the {TARGETS} likeliest wrong classes breaks {found} of the {left} images that PGD-{STEPS} and "
        f"the same attack on the margin left"
        + (": these say too much. Report AutoAttack's number (`aa`)." if doubted else ".")
    )
    return judged(doubted, sentence, BEYOND, of_left=part, of_all=share(found, probe.images), images=probe.images)


def stronger_attacks(probe: Probe) -> Finding:
    """The evaluation's AutoAttack, or a part of it, breaks hardly more than its FGSM, PGD, MIM and CW. Doubted where it
    breaks more than 10 % of the images that all of these left, and 3 % of all (and 3).

    Both are worst cases over the evaluation's results. Robust networks lose a few points of fifty.
    """
    usual = _broken(probe, [name for name in probe.results if name not in SUITES])
    strong = _broken(probe, [name for name in probe.results if name in SUITES])
    if usual is None or strong is None:
        return not_checked("The evaluation has no results of both the usual attacks and AutoAttack or a part of it.")
    found, left, images = int((strong & ~usual).sum()), int((~usual).sum()), len(usual)
    part, doubted = _beyond(found, left, images)
    names = ", ".join(name for name in probe.results if name in SUITES)
    sentence = f"{names} breaks {found} of the {left} of {images} images that the usual attacks left" + (
        ": their numbers say too much. Report the worst case." if doubted else "."
    )
    return judged(doubted, sentence, BEYOND, of_left=part, of_all=share(found, images), images=images)


def _beyond(found: int, left: int, images: int) -> tuple[float, bool]:
    """The share of the images left that only a stronger attack breaks, and whether it is too large.

    Of those left, because 5 points of 80 are what honest networks lose, and 5 of 25 are not; and of all, because where
    attacks leave next to nothing, nothing is said too much.
    """
    part = share(found, left)
    return part, found >= SOME and part > BEYOND and found > CLEARLY * images


def _broken(probe: Probe, names: Iterable[str]) -> Tensor | None:
    """Images [N] that any of these attacks broke, where there are results of them."""
    there = [~probe.results[name] for name in names if name in probe.results]
    return torch.stack(there).any(dim=0) if there else None


def _more(count: int, images: int, threshold: float) -> tuple[bool, float]:
    """Whether so many images more are too many, and their share."""
    return count >= FEW and count > threshold * images, share(count, images)
