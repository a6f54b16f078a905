"""Temperature and share of a soft label, chosen on held-out images before training (Dong et al., NeurIPS 2022).

The authors' calibration: a grid over the temperature T and the share s, and the point with the least negative
log-likelihood of s softmax(z / T) + (1 - s) softmax(z_last / T) on held-out images, where z are the teacher's logits and
z_last those of its overfitted last checkpoint. The last checkpoint stands in for the hard label, whose likelihood on the
images it labels would be perfect.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cktat.attacks import Ball, ascend, attacked, plain
from cktat.data import Split, ordered
from cktat.errors import CktatError
from cktat.labels import Adversarial, Calibrated, Design, Frozen, Output, View
from cktat.labels.walk import walk
from cktat.schema import Threat
from cktat.seeds import generator

TEMPERATURES = torch.linspace(math.log(0.2), math.log(16.0), 100, dtype=torch.float64).exp()
SHARES = torch.linspace(0.01, 1.0, 100, dtype=torch.float64)


def tempered_teacher(design: Design) -> tuple[Frozen, View]:
    """The frozen network whose temperature `tau` the design leaves open, and the view its label looks at.

    Raises CktatError where there is none, or where something else than `tau` and `share` is open.
    """
    for name in design.open:
        if name not in ("tau", "share"):
            raise CktatError(f"design {design.name!r} leaves {name!r} open, which nothing calibrates; give it a number")
    for part in walk(tuple(t.label for t in design.live), into=lambda part: not isinstance(part, Design)):
        if isinstance(part, Output) and isinstance(part.network, Frozen) and isinstance(part.tau, Calibrated):
            return part.network, part.view
    raise CktatError(
        f"design {design.name!r} leaves {', '.join(design.open)} open, but no frozen teacher is tempered by it; give it a "
        f"number, or leave a frozen teacher's temperature open, too"
    )


def best_point(logits: Tensor, last: Tensor, y: Tensor, *, shared: bool) -> tuple[float, float]:
    """(T, s) on the grid with the least negative log-likelihood; s is 1 unless `shared`. logits, last [N, K], y [N].

    Source: the authors' calibration script, NLL(T, s) = -mean log(s p_y + (1 - s) q_y + 1e-8).
    """
    shares = (SHARES if shared else torch.ones(1, dtype=torch.float64)).to(logits.device)
    best = (math.inf, 1.0, 1.0)
    index = y.unsqueeze(1)
    for temperature in TEMPERATURES.tolist():
        p, q = ((z.double() / temperature).softmax(dim=1).gather(1, index) for z in (logits, last))  # [N, 1]
        losses = -(shares * p + (1 - shares) * q + 1e-8).log().mean(dim=0)  # [shares]
        losses = losses.round(
            decimals=9
        )  # where the two networks are one, all shares are as good: rounding must not choose
        least = int(losses.argmin())
        best = min(best, (float(losses[least]), temperature, float(shares[least])))
    return best[1], best[2]


def calibrate(
    design: Design,
    teacher: nn.Module,
    last: nn.Module,
    held_out: Split,
    *,
    levels: int,
    threat: Threat,
    ball: Ball,
    batch_size: int,
    seed: int,
) -> dict[str, float]:
    """Values for what the design leaves open, from its teacher's logits on the view that its soft label looks at.

    On x', the images are adversarial examples against the teacher, and both networks see the same ones.
    """
    _, view = tempered_teacher(design)
    draws = generator(seed, "calibrate")
    logits, lasts = [], []
    with attacked(teacher, last):
        for batch in ordered(held_out, batch_size, levels=levels, device=next(teacher.parameters()).device):
            x, y = batch.x, batch.y
            if isinstance(view, Adversarial):

                def objective(images: Tensor, y: Tensor = y) -> Tensor:
                    return nn.functional.cross_entropy(teacher(images), y, reduction="none")

                start = ball.uniform(x, draws)
                x = ascend(objective, x, start, ball=ball, step=threat.step, steps=threat.steps, direction=plain())
            with torch.no_grad():
                logits.append(teacher(x))
                lasts.append(last(x))
    point = best_point(
        torch.cat(logits), torch.cat(lasts), held_out.labels.to(logits[0].device), shared="share" in design.open
    )
    return {name: value for name, value in zip(("tau", "share"), point, strict=True) if name in design.open}
