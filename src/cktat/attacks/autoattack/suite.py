"""AutoAttack: several attacks in turn, each on the images that are left (Croce and Hein, ICML 2020); and each alone.

Source: fra31/auto-attack, autoattack/autoattack.py, run_standard_evaluation and set_version ("standard", "plus", "rand").
`exact` has its batches and draws: the same images fall, to the same attacks. `packed` has the same draws, but spends no model
call on an image that is broken: flags are equal up to the rounding of a batch of another size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, SupportsFloat, SupportsIndex, get_args

import torch
from torch import Tensor

from cktat.attacks.attack import check_batch, check_names, whole
from cktat.attacks.autoattack.apgd import Apgd, Loss
from cktat.attacks.autoattack.campaign import Campaign, CampaignEntry, Mode, Outcome, Standing
from cktat.attacks.autoattack.fab import Fab
from cktat.attacks.autoattack.search import Search
from cktat.attacks.autoattack.square import Square
from cktat.attacks.ball import Ball, Norm, NormLike, norm_of
from cktat.attacks.network import Model, weights_of
from cktat.errors import CktatError, unknown
from cktat.numeric import as_number

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


Version = Literal["standard", "plus", "rand"]
VERSIONS: dict[str, str] = {"standard": "aa", "plus": "aa-plus", "rand": "aa-rand"}
"""AutoAttack's versions by the names of their authors' package, and the suites here."""


def autoattack(
    model: Model,
    x: Tensor,
    y: Tensor,
    eps: SupportsFloat,
    *,
    norm: NormLike = "Linf",
    version: Version | None = None,
    attacks: Sequence[str] | None = None,
    mode: Mode = "exact",
    batch_size: SupportsIndex = 250,
    seed: SupportsIndex = 0,
    quick: Model | None = None,
    done: Sequence[CampaignEntry] = (),
    keep: Callable[[CampaignEntry], None] = lambda entry: None,
    watch: Callable[[Standing], None] = lambda standing: None,
) -> Outcome:
    """AutoAttack: each attack in turn, on the images that are left.

    With fewer than ten classes fewer are aimed at; with three, the targeted loss is divided by z_(1) - z_(3), with two no DLR
    loss is divided. Batches are moved to the model's device.

    Source: Croce and Hein, Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks,
    ICML 2020; fra31/auto-attack.

    Args:
        model: Images [N, C, H, W] -> logits [N, K], or an object with them as `.logits`; weights in float32.
        x: Images [N, C, H, W] of a float type, in [0, 1]; they are attacked in float32.
        y: Labels [N] of any integer type.
        eps: Radius as a fraction of the pixel range, such as 8 / 255.
        norm: "Linf" or "L2"; also math.inf or 2.
        version: "standard", "plus", or "rand" for randomised networks. None is "standard", unless `attacks` are given.
        attacks: Names in SEARCHES, in their order, in place of a version's.
        mode: "exact" has its authors' batches and draws; "packed" spends nothing on an image that is broken.
        batch_size: Images per model call.
        seed: Of all draws.
        quick: A network with the same logits up to rounding that the searches ask; an image falls where the model itself is
            wrong, too.
        done: Entries of an earlier call with the same arguments, for going on after a stop.
        keep: What takes the entries of this call.
        watch: Hears how far it is, about twice a second.

    Returns:
        The outcome: `robust` [N], `x_adv` [N, C, H, W], `broken_by`, `accuracy`.

    Raises:
        CktatError: for images, labels, a radius, an option or a model that make no sense.

    >>> model = torch.nn.Flatten()  # the logits are the pixels
    >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
    >>> outcome = autoattack(model, x, y, 0.25, attacks=["apgd-ce"])
    >>> outcome.accuracy, outcome.broken_by
    (0.0, ('apgd-ce',))
    """
    names = _chosen(version, attacks)
    if mode not in get_args(Mode):
        raise unknown("mode of AutoAttack", mode, get_args(Mode))
    ball, x, y = _checked(model, x, y, eps, norm)
    searches = [SEARCHES[name](ball.eps, ball.norm) for name in names]
    size = whole(batch_size, "AutoAttack's batch size")
    campaign = Campaign(
        model, x, y, batch_size=size, seed=seed, mode=mode, quick=quick, done=done, keep=keep, watch=watch
    )  # fmt: skip
    return campaign.run(searches)


def apgd(
    model: Model,
    x: Tensor,
    y: Tensor,
    eps: SupportsFloat,
    *,
    steps: SupportsIndex = 100,
    loss: Loss = "ce",
    norm: NormLike = "Linf",
    restarts: SupportsIndex = 1,
    eot: SupportsIndex = 1,
    seed: SupportsIndex = 0,
) -> Tensor:
    """Auto-PGD: ascent whose step halves where it stops paying.

    Source: Croce and Hein, ICML 2020 (AutoAttack).

    Args:
        model: Images [N, C, H, W] -> logits [N, K], or an object with them as `.logits`; weights in float32.
        x: Images [N, C, H, W] of a float type, in [0, 1]; they are attacked in float32.
        y: Labels [N] of any integer type.
        eps: Radius as a fraction of the pixel range, such as 8 / 255.
        steps: Gradients per start.
        loss: "ce", "dlr", or "dlr-targeted" at up to nine classes in turn.
        norm: "Linf" or "L2"; also math.inf or 2.
        restarts: Starts in all, later ones on what is left.
        eot: Passes whose mean gradient is followed, for a randomised network.
        seed: Of the starts.

    Returns:
        Images of x's shape: adversarial ones, and x itself where none was found.

    Raises:
        CktatError: for images, labels, a radius, an option or a model that make no sense.

    >>> model = torch.nn.Flatten()  # the logits are the pixels
    >>> x, y = torch.full((1, 1, 1, 2), 0.5), torch.tensor([0])
    >>> apgd(model, x, y, 0.25).flatten().tolist()
    [0.25, 0.75]
    """
    ball, x, y = _checked(model, x, y, eps, norm)
    counts = {"restarts": whole(restarts, "restarts"), "eot": whole(eot, "eot")}
    return _alone(Apgd(ball.eps, whole(steps, "steps"), loss, ball.norm, **counts), model, x, y, seed)


def fab(
    model: Model,
    x: Tensor,
    y: Tensor,
    eps: SupportsFloat,
    *,
    steps: SupportsIndex = 100,
    norm: NormLike = "Linf",
    targeted: bool = True,
    restarts: SupportsIndex = 1,
    seed: SupportsIndex = 0,
) -> Tensor:
    """FAB: the nearest point that is misclassified, found along the borders of the classes.

    Source: Croce and Hein, Minimally distorted adversarial examples with a fast adaptive boundary attack, ICML 2020.

    Args:
        model: Images [N, C, H, W] -> logits [N, K], or an object with them as `.logits`; weights in float32.
        x: Images [N, C, H, W] of a float type, in [0, 1]; they are attacked in float32.
        y: Labels [N] of any integer type.
        eps: Radius as a fraction of the pixel range, such as 8 / 255.
        steps: Moves per start.
        norm: "Linf" or "L2"; also math.inf or 2.
        targeted: True aims at up to nine classes in turn, False at the one that seems nearest at each step.
        restarts: Starts in all; the first is the image itself, later ones are drawn, for what is left.
        seed: Of the later starts.

    Returns:
        Images of x's shape: adversarial ones within eps, and x itself where none was found.

    Raises:
        CktatError: for images, labels, a radius, an option or a model that make no sense.

    >>> model = torch.nn.Flatten()  # the logits are the pixels
    >>> x, y = torch.tensor([[[[0.6, 0.4]]]]), torch.tensor([0])
    >>> found = fab(model, x, y, 0.25)
    >>> bool(model(found).argmax() == 1), bool((found - x).abs().max() < 0.25)
    (True, True)
    """
    ball, x, y = _checked(model, x, y, eps, norm)
    search = Fab(ball.eps, whole(steps, "steps"), ball.norm, targeted=targeted, restarts=whole(restarts, "restarts"))
    return _alone(search, model, x, y, seed)


def square(
    model: Model,
    x: Tensor,
    y: Tensor,
    eps: SupportsFloat,
    *,
    queries: SupportsIndex = 5000,
    norm: NormLike = "Linf",
    seed: SupportsIndex = 0,
) -> Tensor:
    """The Square Attack, which sees nothing of the model but its logits.

    Source: Andriushchenko et al., Square Attack: a query-efficient black-box adversarial attack via random search, ECCV 2020.

    Args:
        model: Images [N, C, H, W] -> logits [N, K], or an object with them as `.logits`; weights in float32.
        x: Images [N, C, H, W] of a float type, in [0, 1]; they are attacked in float32.
        y: Labels [N] of any integer type.
        eps: Radius as a fraction of the pixel range, such as 8 / 255.
        queries: Passes per image.
        norm: "Linf" or "L2"; also math.inf or 2.
        seed: Of the search.

    Returns:
        Images of x's shape: adversarial ones, and x itself where none was found.

    Raises:
        CktatError: for images, labels, a radius, an option or a model that make no sense.

    >>> model = torch.nn.Flatten()  # the logits are the pixels
    >>> x, y = torch.tensor([[[[0.6, 0.4]]]]), torch.tensor([0])
    >>> found = square(model, x, y, 0.25, queries=100)
    >>> bool(model(found).argmax() == 1)
    True
    """
    ball, x, y = _checked(model, x, y, eps, norm)
    return _alone(Square(ball.eps, whole(queries, "queries"), ball.norm), model, x, y, seed)


def _chosen(version: str | None, attacks: Sequence[str] | None) -> Sequence[str]:
    """The names of the searches that are asked for."""
    if version is not None and attacks is not None:
        raise CktatError("AutoAttack takes a version or attacks, not both; a version is a choice of attacks")
    if attacks is None:
        version = "standard" if version is None else version
        if version not in list(VERSIONS):
            raise unknown("version of AutoAttack", version, VERSIONS, "or name the attacks=[...] yourself")
        return SUITES[VERSIONS[version]]
    check_names(attacks, "AutoAttack's attacks")
    if not attacks:
        raise CktatError("AutoAttack takes at least one attack; without any, no image would fall")
    for name in attacks:
        if name not in SEARCHES:
            raise unknown("attack of AutoAttack", name, SEARCHES)
    return attacks


def _alone(search: Search[Any], model: Model, x: Tensor, y: Tensor, seed: SupportsIndex) -> Tensor:
    return Campaign(model, x, y, batch_size=len(x), seed=seed).run([search]).x_adv.to(x.device)


def _checked(model: Model, x: Tensor, y: Tensor, eps: SupportsFloat, norm: NormLike) -> tuple[Ball, Tensor, Tensor]:
    ball = Ball(as_number(eps), (0.0, 1.0), norm_of(norm))
    x, y = check_batch(x, y, ball.box)
    if x.dim() != 4:
        raise CktatError(f"AutoAttack's images are [N, C, H, W], not {list(x.shape)}")
    other = {str(w.dtype) for w in weights_of(model) if w.is_floating_point() and w.dtype != torch.float32}
    if other:  # as its authors' does
        raise CktatError(f"AutoAttack computes in float32, and the model is of {', '.join(other)}; call model.float()")
    return ball, x, y
