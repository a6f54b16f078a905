"""A network that may be anybody's, as attacks call it: in eval mode, on images of its own, its answer looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cktat.attacks.reach import modules_of
from cktat.errors import CktatError, out_of_memory
from cktat.usercode import said

Model = Callable[[Tensor], Any]
"""Images [N, C, H, W] -> logits [N, K], or an object with them as `.logits`; usually an nn.Module."""

NOT_FINITE = "the network's logits or gradients are not finite under attack"
NO_GRADIENT = "the model's logits carry no gradient to the images (no_grad, detach or NumPy inside it?)"

HALVES = (torch.float16, torch.bfloat16)
BESIDE = 0.05
"""How far another image of the batch may move an image's logits, as a share of the largest: bf16 rounds to less."""


@contextmanager
def attacked(*models: Model, as_is: Sequence[Model] = ()) -> Iterator[None]:
    """Networks as an attack sees them: eval mode, so that running statistics stay, and no gradients for weights.

    Also the networks that a function is seen to call are in eval mode. Those of `as_is` stay in the mode that they are in,
    and their running statistics may move. What was set before is set again afterwards. Raises
    CktatError for what is no network, for weights through which no gradient can pass, and for a network that goes back to
    train mode by itself.
    """
    for model in models:
        if isinstance(model, type) or not callable(model):
            raise CktatError(f"a model is a network or a function of images, not {model!r}")
    own = [part for model in models if isinstance(model, nn.Module) for part in model.modules()]
    kept = {id(model) for model in as_is}
    parts = [part for model in models if id(model) not in kept for part in modules_of(model)]
    if any(tensor.is_inference() for part in parts for tensor in chain(part.parameters(False), part.buffers(False))):
        raise CktatError(
            "the network was made under torch.inference_mode(), so no gradient passes through its weights; make it outside, "
            "or load its state dict into one that was"
        )
    training = [part for part in parts if getattr(part, "training", False)]  # a frozen script has no mode
    weights = [p for part in own for p in part.parameters(recurse=False) if p.requires_grad]
    for part in training:
        part.training = False
    for weight in weights:
        weight.requires_grad_(False)
    try:
        yield
        if any(isinstance(part, _BatchNorm) and part.training for part in parts):
            raise CktatError(
                "the network puts its BatchNorm in train mode when it is called, so that an image's logits depend on the "
                "others of its batch; attack it in eval mode"
            )
    finally:
        for part in parts:
            if getattr(part, "training", False):
                part.training = False
        for part in training:
            part.training = True
        for weight in weights:
            weight.requires_grad_(True)


def weights_of(model: Model) -> list[Tensor]:
    """The parameters that a network says it has; a function has none."""
    parameters = None if isinstance(model, type) else getattr(model, "parameters", None)
    return list(parameters()) if callable(parameters) else []


def called(model: Model, images: Tensor) -> Any:
    """What `model` answers to images [N, ...]. It may do with its input what it likes: it is given a copy.

    No copy is made for a network that says `leaves_input`. Where weights are of another floating type and do not take the
    images as they are, they get them in their own. Raises CktatError, in one line, for whatever the model raises.
    """
    try:
        return model(_own(model, images))
    except Exception as error:
        if isinstance(error, CktatError) or out_of_memory(error):
            raise
        kind = next((w.dtype for part in modules_of(model) for w in part.parameters() if w.is_floating_point()), None)
        if kind in (None, images.dtype):
            raise _failed(images, error) from error
    try:
        return model(images.to(kind))
    except Exception as error:
        if isinstance(error, CktatError) or out_of_memory(error):
            raise
        raise _failed(images, error) from error


def _own(model: Model, images: Tensor) -> Tensor:
    return images if getattr(model, "leaves_input", False) else images.clone()


def _failed(images: Tensor, error: Exception) -> CktatError:
    # TorchScript says what is wrong in its last line
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    reason = lines[-1] if "TorchScript" in lines[0] else said(error)
    last = images.dim() == 4 and images.shape[-1] in (1, 3) and images.shape[1] not in (1, 3)
    hint = "; images are [N, C, H, W], and these seem to have their channels last" if last else ""
    kind = str(images.dtype).removeprefix("torch.")
    return CktatError(f"the model failed on {kind} images {list(images.shape)}: {reason}{hint}")


def answer(model: Model, images: Tensor, highest: int = 0) -> Tensor:
    """The logits [N, K] that `model` answers to images [N, ...], on their device, half precision raised to fp32.

    highest: the highest label among them. Raises CktatError for anything else than such logits, see `check_logits`.
    """
    given = called(model, images)
    logits = check_logits(given if isinstance(given, Tensor) else getattr(given, "logits", given), len(images), highest)
    return logits.to(images.device, torch.float32 if logits.dtype in HALVES else logits.dtype)


def check_logits(logits: Any, images: int, highest: int) -> Tensor:
    """What a model answered, if it is logits [images, K] with K above the highest label. Raises CktatError otherwise.

    Looks at type, shape and graph only, so that nothing waits for a GPU.
    """
    if not isinstance(logits, Tensor):
        raise CktatError(
            f"the model must return a tensor of logits [N, K], not a {type(logits).__name__}; if it returns several "
            f"things, attack a function that picks the logits"
        )
    if not logits.is_floating_point() or logits.dtype.itemsize < 2:
        raise CktatError(f"the model must return floating logits [N, K], not {logits.dtype}")
    if logits.layout != torch.strided or logits.is_meta:
        raise CktatError("the model must return logits [N, K] as a plain, dense tensor that holds numbers")
    if logits.dim() != 2 or len(logits) != images or logits.shape[1] < 2:
        raise CktatError(f"the model must return logits [N, K]; for {images} images it returned {list(logits.shape)}")
    if torch.is_grad_enabled() and not logits.requires_grad:
        raise CktatError(NO_GRADIENT)
    if highest >= logits.shape[1]:
        raise CktatError(
            f"a label is {highest}, but the model has {logits.shape[1]} classes (0 to {logits.shape[1] - 1}); "
            f"these labels are of other data"
        )
    return logits


@torch.no_grad()
def logits_of(model: Model, x: Tensor, highest: int = 0) -> Tensor:
    """Logits [N, K] of images x [N, C, H, W], without gradients; `highest` is the highest label among them.

    Raises CktatError if the model answers with anything else, or if logits are not finite: an argmax over NaN would be a
    number.
    """
    logits = answer(model, x, highest)
    if not bool(torch.isfinite(logits).all()):
        raise CktatError("the model gives logits that are not finite (NaN or infinity); nothing can be said of it")
    return logits


def slope(value: Tensor, at: Tensor, along: Tensor | None = None) -> Tensor:
    """The gradient of `value` with respect to images `at`, of their shape. along: of <value, along>, and the graph stays.

    Raises CktatError, in one line, where none comes back through the model.
    """
    try:
        (found,) = torch.autograd.grad(value, at, along, retain_graph=along is not None, allow_unused=True)
    except Exception as error:
        if isinstance(error, CktatError) or out_of_memory(error):
            raise
        raise CktatError(f"no gradient comes back through the model to the images: {said(error)}") from error
    if found is None:
        raise CktatError(NO_GRADIENT)
    return found


def check_finite(found: Tensor) -> Tensor:
    """`found`, if it is finite. Raises CktatError otherwise: images would stay where they are, and look robust."""
    if not bool(found.isfinite().all()):
        raise CktatError(NOT_FINITE)
    return found


@torch.no_grad()
def require_alone(model: Model, x: Tensor) -> None:
    """Raises CktatError if a function, behind which no module is seen, answers an image by the others of its batch.

    That is BatchNorm in train mode, which nobody could put in eval mode. Looks at one of images x [N, ...], beside itself
    and beside another. A randomised function is let be.
    """
    if modules_of(model) or len(x) < 2:
        return
    unlike = x[1:][(x[1:] - x[:1]).flatten(1).abs().sum(dim=1).argmax()].unsqueeze(0)

    def first(*pair: Tensor) -> Tensor:
        return answer(model, torch.cat(pair))[0]

    try:
        beside, alone = first(x[:1], unlike), first(x[:1], x[:1])
    except CktatError:  # what takes no two images, or answers no logits, is seen by the attack itself
        return
    moved = float((beside - alone).abs().max())
    if moved > BESIDE * float(alone.abs().max()) and float((first(x[:1], x[:1]) - alone).abs().max()) < moved / 10:
        raise CktatError(
            "an image's logits depend on the other images of its batch, as with BatchNorm in train mode; call .eval() on the "
            "network inside the function that is attacked, or give the network itself"
        )
