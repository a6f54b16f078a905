"""Checks of the gradients that first-order attacks follow."""

from __future__ import annotations

import torch
from torch import Tensor

from cktat.attacks import cross_entropy, margin
from cktat.evaluation.doubts.finding import Finding, judged, not_checked
from cktat.evaluation.doubts.probe import FEWEST, Probe, percent, share

VANISHING = 0.05
FALLING = 0.1
MOST = 0.5
AGREEING = 2 / 3
FACTOR = 10.0


def zero_gradients(probe: Probe) -> Finding:
    """The margin has a gradient at the images. Doubted where it vanishes for more than 5 % of them and a search without
    gradients breaks more than 1 in 10 of those that white-box attacks left, or where it vanishes for more than half.

    Vanishing is below fp32's smallest normal number at every pixel. The margin is taken because no softmax can hide its
    gradient. A certified network, or one with saturated units, is flat at some images and right all around them: there
    random search and noise find nothing either. Behind a rounding layer they do. Where half of the images are flat, the
    attacks that follow gradients have measured too little for a short search to make up for.
    """
    dead = _vanishes(probe.gradients(margin))
    vanished = share(int(dead.sum()), len(dead))
    if vanished <= VANISHING:
        sentence = f"The margin's gradient vanishes at {percent(vanished)} of the images."
        return judged(False, sentence, VANISHING, vanishing=vanished)
    left = dead & ~probe.broken
    found, standing = int(((probe.by_black_box | probe.by_noise) & left).sum()), int(left.sum())
    falling = share(found, standing)
    sentence = f"The margin's gradient vanishes at {percent(vanished)} of the images, where attacks on it stand still. "
    if falling > FALLING or vanished > MOST:
        sentence += (
            f"Searches without gradients break {found} of the {standing} that these attacks left. Look for rounding, argmax or "
            f"a detach; attack a smooth stand-in of that layer (BPDA), or by black-box."
        )
    else:
        sentence += (
            f"Searches without gradients break {found} of the {standing} that these attacks left, too: they are flat."
        )
    evidence = {"vanishing": vanished, "falling": falling, "dead_and_left": standing}
    return judged(falling > FALLING or vanished > MOST, sentence, VANISHING, **evidence)


def saturated_softmax(probe: Probe) -> Finding:
    """The cross-entropy has a gradient where the margin has one. Doubted where it vanishes for more than 5 %.

    In fp32 it underflows where the margin of the logits passes some 90 to 100: networks trained
    without tricks stay far below, and logits times 2000 are past it everywhere.
    """
    gone = _vanishes(probe.gradients(cross_entropy)) & ~_vanishes(probe.gradients(margin))
    vanished = share(int(gone.sum()), len(probe.aim[1]))
    confident = float(-probe.margins(*probe.aim).median())
    sentence = (
        f"The cross-entropy's gradient underflows at {percent(vanished)} of the images because the softmax is saturated "
        f"(median margin {confident:.3g}): PGD on it stands still. Divide the logits, or attack the margin or DLR."
        if vanished > VANISHING
        else f"The cross-entropy's gradient underflows at {percent(vanished)} of the images."
    )
    return judged(vanished > VANISHING, sentence, VANISHING, vanishing=vanished, median_margin=confident)


def finite_differences(probe: Probe) -> Finding:
    """A step along the gradient does what the gradient says. Doubted where it does for fewer than 2 of 3 images.

    The margin is compared between x + h and x - h, h a step of PGD (eps / 4) along the gradient, inside the box; it has to
    rise by a tenth to ten times of what the gradient promises. Curvature alone costs an honest network less than that, and
    a useless gradient rises by chance for half of the images at most.
    """
    x, y = probe.aim
    gradient = probe.gradients(margin)
    step = probe.ball.eps / 4 * probe.ball.steepest(gradient)
    up, down = probe.ball.project(x + step, x), probe.ball.project(x - step, x)
    promised = (gradient * (up - down)).flatten(1).sum(dim=1)
    kept = (probe.margins(up, y) - probe.margins(down, y)) / promised
    kept = kept[torch.isfinite(kept) & ~_vanishes(gradient)]
    if len(kept) < FEWEST:
        return not_checked("Too few images have a gradient.")
    agreeing = float(((kept > 1 / FACTOR) & (kept < FACTOR)).float().mean())
    sentence = (
        f"A step along the gradient changes the margin as the gradient says for only {percent(agreeing)} of the images: it "
        f"is not the slope of this network. Look for rounding, noise or hand-written gradients; attack by black-box."
        if agreeing < AGREEING
        else f"A step along the gradient changes the margin as the gradient says for {percent(agreeing)} of the images."
    )
    ratio = float(kept.median())
    return judged(agreeing < AGREEING, sentence, AGREEING, agreeing=agreeing, median_ratio=ratio, images=len(kept))


def _vanishes(gradient: Tensor) -> Tensor:
    return gradient.abs().flatten(1).amax(dim=1) < torch.finfo(torch.float32).tiny
