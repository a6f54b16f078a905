"""What somebody hands to a loss: networks, by the part that each plays in the design, and batches."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Collection, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from cktat.errors import CktatError, unknown
from cktat.labels import Design, Learner, Moment, Network, value
from cktat.training.team import cool, generation, load_weights

Modules = Mapping[str, nn.Module]
StartGiven = nn.Module | Modules | Literal[False] | None


def networks_of(
    design: Design, model: nn.Module | None, learners: Modules, teachers: Modules, start: StartGiven
) -> dict[Network, nn.Module]:
    """The learners and teachers of a design, from modules by letter; see `AdversarialLoss` for what each argument is.

    Raises CktatError for a network that is missing, one too many, or one that is no module.
    """
    modules = _learners(design, model, learners) | _teachers(design, teachers)
    _start(design, modules, start)
    return modules


def _learners(design: Design, model: nn.Module | None, given: Mapping[str, nn.Module]) -> dict[Network, nn.Module]:
    letters = [learner.letter for learner in design.learners]
    for letter in given:
        if letter not in letters:
            raise unknown(f"learner of design {design.name!r}", letter, letters)
    given = dict(given)
    if model is not None:
        if given:
            raise CktatError(f"give model= or learners=, not both; the learners are {', '.join(letters)}")
        given[min(design.learners, key=generation).letter] = model
    modules: dict[Network, nn.Module] = {}
    for learner in sorted(design.learners, key=generation):
        if learner.letter in given:
            module = given[learner.letter]
            if not isinstance(module, nn.Module):
                raise CktatError(f"learner {learner} must be an nn.Module, not a {type(module).__name__}")
        elif isinstance(learner.start, Learner):
            module = copy.deepcopy(modules[learner.start])
        else:
            wanted = "model=net" if len(letters) == 1 else f"learners={{{', '.join(f'{n!r}: net' for n in letters)}}}"
            raise CktatError(f"design {design.name!r} trains network {learner}; give {wanted}")
        if any(module is other for other in modules.values()):
            raise CktatError(f"learner {learner} is another learner's network; each needs its own")
        modules[learner] = module
    return {learner: modules[learner] for learner in design.learners}


def _teachers(design: Design, given: Mapping[str, nn.Module]) -> dict[Network, nn.Module]:
    letters = [teacher.letter for teacher in design.frozen]
    for letter in given:
        if letter not in letters:
            raise unknown(f"teacher of design {design.name!r}", letter, letters or ["(none)"])
    modules: dict[Network, nn.Module] = {}
    for teacher in design.frozen:
        if teacher.letter not in given:
            of = teacher.of if isinstance(teacher.of, str) else teacher.of.name
            raise CktatError(
                f"design {design.name!r} needs teacher {teacher}, a network that design {of!r} trains; give "
                f"teachers={{{teacher.letter!r}: net}}"
            )
        if not isinstance(given[teacher.letter], nn.Module):
            kind = type(given[teacher.letter]).__name__
            raise CktatError(f"teacher {teacher} must be an nn.Module, not a {kind}")
        modules[teacher] = given[teacher.letter]
    return modules


def _start(
    design: Design,
    modules: Mapping[Network, nn.Module],
    start: StartGiven,
) -> None:
    """Gives learners the weights that the design has them start with."""
    wanting = [one for one in design.learners if one.start is not None and not isinstance(one.start, Learner)]
    if start is False:
        return
    if start is None:
        for learner in wanting:
            of = learner.start if isinstance(learner.start, str) else getattr(learner.start, "name", "another")
            warnings.warn(
                f"design {design.name!r} starts {learner} from the network of design {of!r}, and {learner} was taken as it is; "
                f"give start=net to copy that network's weights, or start=False where {learner} has its weights already",
                stacklevel=3,
            )
        return
    given = start if isinstance(start, Mapping) else {learner.letter: start for learner in wanting}
    for letter in given:
        if letter not in [learner.letter for learner in wanting]:
            raise unknown(
                f"learner with a start in design {design.name!r}", letter, [n.letter for n in wanting] or ["(none)"]
            )
    if not wanting:
        raise CktatError(f"design {design.name!r} starts no learner from another network; leave start= out")
    for learner in wanting:
        if learner.letter not in given:
            raise CktatError(f"start= names no network for learner {learner}")
        load_weights(modules[learner], given[learner.letter].state_dict(), f"the start of {learner}")
        cool(modules[learner], value(learner.start_tau, Moment()))
    for learner in sorted(design.learners, key=generation):
        if isinstance(learner.start, Learner):
            load_weights(modules[learner], modules[learner.start].state_dict(), f"the start of {learner}")


def check_batch(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Images in float32 or better and labels as int64 on their device. Raises CktatError for what is neither."""
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.dim() < 2:
        what = f"{x.dtype} {list(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise CktatError(f"x must be floating images [N, C, H, W], not {what}")
    if not isinstance(y, Tensor) or y.dim() != 1 or y.is_floating_point() or len(y) != len(x):
        what = f"{y.dtype} {list(y.shape)}" if isinstance(y, Tensor) else type(y).__name__
        raise CktatError(f"y must be the class numbers [{len(x)}] of these images, not {what}")
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x, y.to(x.device, torch.int64)


def check_values(pixels: Tensor, y: Tensor, box: tuple[float, float] | None) -> None:
    """Raises CktatError for pixels that are plainly of another range than the box, and for a negative label."""
    if box is not None:
        low, high = float(pixels.min()), float(pixels.max())
        slack = 0.01 * (box[1] - box[0])
        if not box[0] - slack <= low <= high <= box[1] + slack:
            raise CktatError(
                f"pixels go from {low:.3g} to {high:.3g}, out of the box {list(box)}; if they are normalised, give mean= and "
                f"std=; else box= for another range, or box=None for data without bounds"
            )
    if int(y.min()) < 0:
        raise CktatError(f"a label is {int(y.min())}; class numbers begin at 0")


def moment_at(progress: float, epochs: int | None, step: int, design: Design, needs: Collection[str]) -> Moment:
    """Where a training of `epochs` stands at `progress`. needs: the fields of it that the design or its attack looks at.

    Raises CktatError for what is no share, and where epochs are needed and unknown.
    """
    if not (isinstance(progress, int | float) and 0 <= progress <= 1):
        raise CktatError(f"progress must be a number from 0 to 1, not {progress!r}")
    if {"epoch", "epochs"}.intersection(needs) and epochs is None:
        raise CktatError(f"design {design.name!r} counts epochs; give AdversarialLoss(..., epochs=...)")
    epochs = epochs or 1
    # the end of the last epoch belongs to it; and 29 / 120 * 120 is a little below 29
    epoch = min(math.floor(progress * epochs + 1e-9), epochs - 1)
    return Moment(float(progress), epoch, epochs, step)


def warn_of_unfollowed(design: Design, losses: int) -> None:
    """Says that the averages of a design stand still."""
    warnings.warn(
        f"{losses} losses of design {design.name!r} without loss.follow(): its averages stand still; call it "
        f"after every step of the optimiser",
        stacklevel=4,
    )
