"""Handwritten digits, 8 x 8 pixels: the data set that comes with the package (see DIGITS-LICENSE.md)."""

from __future__ import annotations

import numpy as np
import torch

from cktat.data.archives import DIGITS
from cktat.data.assembly import moments
from cktat.data.dataset import Dataset, Split
from cktat.data.held_out import lowest_ranked

TEST, HELD_OUT = 50, 20  # images of each class


def read_digits() -> Dataset:
    """1,797 grey images with pixels 0..16: 500 for testing, 200 held out and 1,097 for training.

    By the rank of held_out.py, the lowest 50 of each class are for testing and the next 20 held out. The default radius
    is 0.15: with few, strongly contrasting pixels, 8/255 is no threat (it is half a level of 16).
    """
    with np.load(DIGITS, allow_pickle=False) as file:
        images, labels = file["images"][:, None], file["labels"].astype(np.int64)
    test = lowest_ranked(images, labels, TEST)
    held_out = lowest_ranked(images, labels, TEST + HELD_OUT) & ~test
    train = ~test & ~held_out
    mean, std = moments(images[train], 16)
    return Dataset(
        name="digits",
        train=Split(torch.from_numpy(images[train]), torch.from_numpy(labels[train])),
        held_out=Split(torch.from_numpy(images[held_out]), torch.from_numpy(labels[held_out])),
        test=Split(torch.from_numpy(images[test]), torch.from_numpy(labels[test])),
        classes=tuple("0123456789"),
        levels=16,
        mean=mean,
        std=std,
        box=(0.0, 1.0),
        eps=0.15,
        augment="none",
    )
