"""All checks on one network."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain

import torch
from torch import Tensor

from cktat.attacks import Ball, Box, Model, Norm, attacked, check_batch, modules_of
from cktat.data import Dataset
from cktat.errors import CktatError
from cktat.evaluation.doubts import accuracy, answers, beyond, effort, gradients, splits
from cktat.evaluation.doubts.finding import Finding, Verdict, not_checked
from cktat.evaluation.doubts.probe import Probe
from cktat.evaluation.measure import true_fp32
from cktat.seeds import derive

IMAGES = 128
"""Enough that 2 % are 3 images; all checks then cost 5 % of the passes of PGD-100 on 10,000, or less."""

Check = Callable[[Probe], Finding]
OF_ANSWERS: tuple[Check, ...] = (answers.logits, answers.deterministic, accuracy.chance, accuracy.per_class)
OF_DATA: tuple[Check, ...] = (splits.shared_images, splits.two_labels, splits.held_out_accuracy)
OF_ATTACKS: tuple[Check, ...] = (
    gradients.zero_gradients, gradients.saturated_softmax, gradients.finite_differences,
    effort.still_rising, effort.more_steps, effort.restarts, effort.other_objective, effort.targeted,
    effort.stronger_attacks, beyond.black_box, beyond.noise, beyond.large_eps, beyond.transfer,
)  # fmt: skip
OPTIONAL: tuple[Check, ...] = (*OF_DATA, effort.stronger_attacks, beyond.large_eps, beyond.transfer)
"""Checks that need more than a network and images, so that a verdict stands without them: the data set, AutoAttack's
results, a box, another network. All others must be made before anybody says "no doubts"."""


def names() -> list[str]:
    """The checks in their order."""
    return [*map(_name, (*OF_ANSWERS, *OF_DATA, *OF_ATTACKS)), _name(answers.state)]


def examine(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    norm: Norm = "Linf",
    box: Box | None = (0.0, 1.0),
    results: Mapping[str, Tensor | Sequence[bool]] = {},
    other: Model | None = None,
    data: Dataset | None = None,
    unseen: bool = True,
    seed: int = 0,
    images: int = IMAGES,
    batch_size: int = 250,
) -> Verdict:
    """Whether numbers of this network under attack can be believed, from the first `images` of x [N, C, H, W] with labels
    y [N]; its accuracy is counted on the first 1,000.

    model: images to logits [N, K]; examined in eval mode and fp32, left as it was. results: flags by attack of an
    evaluation, True where an image stayed right, all of the same images (of any number); checks that compare attacks take
    them where they can. other: a network whose adversarial images are tried on this one. data: the data set whose test
    images x are, for the checks of its splits; unseen: whether the network was not trained on its held-out images. Random
    numbers of the network itself are seeded, and the global generator stays where it was.

    Raises CktatError for images, labels, radii or answers of the model that make no sense.
    """
    started = time.perf_counter()
    x, y = check_batch(x, y, box)
    if isinstance(images, bool) or not isinstance(images, int) or images < 1:
        raise CktatError(f"cannot examine {images!r} images; give a whole number of 1 or more")
    flags = {name: torch.as_tensor(found, dtype=torch.bool).cpu() for name, found in results.items()}
    if len({found.shape for found in flags.values()}) > 1:
        raise CktatError("results of several attacks must be flags of the same images")
    training = sum(getattr(part, "training", False) for part in modules_of(model))
    before = _state(model)
    counted = x[: splits.COUNTED].float().detach(), y[: splits.COUNTED]
    x, y = x[:images].float().detach(), y[:images]
    probe = Probe(model, x, y, Ball(eps, box, norm), flags, other, seed, batch_size, counted, data, unseen)
    with true_fp32(), attacked(model, *([other] if other is not None else [])), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive(seed, "doubts"))
        findings = [_named(check, check(probe)) for check in (*OF_ANSWERS, *OF_DATA)]
        reason = probe.unattackable
        findings += [_named(check, not_checked(reason) if reason else check(probe)) for check in OF_ATTACKS]
        altered = sum(name not in before or not torch.equal(before[name], now) for name, now in _state(model).items())
        findings.append(_named(answers.state, answers.state(probe, training, altered)))
    ball = {"norm": norm, "eps": eps, "box": None if box is None else list(box)}
    protocol = ball | {"images": len(x), "seed": seed, "results": sums(flags), "transfer": other is not None}
    return Verdict(tuple(findings), protocol, round(time.perf_counter() - started, 3))


def sums(results: Mapping[str, Tensor]) -> dict[str, str]:
    """Of the flags of every result a short sum, in the order of their names: which results a verdict has read."""
    return {name: hashlib.sha256(bytes(results[name].tolist())).hexdigest()[:12] for name in sorted(results)}


def _state(model: Model) -> dict[tuple[int, str], Tensor]:
    return {
        (number, name): tensor.detach().clone()
        for number, part in enumerate(modules_of(model))
        for name, tensor in chain(part.named_parameters(recurse=False), part.named_buffers(recurse=False))
    }


def _named(check: Callable[..., Finding], finding: Finding) -> Finding:
    return replace(finding, check=_name(check), essential=check not in OPTIONAL)


def _name(check: Callable[..., Finding]) -> str:
    return check.__name__.replace("_", " ")
