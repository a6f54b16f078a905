"""A Dataset checks itself, is identified by its content, and can be cut."""

import dataclasses
from typing import Any

import pytest
import torch

from cktat.data import Dataset, Split
from cktat.errors import CktatError


def split(n: int = 4, **changes: Any) -> Split:
    images = torch.arange(n * 12, dtype=torch.uint8).reshape(n, 1, 3, 4)
    return Split(changes.get("images", images), changes.get("labels", torch.arange(n) % 2))


def dataset(**changes: Any) -> Dataset:
    fields: dict[str, Any] = dict(
        name="tiny", train=split(6), held_out=split(2), test=split(4), classes=("cat", "dog"), levels=255,
        mean=(0.5,), std=(0.2,), box=(0.0, 1.0), eps=0.1, augment="none",
    )  # fmt: skip
    return Dataset(**{**fields, **changes})


def test_shape_is_derived() -> None:
    data = dataset()
    assert (data.channels, data.size, len(data.train)) == (1, (3, 4), 6)


def test_data_without_a_box_may_be_real_numbers() -> None:
    real = Split(torch.randn(4, 1, 3, 4), torch.arange(4) % 2)
    assert dataset(train=real, held_out=real, test=real, box=None, levels=1).box is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("part", ["train", "held_out", "test"])
def test_a_pixel_that_is_no_number_is_the_fault_of_the_data(part: str, value: float) -> None:
    real = Split(torch.randn(4, 1, 3, 4), torch.arange(4) % 2)
    images = real.images.clone()
    images[2, 0, 1, 1] = images[3, 0, 0, 0] = value
    named = {"train": "training", "held_out": "held-out"}.get(part, part)
    with pytest.raises(
        CktatError, match=rf"data 'tiny': {named} image 2 has a pixel .*, and 2 of 4 images do; the data"
    ):
        dataset(**{"train": real, "held_out": real, "test": real} | {part: Split(images, real.labels)}, box=None)


def test_subset_is_the_first_training_images_and_nothing_else() -> None:
    data = dataset()
    small = data.subset(2)
    assert torch.equal(small.train.images, data.train.images[:2])
    assert torch.equal(small.train.labels, data.train.labels[:2])
    assert small.held_out is data.held_out and small.test is data.test and small.mean == data.mean
    assert data.subset(None) is data and len(data.subset(6).train) == 6


@pytest.mark.parametrize("examples", [0, -1, 7])
def test_subset_that_does_not_exist(examples: int) -> None:
    with pytest.raises(CktatError, match=f"cannot train on {examples} images: there are 6"):
        dataset().subset(examples)
    with pytest.raises(CktatError, match=f"cannot take the first {examples} images: there are 6"):
        dataset().train.first(examples)


def test_fingerprint_is_of_the_content() -> None:
    same = dataset().fingerprint
    assert same == dataset(name="other", eps=0.3, mean=(0.1,), augment="crop-flip").fingerprint
    assert len(same) == 64 and int(same, 16) >= 0
    pixel = split(4).images.clone()
    pixel[3, 0, 2, 3] += 1
    others = [
        dataset(classes=("cat", "fox")),
        dataset(classes=("cat", "dog", "")),
        dataset(levels=254),
        dataset(test=split(4, images=pixel)),
        dataset(test=split(4, labels=torch.tensor([0, 1, 1, 1]))),
        dataset(train=split(4), held_out=split(4), test=split(4)),
        dataset(train=split(4), held_out=split(6), test=split(2)),
        dataset().subset(5),
    ]
    assert len({same, *(other.fingerprint for other in others)}) == len(others) + 1


def test_fingerprint_sees_shape_not_memory_order() -> None:
    turned = split(4).images.transpose(2, 3).contiguous().transpose(2, 3)  # the same pixels, laid out otherwise
    assert dataset(test=split(4, images=turned)).fingerprint == dataset().fingerprint
    wide = {n: split(n, images=split(n).images.reshape(n, 1, 4, 3)) for n in (6, 2, 4)}
    assert dataset(train=wide[6], held_out=wide[2], test=wide[4]).fingerprint != dataset().fingerprint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(test=split(4, images=torch.zeros(4, 1, 4, 4, dtype=torch.uint8))), "test images have shape"),
        (dict(train=split(4, images=torch.zeros(4, 3, 4, dtype=torch.uint8))), "training images have shape"),
        (dict(test=split(4, images=torch.zeros(4, 1, 3, 4))), "test images are torch.float32; .* must be torch.uint8"),
        (dict(test=split(4, images=torch.zeros(4, 1, 3, 4).int()), box=None), "must be torch.uint8 or floating point"),
        (dict(held_out=split(2, labels=torch.zeros(3).long())), "held-out labels are torch.int64 .3., not .* .2."),
        (dict(held_out=split(2, labels=torch.zeros(2))), "held-out labels are torch.float32"),
        (dict(held_out=split(0)), "there are no held-out images"),
        (dict(test=split(4, labels=torch.tensor([0, 1, 2, 0]))), r"test labels are 0\.\.2; .* must be 0\.\.1"),
        (dict(test=split(4, labels=torch.tensor([0, 1, -1, 0]))), r"test labels are -1\.\.1"),
        (dict(levels=16), "training image has pixel value 71; the highest is 16"),
        (dict(levels=0), "levels must be at least 1"),
        (dict(classes=("cat",)), "at least 2 classes"),
        (dict(box=(-1.0, 1.0)), "box must be"),
        (dict(eps=0.0), "eps must be a positive number"),
        (dict(eps=float("nan")), "eps must be a positive number"),
        (dict(mean=(0.5, 0.5)), "mean has 2 and std 1 numbers; images have 1 channels"),
        (dict(std=(0.0,)), "channel 0 has standard deviation 0.0"),
        (dict(augment="flop"), "unknown augmentation of data 'tiny' 'flop'"),
    ],
)
def test_faults_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CktatError, match=message):
        dataset(**changes)


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset().eps = 0.5  # type: ignore[misc]
