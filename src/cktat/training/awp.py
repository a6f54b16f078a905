"""Adversarial weight perturbation: the step is taken from the weights that are worst nearby (Wu et al., NeurIPS 2020).

Source: csdongxian/AWP, AT_AWP/utils_awp.py: per layer, weights of more than one dimension only, the direction scaled to
the layer's norm; the optimiser steps at the perturbed weights, and the perturbation is taken off afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cktat.runs.processes import World


@contextmanager
def perturbed(
    modules: Iterable[nn.Module], size: float, loss: Callable[[], Tensor], world: World = World()
) -> Iterator[None]:
    """Weights moved by size * |w| along the gradient of `loss`, layer by layer, while the context lasts.

    `loss` runs the networks once more; what that does to their buffers (BatchNorm's running statistics) is undone.
    The gradient is the mean over the processes of `world`.
    """
    modules = list(modules)
    weights = [p for module in modules for p in module.parameters() if p.dim() > 1 and p.requires_grad]
    buffers = [(b, b.clone()) for module in modules for b in module.buffers()]
    gradients = torch.autograd.grad(loss(), weights, allow_unused=True)
    world.average([gradient for gradient in gradients if gradient is not None])
    moves = []
    with torch.no_grad():
        for buffer, before in buffers:
            buffer.copy_(before)
        for weight, gradient in zip(weights, gradients, strict=True):
            if gradient is not None:  # a weight that no output depends on stays
                move = size * weight.norm() / (gradient.norm() + 1e-20) * gradient
                weight.add_(move)
                moves.append((weight, move))
    yield
    with torch.no_grad():
        for weight, move in moves:
            weight.sub_(move)
