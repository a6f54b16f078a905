"""Two older pictures of what a network looks at, to see knowledge points beside them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cktat.errors import CktatError


def saliency(module: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """|d logit_y / d x| [N, C, H, W] (Simonyan et al., arXiv:1312.6034). y: class of each image [N]."""
    moving = x.detach().requires_grad_()
    return torch.autograd.grad(_logits_of(module(moving), y).sum(), moving)[0].abs()


def grad_cam(module: nn.Module, layer: str, x: Tensor, y: Tensor) -> Tensor:
    """ReLU of the layer's channels, weighted by the mean gradient of logit_y on each [N, h, w] (Selvaraju et al., ICCV 2017).

    Raises CktatError if the layer gives no map [N, C, h, w].
    """
    seen: list[Tensor] = []

    # Handed on is a copy: an in-place ReLU behind the layer must not change what was seen.
    def keep(_: nn.Module, __: object, output: Tensor) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim != 4:
            raise CktatError(f"Grad-CAM needs a layer that gives a map [N, C, h, w]; {layer!r} does not")
        seen.append(output)
        return output.clone()

    handle = module.get_submodule(layer).register_forward_hook(keep)
    try:
        # The images carry gradient, so that there is one at the layer even if no parameter does.
        logits = module(x.detach().requires_grad_())
    finally:
        handle.remove()
    activation = seen[0]
    (gradient,) = torch.autograd.grad(_logits_of(logits, y).sum(), activation)
    return F.relu((gradient.mean(dim=(2, 3), keepdim=True) * activation).sum(dim=1)).detach()


def _logits_of(logits: Tensor, y: Tensor) -> Tensor:
    return logits.gather(1, y[:, None])
