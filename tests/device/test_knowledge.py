"""Knowledge points and the pictures beside them on a device."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from cktat.bench.pieces import network_of
from cktat.paper.knowledge import Discarding, discard
from cktat.paper.knowledge.features import Feature, default_layer
from cktat.paper.knowledge.points import points
from cktat.paper.knowledge.saliency import grad_cam, saliency
from tests.device.room import Room

LEARNING = {
    "paper.knowledge.discarding.discard": "noise is drawn on the CPU, and whether it moves the feature looked at once",
    "paper.knowledge.points.points": "the frame is made on the CPU, and what lies outside of it taken out",
}


def test_knowledge_points_saliency_and_grad_cam(room: Room) -> None:
    how = replace(Discarding(), cells=4, steps=3, samples=2)

    def run(device: torch.device) -> tuple[dict[str, Any], set[str]]:
        x, y = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).to(device), torch.tensor([1, 2])
        module, y = network_of("small", 0).to(device).eval(), y.to(device)
        layer = default_layer(module, x[:1])
        with room.waits() as places:
            found = discard(Feature(module, layer), x, how)
            seen = points(found.entropy)
            return {
                "entropy": found.entropy, "objective": found.objective, "found": seen.found,
                "on foreground": seen.on_foreground, "saliency": saliency(module, x, y),
                "grad-cam": grad_cam(module, layer, x, y),
            }, places  # fmt: skip

    found, places = run(room.device)
    assert places == set(LEARNING)
    assert room.tree_holds(found, run(torch.device("cpu"))[0])
