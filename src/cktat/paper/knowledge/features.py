"""The output of one layer of a network, found by the layer's dotted name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from cktat.errors import CktatError, unknown


class _Reached(Exception):
    """Ends a forward pass at the layer: what follows would cost time, and an in-place ReLU would overwrite the output."""

    def __init__(self, output: object) -> None:
        self.output = output


class Feature(nn.Module):
    """images [N, C, H, W] -> the output of one layer of `module`, [N, ...], with gradients.

    layer: a name as `module.named_modules()` gives it, such as "body.stages.2" (see `default_layer`). Raises CktatError for
    an unknown name and, when called, for a module in train mode, a layer that the forward pass does not reach and an output
    that is no tensor.
    """

    def __init__(self, module: nn.Module, layer: str) -> None:
        super().__init__()
        names = layers(module)
        if layer not in names:
            raise unknown("layer", layer, names)
        self.module, self.layer = module, layer

    def forward(self, x: Tensor) -> Tensor:
        if self.module.training:
            raise CktatError("features are those of a network in eval mode; call its eval() first")

        def stop(_: nn.Module, __: object, output: object) -> None:
            raise _Reached(output)

        handle = self.module.get_submodule(self.layer).register_forward_hook(stop)
        try:
            self.module(x)
        except _Reached as reached:
            if isinstance(reached.output, Tensor):
                return reached.output
            kind = type(reached.output).__name__
            raise CktatError(f"layer {self.layer!r} gives a {kind}, not a tensor; choose another layer") from None
        finally:
            handle.remove()
        raise CktatError(f"layer {self.layer!r} takes no part in the forward pass; choose another layer")


def layers(module: nn.Module) -> list[str]:
    """The dotted names of all layers."""
    return [name for name, _ in module.named_modules() if name]


def default_layer(module: nn.Module, x: Tensor) -> str:
    """The last layer whose output is a map over the image: of small and resnet18 `body.stages`, of preactresnet18 and
    wrn34-10 `body.bn`, of patchnet `body.patches`.

    A map is an output [N, C, h, w] with h * w > 1; x: an image, [1, C, H, W]. Raises CktatError if there is none.
    """
    found = []

    def note(name: str) -> Callable[[nn.Module, object, object], None]:
        def look(_: nn.Module, __: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
                found.append(name)

        return look

    handles = [module.get_submodule(name).register_forward_hook(note(name)) for name in layers(module)]
    try:
        with torch.no_grad():
            module(x)
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise CktatError(f"no layer gives a map over the image; choose one of {', '.join(layers(module))}")
    return found[-1]
