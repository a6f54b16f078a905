"""AutoAttack: several attacks in turn, each on the images that are left (Croce and Hein, ICML 2020); and each alone.

Source: fra31/auto-attack, autoattack/autoattack.py, run_standard_evaluation and set_version ("standard", "plus", "rand").
`exact` has its batches and draws: the same images fall, to the same attacks. `packed` has the same draws, but spends no model
call on an image that is broken: flags are equal up to the rounding of a batch of another size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

import torch
from torch import Tensor

from cktat.attacks.attack import check_batch, check_names
from cktat.attacks.autoattack.apgd import Apgd, Loss
from cktat.attacks.autoattack.campaign import Campaign, CampaignEntry, Mode, Outcome, Standing
from cktat.attacks.autoattack.fab import Fab
from cktat.attacks.autoattack.search import Search
from cktat.attacks.autoattack.square import Square
from cktat.attacks.ball import Ball, Norm
from cktat.attacks.network import Model
from cktat.errors import CktatError, unknown

SEARCHES: dict[str, Callable[[float, Norm], Search[Any]]] = {
    "apgd-ce": lambda eps, norm: Apgd(eps, loss="ce", norm=norm),
    "apgd-dlr": lambda eps, norm: Apgd(eps, loss="dlr", norm=norm),
    "apgd-t": lambda eps, norm: Apgd(eps, loss="dlr-targeted", norm=norm),
    "fab-t": lambda eps, norm: Fab(eps, norm=norm),
    "square": lambda eps, norm: Square(eps, norm=norm),
    "apgd-ce-x5": lambda eps, norm: Apgd(eps, loss="ce", norm=norm, restarts=5),
    "apgd-dlr-x5": lambda eps, norm: Apgd(eps, loss="dlr", norm=norm, restarts=5),
    "fab-x5": lambda eps, norm: Fab(eps, norm=norm, targeted=False, restarts=5),
    "apgd-ce-eot20": lambda eps, norm: Apgd(eps, loss="ce", norm=norm, eot=20),
    "apgd-dlr-eot20": lambda eps, norm: Apgd(eps, loss="dlr", norm=norm, eot=20),
}
"""x5: five starts. eot20: the mean gradient of 20 passes. Their authors call them apgd-ce, apgd-dlr and fab all the same."""

SUITES: dict[str, tuple[str, ...]] = {
    "aa": ("apgd-ce", "apgd-t", "fab-t", "square"),
    "aa-fast": ("apgd-ce", "apgd-t"),
    "aa-plus": ("apgd-ce-x5", "apgd-dlr-x5", "fab-x5", "square", "apgd-t", "fab-t"),
    "aa-rand": ("apgd-ce-eot20", "apgd-dlr-eot20"),
} | {name: (name,) for name in SEARCHES}
"""AutoAttack's standard version; a screening by its first two attacks, which is not AutoAttack; its versions "plus" and "rand",
the latter for randomised networks; each attack alone."""

SCREENING = (
    "aa-fast is a screening by the first two of AutoAttack's four attacks (APGD-CE, APGD-T); it is not AutoAttack"
)
"""What is said wherever a number of `aa-fast` is shown."""


def autoattack(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    norm: Norm = "Linf",
    attacks: Sequence[str] = SUITES["aa"],
    mode: Mode = "exact",
    batch_size: int = 250,
    seed: int = 0,
    quick: Model | None = None,
    done: Sequence[CampaignEntry] = (),
    keep: Callable[[CampaignEntry], None] = lambda entry: None,
    watch: Callable[[Standing], None] = lambda standing: None,
) -> Outcome:
    """Attacks images x [N, C, H, W] in [0, 1] with labels y [N] by each of `attacks` in turn.

    With fewer than ten classes fewer are aimed at; with three, the targeted loss is divided by z_(1) - z_(3), with two no DLR
    loss is divided. Batches are moved to the model's device. quick: a network with the same logits up to rounding that the
    searches ask; an image falls where the model itself is wrong, too. done, keep: entries of an earlier call with the same
    arguments, and what takes those of this one, for going on after a stop. watch: hears how far it is.

    Raises CktatError for images, labels, a radius or a model that make no sense, and for an unknown attack.
    """
    check_names(attacks, "AutoAttack's attacks")
    for name in attacks:
        if name not in SEARCHES:
            raise unknown("attack of AutoAttack", name, SEARCHES)
    if mode not in get_args(Mode):
        raise unknown("mode of AutoAttack", mode, get_args(Mode))
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise CktatError(f"AutoAttack's batch size must be a whole number of 1 or more, not {batch_size!r}")
    searches = [SEARCHES[name](eps, norm) for name in attacks]
    x, y = _checked(model, x, y, eps, norm)
    campaign = Campaign(
        model, x, y, batch_size=batch_size, seed=seed, mode=mode, quick=quick, done=done, keep=keep, watch=watch
    )  # fmt: skip
    return campaign.run(searches)


def apgd(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    steps: int = 100,
    loss: Loss = "ce",
    norm: Norm = "Linf",
    restarts: int = 1,
    eot: int = 1,
    seed: int = 0,
) -> Tensor:
    """Auto-PGD. loss: "ce", "dlr", or "dlr-targeted" at up to nine classes in turn. restarts: starts in all, later ones on what
    is left. eot: passes whose mean gradient is followed, for a randomised network.

    Returns images of x's shape [N, C, H, W]: adversarial ones, and x itself where none was found.
    """
    steps, restarts, eot = _count(steps, "steps"), _count(restarts, "restarts"), _count(eot, "eot")
    return _alone(Apgd(eps, steps, loss, norm, restarts=restarts, eot=eot), model, x, y, eps, norm, seed)


def fab(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    steps: int = 100,
    norm: Norm = "Linf",
    targeted: bool = True,
    restarts: int = 1,
    seed: int = 0,
) -> Tensor:
    """FAB, at up to nine classes in turn or, not targeted, at the one that seems nearest at each step. restarts: starts in all;
    the first is the image itself, later ones are drawn, for what is left.

    Returns images of x's shape [N, C, H, W]: adversarial ones within eps, and x itself where none was found.
    """
    steps, restarts = _count(steps, "steps"), _count(restarts, "restarts")
    return _alone(Fab(eps, steps, norm, targeted=targeted, restarts=restarts), model, x, y, eps, norm, seed)


def square(
    model: Model, x: Tensor, y: Tensor, *, eps: float, queries: int = 5000, norm: Norm = "Linf", seed: int = 0
) -> Tensor:
    """The Square Attack, which sees nothing of the model but its logits.

    Returns images of x's shape [N, C, H, W]: adversarial ones, and x itself where none was found.
    """
    return _alone(Square(eps, _count(queries, "queries"), norm), model, x, y, eps, norm, seed)


def _alone(search: Search[Any], model: Model, x: Tensor, y: Tensor, eps: float, norm: Norm, seed: int) -> Tensor:
    x, y = _checked(model, x, y, eps, norm)
    return Campaign(model, x, y, batch_size=len(x), seed=seed).run([search]).x_adv.to(x.device)


def _checked(model: Model, x: Tensor, y: Tensor, eps: float, norm: Norm) -> tuple[Tensor, Tensor]:
    Ball(eps, (0.0, 1.0), norm)
    x, y = check_batch(x, y, (0.0, 1.0))
    if x.dim() != 4:
        raise CktatError(f"AutoAttack's images are [N, C, H, W], not {list(x.shape)}")
    weights = getattr(model, "parameters", lambda: iter(()))()
    other = {str(w.dtype) for w in weights if w.is_floating_point() and w.dtype != torch.float32}
    if other:  # as its authors' does
        raise CktatError(f"AutoAttack computes in float32, and the model is of {', '.join(other)}; call model.float()")
    return x, y


def _count(number: int, what: str) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise CktatError(f"{what} must be a whole number of 1 or more, not {number!r}")
    return number
