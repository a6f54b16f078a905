"""What a trained network says of image files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cktat.api.run import with_card
from cktat.attacks import logits_of
from cktat.data.photographs import decode, header
from cktat.errors import CktatError
from cktat.evaluation.measure import true_fp32
from cktat.runs import RunFolder, device_of, read_bytes
from cktat.runs.files import Card
from cktat.usercode import blamed

AT_ONCE = 64
"""Images in a pass."""


@dataclass(frozen=True)
class Prediction:
    """What a network says of one image.

    Attributes:
        image: the file, as it was named.
        classes: the names of all classes.
        probabilities: of each class, in their order; softmax of the logits. They add up to 1.
        size: height and width of the image as a viewer shows it, in pixels.
        notes: what was done to it that was not done to training images of the network's own kind and size.

    Example:
        >>> Prediction("a.png", ("ant", "bee"), (0.25, 0.75), (8, 8)).best
        'bee'
    """

    image: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    size: tuple[int, int]
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> str:
        """The class of the highest probability."""
        return self.ranked()[0][0]

    def ranked(self) -> list[tuple[str, float]]:
        """(class, probability), the likeliest first."""
        return sorted(zip(self.classes, self.probabilities, strict=True), key=lambda one: -one[1])

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        name, probability = self.ranked()[0]
        return {
            "image": self.image, "class": name, "probability": probability, "probabilities": list(self.probabilities),
            "size": list(self.size), "notes": list(self.notes),
        }  # fmt: skip


@blamed()
def predict(
    run: RunFolder | str | Path,
    images: str | Path | Sequence[str | Path],
    *,
    weights: str = "best",
    network: nn.Module | Callable[..., nn.Module] | None = None,
    store: str | Path | None = None,
    device: str = "auto",
    trust_code: bool = False,
) -> list[Prediction]:
    """The classes of image files with their probabilities.

    Files are read as training images are: turned as their EXIF tag says, transparent parts over white, 16 bits scaled to 8,
    scaled until the network's size is just covered, the middle cut out.

    Args:
        run: a run, a file of weights or a folder; see `cktat.load`.
        images: one image file, or several.
        weights: of a run, "best" on held-out images, or "last".
        network: see `Run.model`.
        store: where runs lie; None is CKTAT_STORE or ./runs.
        device: "auto", "cpu", "cuda" or "cuda:0".
        trust_code: see `Run.model`.

    Returns:
        One prediction for each file, in their order.

    Raises:
        CktatError: a file is no image, or the network takes none; nothing is predicted then.

    Example:
        >>> import cktat
        >>> from PIL import Image
        >>> Image.new("L", (40, 30)).save("dark.png")
        >>> run = cktat.train("pgd_at", data="digits", epochs=1, show=False, ensure=True)
        >>> len(cktat.predict(run, "dark.png")[0].probabilities)
        10
    """
    files = [images] if isinstance(images, str | Path) else list(images)
    if not files:
        raise CktatError("there is nothing to predict: name at least one image file")
    on = device_of(device)
    module, card = with_card(run, weights, network, store=store, device=on, trust_code=trust_code)
    if card["channels"] not in (1, 3):
        raise CktatError(
            f"the network takes images of {card['channels']} channels, and image files have 1 or 3: grey or RGB; hand it "
            f"tensors yourself: cktat.load(...)(x)"
        )
    found: list[Prediction] = []
    with true_fp32():
        for first in range(0, len(files), AT_ONCE):
            read = [_pixels(Path(file).expanduser(), card) for file in files[first : first + AT_ONCE]]
            x = torch.stack([pixels for pixels, _, _ in read]).to(on)
            shares = logits_of(module.float(), x).double().softmax(dim=1).cpu()
            found += _predictions(files[first : first + AT_ONCE], read, shares, tuple(card["classes"]))
    return found


Read = tuple[Tensor, tuple[int, int], tuple[str, ...]]
"""Pixels [C, H, W] in [0, 1], the size that the file has, and what is to be said of it."""


def _pixels(file: Path, card: Card) -> Read:
    """An image file as the network of this card takes it. CktatError names the file."""
    height, width = card["size"]
    content, colour = read_bytes(file), card["channels"] == 3
    head = header(file, content)
    pixels, turned = decode(file, content, (height, width), colour)
    notes = [f"{head.kind} converted"] if head.kind else []
    notes += ["turned by EXIF"] if turned else []
    if head.colour != colour:
        notes.append("grey as RGB" if colour else "colour as grey")
    if (size := head.size) != (height, width) and not (turned and size[::-1] == (height, width)):
        notes.append(f"{size[1]} x {size[0]} brought to {width} x {height}")
    return torch.from_numpy(pixels.astype(np.float32) / 255), size, tuple(notes)


def _predictions(
    files: Sequence[str | Path], read: Sequence[Read], shares: Tensor, classes: tuple[str, ...]
) -> Iterator[Prediction]:
    for file, (_, size, notes), of_image in zip(files, read, shares.tolist(), strict=True):
        yield Prediction(os.fspath(file), classes, tuple(of_image), size, notes)
