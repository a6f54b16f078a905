"""Ways to search the inner maximisation: many steps, more of them as training goes on, one, or no more than an image needs.

Sources: RS-FGSM, Wong, Rice and Kolter, "Fast is better than free", ICLR 2020; N-FGSM, de Jorge et al., NeurIPS 2022; a number
of steps that grows, Cai et al., IJCAI 2018; stopping where an image is wrong, Zhang et al., ICML 2020.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from cktat.attacks import Ball, ascend, ascend_packed, plain
from cktat.attacks.ascent import Objective, Packed
from cktat.errors import CktatError
from cktat.labels import Adversarial, Design, Moment
from cktat.schema import Threat

ALPHA = {"rs-fgsm": 1.25, "n-fgsm": 1.0}
"""Length of the one step, in radii, as its authors have it for CIFAR-10 at 8/255."""


def spread_of(threat: Threat) -> float | None:
    """The radius of the noise that a single step starts from, in radii of the ball; None for the views' own starts."""
    return {"pgd": None, "rs-fgsm": 1.0, "n-fgsm": threat.noise}[threat.inner]


def steps_at(threat: Threat, moment: Moment) -> int:
    """How many steps an attack makes at most. Those that grow do so by one after equal shares of the epochs."""
    if threat.inner != "pgd":
        return 1
    if threat.steps_from is None:
        return threat.steps
    stages = threat.steps - threat.steps_from + 1
    return min(threat.steps_from + stages * moment.epoch // moment.epochs, threat.steps)


def single_step(objective: Objective, x: Tensor, start: Tensor, threat: Threat, ball: Ball) -> Tensor:
    """The images that one step finds. n-fgsm leaves the ball: its noise and its step are inside the box alone."""
    alpha = ALPHA[threat.inner] * ball.eps if threat.alpha is None else threat.alpha
    if threat.inner == "n-fgsm":
        far = threat.noise * ball.eps + alpha
        if ball.norm == "Linf" and ball.box is not None:  # no ball is wider than the box
            far = min(far, ball.box[1] - ball.box[0])
        ball = replace(ball, eps=far)
    return ascend(objective, x, start, ball=ball, step=alpha, steps=1, direction=plain())


def search(
    objective: Objective, packed: Packed | None, x: Tensor, start: Tensor, threat: Threat, ball: Ball, moment: Moment
) -> tuple[Tensor, int]:
    """Where the inner maximisation around x [N, ...] ends, and how many passes forth and back it cost, image by image.

    packed: the objective where images may stop on their own, None where none does.
    """
    if threat.inner != "pgd":
        return single_step(objective, x, start, threat, ball), len(x)
    steps = steps_at(threat, moment)
    if packed is not None:
        return ascend_packed(packed, x, start, ball=ball, step=threat.step, steps=steps)
    found = ascend(objective, x, start, ball=ball, step=threat.step, steps=steps, direction=plain())
    return found, steps * len(x)


def require_stops(design: Design, threat: Threat) -> None:
    """Raises CktatError where images are to stop on their own and a view attacks in train mode, in which they never are."""
    if threat.stop_margin is None:
        return
    for view in design.views:
        if isinstance(view, Adversarial) and view.mode == "train":
            raise CktatError(
                f"design {design.name!r} attacks in train mode, in which an image's logits depend on the others of its "
                f"batch, so none can stop before them; leave stop_margin out"
            )
