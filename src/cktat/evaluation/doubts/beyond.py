"""Checks by what is not gradient ascent at eps: black box, noise, a ball of everything, another network's images."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cktat.attacks import Ball, cross_entropy, margin
from cktat.evaluation.doubts.effort import CROSS_ENTROPY, MARGINS
from cktat.evaluation.doubts.finding import Finding, judged, not_checked
from cktat.evaluation.doubts.probe import SHORT, Probe, percent, share

MISSED = 0.02
FEW = 3
"""One or two images on the boundary fall to anything."""
QUERIES = 200
DRAWS = 10
BLACK_BOX = ("square",)
"""Attacks without gradients, where an evaluation has results of them."""


def black_box(probe: Probe) -> Finding:
    """No black-box attack breaks what white-box attacks left. Doubted from 2 % of the images (and 3).

    Whoever sees the gradient sees more than who does not, so a black box that finds more says that the gradient hides
    something (Athalye et al., ICML 2018; AutoAttack warns from 0.2 % after all of its attacks). The evaluation's own
    black-box result is taken if it is there; otherwise a random search of 200 queries.
    """
    white = [probe.results[name] for name in (*CROSS_ENTROPY, *MARGINS) if name in probe.results]
    black = [probe.results[name] for name in BLACK_BOX if name in probe.results]
    if white and black:
        left = torch.stack(white).all(dim=0)
        missed, images = int((left & ~torch.stack(black).all(dim=0)).sum()), len(left)
    else:
        x, y = probe.left
        found = [probe.margins(random_search(probe, *part), part[1]) for part in probe.parts(x, y)] if len(y) else []
        missed, images = sum(int((each > 0).sum()) for each in found), probe.images
    return _missed(missed, images, "A black-box search")


def noise(probe: Probe) -> Finding:
    """Attacks break more than uniform noise in the same ball does. Doubted if 10 draws of noise break 2 % of the images
    (and 3) that the attacks left, or if the attacks leave images and break no more than noise does.
    """
    x, y = probe.aim
    draws, broken = probe.draws("noise"), torch.zeros_like(probe.broken)
    for _draw in range(DRAWS):
        broken |= probe.margins(probe.ball.uniform(x, draws), y) > 0
    by_noise, by_attack = int(broken.sum()), int(probe.broken.sum())
    missed = int((broken & ~probe.broken).sum())
    useless = _too_many(by_noise, probe.images) and by_attack <= by_noise and by_attack < len(y)
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


def random_search(probe: Probe, x: Tensor, y: Tensor) -> Tensor:
    """Images of random search on the margin: squares of random signs in the L_inf ball (in L2, projected), kept where they
    help; a small relative of Square (Andriushchenko et al., ECCV 2020)."""
    ball, draws = probe.ball, probe.draws("black box")
    height, width = x.shape[-2:]
    rows, columns = torch.arange(height).view(-1, 1), torch.arange(width)

    def signs(*shape: int) -> Tensor:
        return (2 * torch.randint(0, 2, shape, generator=draws) - 1).to(x)

    best = ball.project(x + 2 * ball.eps * signs(len(x), x.shape[1], 1, width), x)  # stripes, as Square begins
    value = probe.margins(best, y)
    for query in range(QUERIES):
        todo = (value <= 0).nonzero().flatten()
        if not len(todo):
            break
        n, size = len(todo), max(1, round(0.6 * (1 - query / QUERIES) * min(height, width)))
        top = torch.randint(0, height - size + 1, (n, 1, 1, 1), generator=draws)
        left = torch.randint(0, width - size + 1, (n, 1, 1, 1), generator=draws)
        inside = (rows >= top) & (rows < top + size) & (columns >= left) & (columns < left + size)
        changed = x[todo] + 2 * ball.eps * signs(n, x.shape[1], 1, 1)
        tried = ball.project(torch.where(inside.to(x.device), changed, best[todo]), x[todo])
        found = margin(probe.answers(tried), y[todo])
        better = found > value[todo]
        best[todo[better]], value[todo[better]] = tried[better], found[better]
    return best


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
