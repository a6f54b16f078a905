"""From images that a program has in memory to a data set: tensors, arrays, a PyTorch Dataset or DataLoader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data import Dataset as TorchDataset

from cktat.data.dataset import Dataset
from cktat.data.listing import NAMES
from cktat.data.own import from_arrays
from cktat.errors import CktatError, unknown

NAME = "in memory"
TAKEN = "a Dataset, (images, labels), a torch Dataset or DataLoader, or a dictionary of these by part"


def dataset_of(data: Any) -> Dataset:
    """The data set that `data` holds. What is to be said of how it was read stands in its `notes`.

    Args:
        data: a `Dataset`; images and labels `(x, y)` as tensors or arrays; a `torch.utils.data.Dataset` or `DataLoader` of
            `(image, label)`; or a dictionary with some of these under "train", "test" and "held_out" (also "val").
            Forms of images and labels are those of `cktat.data.own.from_arrays`: uint8, or floats in [0, 1], which become one
            of 256 levels.

    Returns:
        The data set. Without test images a fifth of each class is for testing, and without held-out images a tenth is held
        out, chosen by the content of the images.

    Raises:
        CktatError: the images or labels are nothing like that; or they change from one look to the next, as images do that
            are augmented when they are read.

    Example:
        >>> import torch
        >>> from cktat.data import dataset_of
        >>> data = dataset_of((torch.rand(60, 3, 8, 8), torch.arange(60) % 3))
        >>> len(data.train), len(data.held_out), len(data.test)
        (42, 6, 12)
    """
    if isinstance(data, Dataset):
        return data
    parts = data if isinstance(data, Mapping) else {"train": data}
    for key in parts:
        if key not in NAMES:
            raise unknown("part of the data", str(key), ("train", "held_out", "test"))
    arrays: dict[str, Any] = {}
    for key, part in parts.items():
        ending = f"_{key}" if len(parts) > 1 else ""  # one part is all there is, to be divided
        arrays[f"x{ending}"], arrays[f"y{ending}"] = _pair(part, key)
        names = getattr(getattr(part, "dataset", part), "classes", None)
        if (
            names is not None
            and "classes" not in arrays
            and len(set(map(str, names))) > int(arrays[f"y{ending}"].max())
        ):
            arrays["classes"] = np.array([str(name) for name in names])
    return from_arrays(NAME, arrays)


def _pair(part: Any, key: str) -> tuple[Any, np.ndarray[Any, Any]]:
    """Images and labels of a part, all of them."""
    if isinstance(part, tuple | list) and len(part) == 2:
        images, labels = part
    elif isinstance(part, DataLoader | TorchDataset) or hasattr(part, "__getitem__") or isinstance(part, Iterable):
        images, labels = _collected(part, key)
    else:
        raise CktatError(f"data must be {TAKEN}; {key!r} is a {type(part).__name__}")
    return _array(images), _array(labels)


def _array(given: Any) -> Any:
    return given.detach().cpu().numpy() if isinstance(given, Tensor) else given


def _collected(part: Any, key: str) -> tuple[Tensor, np.ndarray[Any, Any]]:
    # A loader's data set is read in its own order, so that what is read does not depend on a shuffle.
    source = part.dataset if isinstance(part, DataLoader) else part
    if isinstance(part, DataLoader) and isinstance(source, IterableDataset):
        batches = [_two(batch, key) for batch in part]
        return torch.cat([images for images, _ in batches]), torch.cat([labels for _, labels in batches]).numpy()
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
    return torch.stack(images), np.array(labels)


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
