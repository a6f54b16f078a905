"""What a network costs, and whether it is a classifier at all: both are seen on one eval-mode forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from cktat.errors import CktatError
from cktat.usercode import FAILURES, said


@dataclass(frozen=True)
class Cost:
    """`parameters`: how many numbers can be trained. `flops`: of one forward pass of one image, two per multiply-add
    (convolutions and matrix products only, which is what PyTorch counts)."""

    parameters: int
    flops: int


def cost(model: nn.Module, shape: Sequence[int]) -> Cost:
    """The cost of `model` on images of `shape` (C, H, W); of a model on the meta device nothing is computed.

    Example:
        >>> from cktat.models import build
        >>> cost(build("small", classes=10, channels=1, mean=[0.5], std=[0.25]), (1, 8, 8)).parameters
        174970
    """
    from torch.utils.flop_counter import FlopCounterMode  # slow to import, and few commands count

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        _probe(model, 1, shape)
    return Cost(sum(p.numel() for p in model.parameters()), counter.get_total_flops())


def check(model: nn.Module, shape: Sequence[int], classes: int, *, to_train: bool = False) -> None:
    """Raises CktatError unless `model` maps images (C, H, W) = `shape` to finite floating logits [N, classes], and `to_train`,
    which depend on a weight.

    The model keeps its mode and its buffers.
    """
    with torch.enable_grad():
        logits = _probe(model, 2, shape)
    logits = require_logits(logits, 2, classes)
    if to_train and not logits.requires_grad:
        raise CktatError(
            f"{_wanted(classes)} that depend on a weight; nothing can be trained (no weights, or detach or no_grad inside?)"
        )


def require_logits(logits: object, images: int, classes: int) -> Tensor:
    """`logits` if they are finite floating logits [images, classes]. Raises CktatError otherwise."""
    wanted = _wanted(classes)
    if not isinstance(logits, Tensor):
        raise CktatError(f"{wanted}, not a {type(logits).__name__}")
    if not logits.is_floating_point():
        raise CktatError(f"{wanted}, not {logits.dtype}")
    if logits.shape != (images, classes):
        raise CktatError(f"{wanted}; for {images} images it returned {list(logits.shape)}")
    if not logits.isfinite().all():
        raise CktatError(f"{wanted} that are finite; for {images} images it returned NaN or infinity")
    return logits


def _wanted(classes: int) -> str:
    return f"the model must return floating logits [N, {classes}]"


def require_types(model: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Raises CktatError for a weight that would lose something when it is copied into `model`: whole numbers for fractions,
    complex numbers, more digits than the model has.

    where: whose weights they are, for errors. Half precision widens without loss.
    """
    for name, own in model.state_dict().items():
        given = weights.get(name, own)
        wider = torch.promote_types(given.dtype, own.dtype) != own.dtype
        if wider or given.is_floating_point() != own.is_floating_point():
            raise CktatError(
                f"{where}: {name} is {given.dtype} and the network's is {own.dtype}; copying would change it, so convert "
                f"the weights first, if that is meant"
            )


def _probe(model: nn.Module, n: int, shape: Sequence[int]) -> object:
    """What `model` returns in eval mode for `n` fixed images; modes and buffers stay as they are."""
    like = next((t for t in chain(model.parameters(), model.buffers()) if t.is_floating_point()), torch.empty(0))
    # A ramp, not a constant: networks that standardise each image by its own deviation must not divide by zero.
    images = torch.linspace(0, 1, n * torch.Size(shape).numel(), dtype=like.dtype, device=like.device)
    modes = {module: module.training for module in model.modules()}  # one by one: a part may be held in eval mode
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    try:
        model.eval()
        return torch.func.functional_call(model, buffers, (images.view(n, *shape),))
    except CktatError:
        raise
    except FAILURES as error:  # whatever a user's network raises is reported in one line, not as our traceback
        raise CktatError(f"the model failed on images {[n, *shape]}: {said(error)}") from error
    finally:
        for module, mode in modes.items():
            module.training = mode
