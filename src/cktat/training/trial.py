"""A network is tried as a run will use it, before anything is written of the run."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cktat.data import Dataset, ordered
from cktat.errors import CktatError, out_of_memory
from cktat.labels import Design, Outputs
from cktat.models import check
from cktat.models.inspection import require_logits
from cktat.schema import RunConfig
from cktat.seeds import generator
from cktat.training.rounded import rounded
from cktat.usercode import FAILURES, said


def trial(module: nn.Module, config: RunConfig, data: Dataset, *, images: int, device: torch.device) -> None:
    """One pass forth and back as an attack makes it, in eval mode, and one as an update makes it, in train mode, on the first
    `images` training images, in the run's precision and memory format. The module is used up: its statistics change.

    Raises CktatError, naming the mode, for a network that fails, that answers with anything but finite logits [N, classes]
    that depend on a weight, or whose weights are of another type than float32.
    """
    _require_float32(module)
    check(module, (data.channels, *data.size), len(data.classes), to_train=True)
    module = module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    batch = next(ordered(data.train, images, levels=data.levels, device=device))
    x = batch.x.contiguous(memory_format=torch.channels_last)
    weights: list[Tensor] = [weight for weight in module.parameters() if weight.requires_grad]
    moved = x.clone().requires_grad_()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for mode, inputs, of in (("eval", moved, [moved]), ("train", x, weights)):
            module.train(mode == "train")
            try:
                with rounded(config.precision, device):
                    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16"):
                        logits = require_logits(module(inputs), len(x), len(data.classes))
                    loss = nn.functional.cross_entropy(logits.float(), batch.y)
                    torch.autograd.grad(loss, of, allow_unused=mode == "train")
            except CktatError as error:
                raise CktatError(f"in {mode} mode {error}") from error
            except FAILURES as error:
                if out_of_memory(error):
                    raise
                how = f"in {mode} mode and {config.precision}, forth and back on images {list(x.shape)}"
                raise CktatError(f"the network failed {how}: {said(error)}") from error


def trial_of_loss(design: Design, classes: int) -> None:
    """The loss of a design and its gradients, on random logits. Raises CktatError if it fails, as a function of a user's in it
    may."""
    draws, images = generator(0, "trial"), 2 * classes
    y = torch.arange(images) % classes
    logits = {
        cell: torch.randn(images, classes, generator=draws).requires_grad_(cell.network.trains) for cell in design.cells
    }
    try:
        design.settle(**dict.fromkeys(design.open, 0.5)).loss(Outputs(logits, y, classes)).backward()
    except CktatError:
        raise
    except FAILURES as error:
        raise CktatError(f"its loss failed on random logits: {said(error)}") from error


def _require_float32(module: nn.Module) -> None:
    for name, weight in (*module.named_parameters(), *module.named_buffers()):
        name = name.removeprefix("body.")
        if (weight.is_floating_point() or weight.is_complex()) and weight.dtype != torch.float32:
            raise CktatError(f"{name} is {weight.dtype}; a run trains torch.float32 (call .float() on the network)")
