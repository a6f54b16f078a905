"""How the terms of a design pull: how strongly each, and whether against each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cktat.attacks import answer
from cktat.labels import Cell, Design, Learner, Network, Outputs, View


@dataclass(frozen=True)
class Pulls:
    """How the terms of a design pull, on average over images.

    Attributes:
        sizes: by term, the length of the gradient of its weighted loss with respect to the logits at its own view, per image.
        weights: by term, the length of the gradient with respect to all weights that train, of the mean over the images.
        at_output: by pair of terms on one output, the mean cosine of their gradients with respect to those logits.
        at_weights: by pair of terms, the cosine of their gradients with respect to the weights: -1 opposes, 1 agrees.
    """

    sizes: dict[str, float]
    weights: dict[str, float]
    at_output: dict[str, float]
    at_weights: dict[str, float]

    @property
    def conflict(self) -> float | None:
        """The lowest cosine of two terms at the weights; None of one term."""
        found = [cosine for cosine in self.at_weights.values() if not math.isnan(cosine)]
        return min(found, default=None)


def pulls(design: Design, modules: Mapping[Network, nn.Module], views: Mapping[View, Tensor], at: Outputs) -> Pulls:
    """Gradients of a design's terms, each alone; all networks in eval mode, so that images do not depend on each other.

    Args:
        design: a settled design.
        modules: its networks.
        views: images [N, C, H, W] by view.
        at: y and the moment of training; its logits are not used.
    """
    learners = [network for network in design.networks if isinstance(network, Learner)]
    logits = {}
    for cell in design.cells:
        with torch.set_grad_enabled(cell.network.trains):
            logits[cell] = answer(modules[cell.network], views[cell.view])
    with torch.enable_grad():
        outputs = Outputs(logits, at.y, at.classes, at.progress, at.epoch, at.epochs, at.step)
        losses = design.losses(outputs)
        weights = [weight for learner in learners for weight in modules[learner].parameters() if weight.requires_grad]
        at_output: dict[str, tuple[Cell, Tensor]] = {}
        at_weights: dict[str, Tensor] = {}
        for term in design.live:
            loss, cell = losses[str(term)], term.output.cell
            # the loss is a mean over the images: times N, a row is the gradient of that image's own loss
            (own,) = torch.autograd.grad(loss, logits[cell], retain_graph=True)
            at_output[str(term)] = cell, own.flatten(1).double() * len(at.y)
            found = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
            parts = [torch.zeros_like(w) if g is None else g for w, g in zip(weights, found, strict=True)]
            at_weights[str(term)] = torch.cat([part.flatten() for part in parts]).double()
    pairs = list(itertools.combinations(at_output, 2))
    return Pulls(
        sizes={name: float(rows.norm(dim=1).mean()) for name, (_, rows) in at_output.items()},
        weights={name: float(whole.norm()) for name, whole in at_weights.items()},
        at_output={
            f"{a} | {b}": float(torch.cosine_similarity(at_output[a][1], at_output[b][1], dim=1).mean())
            for a, b in pairs
            if at_output[a][0] == at_output[b][0]
        },
        at_weights={
            f"{a} | {b}": float(torch.cosine_similarity(at_weights[a], at_weights[b], dim=0)) for a, b in pairs
        },
    )
