"""Checks by what is not gradient ascent at eps: black box, noise, a ball of everything, another network's images."""

from __future__ import annotations

import math

import torch

from cktat.attacks import Ball, cross_entropy
from cktat.evaluation.doubts.effort import BOTH, CROSS_ENTROPY, MARGINS
from cktat.evaluation.doubts.finding import Finding, judged, not_checked
from cktat.evaluation.doubts.probe import SHORT, Probe, percent, share

MISSED = 0.02
FEW = 3
"""One or two images on the boundary fall to anything."""
BLACK_BOX = ("square",)
"""Attacks without gradients, where an evaluation has results of them."""


def black_box(probe: Probe) -> Finding:
    """No black-box attack breaks what white-box attacks left. Doubted from 2 % of the images (and 3).

    Whoever sees the gradient sees more than who does not, so a black box that finds more says that the gradient hides
    something (Athalye et al., ICML 2018; AutoAttack warns from 0.2 % after all of its attacks). The evaluation's own
    black-box result is taken if it is there; otherwise a random search of 200 queries.
    """
    white = [probe.results[name] for name in (*CROSS_ENTROPY, *MARGINS, *BOTH) if name in probe.results]
    black = [probe.results[name] for name in BLACK_BOX if name in probe.results]
    if white and black:
        left = torch.stack(white).all(dim=0)
        missed, images = int((left & ~torch.stack(black).all(dim=0)).sum()), len(left)
    else:
        missed, images = int(probe.by_black_box.sum()), probe.images
    return _missed(missed, images, "A black-box search")


def noise(probe: Probe) -> Finding:
    """Attacks break more than uniform noise in the same ball does. Doubted if 10 draws of noise break 2 % of the images
    (and 3) that the attacks left, or if the attacks leave images and break no more than noise does.
    """
    by_noise, by_attack = int(probe.by_noise.sum()), int(probe.broken.sum())
    missed = int((probe.by_noise & ~probe.broken).sum())
    useless = _too_many(by_noise, probe.images) and by_attack <= by_noise and by_attack < len(probe.broken)
    finding = _missed(missed, probe.images, "Random noise", by_noise=by_noise, by_attack=by_attack)
    if useless and finding.finding == "ok":
        sentence = (
            f"Attacks break {by_attack} of {probe.images} images and random noise {by_noise}: the attacks find nothing. "
            f"Look at the gradients."
        )
        return judged(True, sentence, MISSED, **finding.evidence)
    return finding


def large_eps(probe: Probe) -> Finding:
    """In a ball as large as the box PGD-20 from the image leaves no more than chance. Doubted above chance and 3
    deviations.

    Any image can be made any other there, so an attack that can move at all ends near 0. Chance is 1 / K, or the share of
    the most frequent class, as of a network that gives one answer to all. An image counts as broken at any iterate.
    """
    box = probe.ball.box
    if box is None:
        return not_checked("The data have no box that an eps could fill.")
    x, y = probe.aim
    width = box[1] - box[0]
    ball = Ball(width if probe.ball.norm == "Linf" else width * math.sqrt(x[0].numel()), box, probe.ball.norm)
    left = int((probe.course(x, y, cross_entropy, SHORT, ball=ball)[0] <= 0).all(dim=0).sum())
    chance = max(1 / probe.logits.shape[1], share(int(probe.y.bincount().max()), probe.images))
    accuracy, threshold = share(left, probe.images), chance + 3 * math.sqrt(chance * (1 - chance) / probe.images)
    sentence = (
        f"With eps {ball.eps:.3g}, which allows any image, PGD-{SHORT} leaves an accuracy of {percent(accuracy)}"
        + (": the attack cannot move. The gradients are masked." if accuracy > threshold else ".")
    )
    return judged(accuracy > threshold, sentence, threshold, accuracy=accuracy, chance=chance)


def transfer(probe: Probe) -> Finding:
    """Adversarial images of another network break nothing that white-box attacks left. Doubted from 2 % of the images
    (and 3): an attack that knows the network must do better than one that does not.
    """
    if probe.other is None:
        return not_checked("No other network was given to take adversarial images from.")
    x, y = probe.left
    if not len(y):
        return _missed(0, probe.images, "PGD on the other network")
    _, moved = probe.course(x, y, cross_entropy, SHORT, draws=probe.draws("transfer"), model=probe.other)
    return _missed(int((probe.margins(moved, y) > 0).sum()), probe.images, "PGD on the other network")


def _missed(missed: int, images: int, by: str, **evidence: float) -> Finding:
    part, doubted = share(missed, images), _too_many(missed, images)
    sentence = f"{by} breaks {missed} of {images} images that white-box attacks had left" + (
        ": the gradients mislead those attacks. Trust the lower number, and look for what masks the gradients."
        if doubted
        else "."
    )
    return judged(doubted, sentence, MISSED, missed=part, images=images, **evidence)


def _too_many(count: int, images: int) -> bool:
    return count >= FEW and count > MISSED * images
