"""What a picture shows: the counts, the images, and the parts that are kept in colour."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure

from cktat.paper.knowledge import points
from cktat.paper.knowledge.picture import LIMIT, NetworkView, comparison_figure, knowledge_figure


def view(name: str, seed: int) -> NetworkView:
    draws = torch.Generator().manual_seed(seed)
    entropy = torch.randn(2, 4, 4, generator=draws)
    maps = torch.rand(2, 8, 8, generator=draws), torch.rand(2, 2, 2, generator=draws)
    return NetworkView(name, entropy, points(entropy), *maps)


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


COLOURFUL = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(7))


def places(figure: Figure, kinds: int) -> list[list[Axes]]:
    """The axes with pictures, from the top down and from left to right: an image, then `kinds` of each network."""
    pictures = [axes for axes in figure.axes if axes.images]
    rows = sorted({round(axes.get_position().y0, 6) for axes in pictures}, reverse=True)
    found = [
        sorted((a for a in pictures if round(a.get_position().y0, 6) == y), key=lambda a: a.get_position().x0)
        for y in rows
    ]
    assert [len(row) for row in found] == [1 + kinds * len(VIEWS)] * 2
    return found


def under(figure: Figure, row: list[Axes], name: str) -> list[Axes]:
    """The pictures of a row below the head of one network: those nearer to its middle than to any other head's."""
    heads = {text.get_text(): text.get_position()[0] for text in figure.texts if text.get_weight() == "bold"}

    def head(axes: Axes) -> str:
        box = axes.get_position()
        return min(heads, key=lambda other: abs(heads[other] - (box.x0 + box.x1) / 2))

    return [axes for axes in row[1:] if head(axes) == name]


def shown(axes: Axes) -> Any:
    (image,) = axes.images
    return np.asarray(image.get_array())


def below(one: NetworkView, i: int) -> Any:
    """Nats below the mean of the frame, which is all but the middle 2 x 2 of 4 x 4."""
    frame = np.ones((4, 4), bool)
    frame[1:3, 1:3] = False
    entropy = one.entropy[i].numpy()
    return entropy[frame].mean() - entropy


def test_every_image_stands_under_its_network_and_beside_its_class() -> None:
    figure = knowledge_figure(COLOURFUL, ["cat", "bird"], VIEWS, 0.2)
    for i, row in enumerate(places(figure, 2)):
        assert row[0].get_ylabel() == ("cat", "bird")[i]
        assert shown(row[0]) == pytest.approx(COLOURFUL[i].permute(1, 2, 0).numpy())
        for one in VIEWS:
            entropy, lit = under(figure, row, one.name)
            assert shown(entropy) == pytest.approx(below(one, i), abs=1e-6)
            inside, outside = int(one.points.on_foreground[i]), int(one.points.on_background[i])
            assert lit.get_xlabel() == f"{inside} inside, {outside} outside"
            kept = one.points.found[i].repeat_interleave(2, 0).repeat_interleave(2, 1).numpy()
            colour = COLOURFUL[i].permute(1, 2, 0).numpy()
            grey = 0.75 + 0.25 * colour.mean(axis=2, keepdims=True).repeat(3, axis=2)
            assert shown(lit) == pytest.approx(np.where(kept[..., None], colour, grey), abs=1e-6)
    heads = [text for text in figure.texts if text.get_weight() == "bold"]
    assert [text.get_text() for text in sorted(heads, key=lambda text: text.get_position()[0])] == ["PGD-AT", "TRADES"]
    tops = [axes.get_title() for axes in places(figure, 2)[0]]
    assert tops == ["", *["entropy", "knowledge points"] * 2]


def test_saliency_grad_cam_and_entropy_stand_under_their_own_heads() -> None:
    figure = comparison_figure(COLOURFUL, ["cat", "bird"], VIEWS)
    assert [axes.get_title() for axes in places(figure, 3)[0]] == ["", *["|gradient|", "Grad-CAM", "entropy"] * 2]
    for i, row in enumerate(places(figure, 3)):
        assert row[0].get_ylabel() == ("cat", "bird")[i]
        for one in VIEWS:
            gradient, cam, entropy = under(figure, row, one.name)
            assert shown(gradient) == pytest.approx(one.saliency[i].numpy())
            assert shown(cam) == pytest.approx(one.grad_cam[i].numpy())
            assert shown(entropy) == pytest.approx(below(one, i), abs=1e-6)
            for axes, values in ((gradient, one.saliency[i]), (cam, one.grad_cam[i])):
                (image,) = axes.images
                low, high = (image.to_rgba(v)[:3] for v in (0.0, float(values.max())))
                assert low == (1, 1, 1) and high == (0, 0, 0), "black is the highest value"


@pytest.mark.parametrize(
    ("kinds", "entropies", "label"),
    [
        (2, slice(1, None, 2), "nats below the mean entropy of the background; red parts bear less noise."),
        (3, slice(3, None, 3), "Colours of entropies: nats below the mean of the background."),
    ],
)
def test_red_parts_bear_less_noise_as_the_colour_bar_says(kinds: int, entropies: slice, label: str) -> None:
    names = ["cat", "bird"]
    figure = (
        knowledge_figure(COLOURFUL, names, VIEWS, 0.2) if kinds == 2 else comparison_figure(COLOURFUL, names, VIEWS)
    )
    for row in places(figure, kinds):
        for axes in row[entropies]:
            (image,) = axes.images
            (red, _, blue, _), (cold_red, _, cold_blue, _) = (image.to_rgba(v) for v in (0.9 * LIMIT, -0.9 * LIMIT))
            assert red > 2 * blue and cold_blue > 2 * cold_red
            assert isinstance(image.norm, Normalize) and (image.norm.vmin, image.norm.vmax) == (-LIMIT, LIMIT)
    assert any(list(axes.get_xticks()) == [-1, -0.5, 0, 0.5, 1] for axes in figure.axes)
    assert label in " ".join(text.get_text() for text in figure.texts).replace("\n", " ")


@pytest.mark.parametrize("networks", [1, 2])
@pytest.mark.parametrize("draw", [lambda x, views: knowledge_figure(x, ["a", "b"], views, 0.2),
                                  lambda x, views: comparison_figure(x, ["a", "b"], views)])  # fmt: skip
def test_all_that_is_written_lies_inside_the_picture(draw: Any, networks: int) -> None:
    figure = draw(COLOURFUL, VIEWS[:networks])
    figure.canvas.draw()
    whole = figure.bbox
    boxes = [text.get_window_extent() for text in figure.texts]
    assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0 for box in boxes)
    note = max(boxes, key=lambda box: box.width * box.height)
    assert all(axes.get_tightbbox().y0 >= note.y1 for axes in figure.axes), "nothing lies upon the note"


def test_the_dashed_line_is_around_the_middle() -> None:
    figure = knowledge_figure(COLOURFUL, ["a", "b"], VIEWS, 0.2)
    for row in places(figure, 2):
        (frame,) = (patch for patch in row[0].patches if not patch.get_fill())
        assert (*frame.get_xy(), frame.get_width(), frame.get_height()) == (0.125, 0.125, 0.75, 0.75)  # 2 to 13 of 16
        assert frame.get_edgecolor()[:3] == to_rgb("white")
