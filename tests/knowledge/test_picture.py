"""What a picture shows: the counts, the images, and the parts that are kept in colour."""

from __future__ import annotations

import numpy as np
import torch

from cktat.knowledge import points
from cktat.knowledge.picture import View, comparison_figure, knowledge_figure


def view(name: str, seed: int) -> View:
    draws = torch.Generator().manual_seed(seed)
    entropy = torch.randn(2, 4, 4, generator=draws)
    maps = torch.rand(2, 8, 8, generator=draws), torch.rand(2, 2, 2, generator=draws)
    return View(name, entropy, points(entropy), *maps)


X = torch.zeros(2, 3, 8, 8)
X[:, 0] = 1.0  # pure red
VIEWS = [view("PGD-AT", 0), view("TRADES", 1)]


def test_counts_names_and_classes_are_said() -> None:
    figure = knowledge_figure(X, ["cat", "bird"], VIEWS, 0.2)
    said = {text.get_text() for text in figure.texts} | {axes.get_xlabel() for axes in figure.axes}
    assert {"PGD-AT", "TRADES"} <= said
    for one in VIEWS:
        for inside, outside in zip(one.points.on_foreground, one.points.on_background, strict=True):
            assert f"{inside} inside, {outside} outside" in said
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["cat", "bird"]
    assert any("0.2 nats" in text for text in said)


def test_knowledge_points_alone_keep_their_colour() -> None:
    figure = knowledge_figure(X, ["cat", "bird"], VIEWS, 0.2)
    shown = {axes.get_xlabel(): axes.images[0].get_array() for axes in figure.axes if "inside" in axes.get_xlabel()}
    one = VIEWS[0].points
    array = shown[f"{one.on_foreground[0]} inside, {one.on_background[0]} outside"]
    red = np.asarray(array)[:, :, 0] - np.asarray(array)[:, :, 1] > 0.5
    assert red.tolist() == one.found[0].repeat_interleave(2, 0).repeat_interleave(2, 1).tolist()


def test_grey_images_and_one_network_are_drawn_too() -> None:
    figure = comparison_figure(torch.rand(1, 1, 8, 8), ["7"], [view("CKTAT", 2)])
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == ["|gradient|", "Grad-CAM", "entropy"]
