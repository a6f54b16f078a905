"""From images that a program has in memory to a data set: tensors, arrays, a PyTorch Dataset or DataLoader."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sized
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data import Dataset as TorchDataset

from cktat.data.dataset import Dataset
from cktat.data.held_out import lowest_ranked
from cktat.data.own import from_arrays
from cktat.errors import CktatError, unknown

PARTS = {
    "train": "train", "held_out": "held_out", "val": "held_out", "valid": "held_out", "validation": "held_out", "test": "test"
}  # fmt: skip
NAME = "the data that were given"
TAKEN = "a Dataset, (images, labels), a torch Dataset or DataLoader, or a dictionary of these by part"


def dataset_of(data: Any, say: Callable[[str], None] = lambda text: None) -> Dataset:
    """The data set that `data` holds.

    Args:
        data: a `Dataset`; images and labels `(x, y)` as tensors or arrays; a `torch.utils.data.Dataset` or `DataLoader` of
            `(image, label)`; or a dictionary with some of these under "train", "test" and "held_out" (also "val").
            Images are uint8, or floats in [0, 1], which are kept as one of 256 grey levels. Labels are whole numbers from 0.
        say: takes a line on what was decided: parts that were split off, images that were rounded.

    Returns:
        The data set. Without test images a sixth of each class is for testing, and without held-out images a tenth is held
        out, chosen by the content of the images.

    Raises:
        CktatError: the images or labels are nothing like that; or they change from one look to the next, as images do that
            are augmented when they are read.
    """
    if isinstance(data, Dataset):
        return data
    parts = data if isinstance(data, Mapping) else {"train": data}
    arrays: dict[str, Any] = {}
    classes = None
    for key, part in parts.items():
        if key not in PARTS:
            raise unknown("part of the data", str(key), PARTS)
        name = PARTS[key]
        if f"x_{name}" in arrays:
            raise CktatError(f"the data have two parts that are {name}; give one of them")
        images, labels = _pair(part, key)
        arrays[f"x_{name}"], arrays[f"y_{name}"] = _bytes(images, key, say), labels
        classes = classes or getattr(getattr(part, "dataset", part), "classes", None)
    if "x_train" not in arrays:
        raise CktatError(f"the data have no part 'train', only {', '.join(parts) or 'nothing'}")
    if "x_test" not in arrays:
        _split_off_test(arrays, say)
    if classes is not None and len(set(map(str, classes))) > int(arrays["y_train"].max()):
        arrays["classes"] = np.array([str(name) for name in classes])
    made = from_arrays(NAME, arrays)
    if "x_held_out" not in arrays:
        say(f"{len(made.held_out)} of the training images are held out, to choose the best weights by")
    return dataclasses.replace(made, name=NAME)


def _pair(part: Any, key: str) -> tuple[Any, np.ndarray[Any, Any]]:
    """Images and labels of a part, as arrays or tensors of all of them."""
    if isinstance(part, tuple | list) and len(part) == 2:
        images, labels = part
    elif isinstance(part, DataLoader | TorchDataset) or hasattr(part, "__getitem__") or isinstance(part, Iterable):
        images, labels = _collected(part, key)
    else:
        raise CktatError(f"data must be {TAKEN}; {key!r} is a {type(part).__name__}")
    labels = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    return images, labels


def _collected(part: Any, key: str) -> tuple[Tensor, list[int]]:
    # A loader's data set is read in its own order, so that what is read does not depend on a shuffle.
    source = part.dataset if isinstance(part, DataLoader) else part
    if isinstance(source, Iterable) and isinstance(part, DataLoader) and isinstance(source, IterableDataset):
        batches = [_two(batch, key) for batch in part]
        return torch.cat([images for images, _ in batches]), torch.cat([labels for _, labels in batches]).tolist()
    images, labels = [], []
    by_index = hasattr(source, "__len__") and hasattr(source, "__getitem__")
    items: Any = map(source.__getitem__, range(len(cast(Sized, source)))) if by_index else source
    for image, label in map(lambda item: _two(item, key), items):
        images.append(_tensor(image, key))
        labels.append(int(label))
    if not images:
        raise CktatError(f"data part {key!r} holds no image")
    if by_index and not torch.equal(_tensor(_two(source[0], key)[0], key), images[0]):
        raise CktatError(
            f"data part {key!r} gives its first image in another way each time; leave random changes out of it and give them "
            f"as augment="
        )
    if len({image.shape for image in images}) > 1:
        sizes = sorted({" x ".join(map(str, image.shape)) for image in images})
        raise CktatError(f"images of data part {key!r} are of several sizes: {', '.join(sizes[:3])}; bring them to one")
    return torch.stack(images), labels


def _two(item: Any, key: str) -> tuple[Any, Any]:
    if isinstance(item, tuple | list) and len(item) == 2:
        return item[0], item[1]
    raise CktatError(f"data part {key!r} must give pairs of image and label, not a {type(item).__name__}")


def _tensor(image: Any, key: str) -> Tensor:
    if isinstance(image, Tensor):
        return image.detach().cpu()
    array = np.array(image)  # also of a PIL image
    if array.dtype.kind not in "uif":
        raise CktatError(f"an image of data part {key!r} is a {type(image).__name__}; give tensors or arrays")
    return torch.from_numpy(array)


def _bytes(images: Any, key: str, say: Callable[[str], None]) -> np.ndarray[Any, Any]:
    """Images as uint8."""
    array = images.detach().cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
    if array.dtype.kind != "f":
        return array
    low, high = float(array.min(initial=np.inf)), float(array.max(initial=-np.inf))
    if not (low >= 0 and high <= 1):
        raise CktatError(
            f"images of data part {key!r} go from {low:.3g} to {high:.3g}; give them in [0, 1], or as uint8. The network "
            f"gets them normalised"
        )
    levels = array.astype(np.float64) * 255
    if np.abs(levels - np.rint(levels)).max() > 1e-3:
        say(f"images of data part {key!r} were rounded to 256 grey levels")
    return np.rint(levels).astype(np.uint8)


def _split_off_test(arrays: dict[str, Any], say: Callable[[str], None]) -> None:
    images, labels = np.ascontiguousarray(arrays["x_train"]), np.asarray(arrays["y_train"])
    if images.dtype != np.uint8 or labels.dtype.kind not in "iu" or labels.ndim != 1 or len(labels) != len(images):
        return  # `from_arrays` says what is wrong
    counts = np.bincount(labels) // 6
    test = lowest_ranked(images, labels.astype(np.int64), counts)
    for name in ("x", "y"):
        arrays[f"{name}_test"], arrays[f"{name}_train"] = arrays[f"{name}_train"][test], arrays[f"{name}_train"][~test]
    say(f"{int(test.sum())} of {len(test)} images are split off for testing, chosen by their content")
