"""From what a user writes after `data:` to a data set."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cktat.data.assembly import assembled
from cktat.data.cifar import CIFAR10, CIFAR100, read_cifar
from cktat.data.dataset import Dataset
from cktat.data.decoded import decoded
from cktat.data.digits import read_digits
from cktat.data.folders import list_folder
from cktat.data.own import from_arrays, read_npz
from cktat.data.photographs import size_of
from cktat.errors import CktatError, unknown
from cktat.registry import Registry
from cktat.usercode import absolute, is_file_function, load_file_function, source_of


@dataclass(frozen=True)
class Reader:
    """A data set by name. about: one line for people. read: called with what the user wrote (`name` or `name:options`) and with
    the folder of downloaded data sets, None for the usual one."""

    about: str
    read: Callable[[str, str | Path | None], Dataset]


DATASETS = Registry(
    "cktat.data",
    {
        "digits": Reader(
            "1,797 handwritten digits, 8 x 8 grey; UCI, comes with the package", lambda spec, root: read_digits()
        ),
        "cifar10": Reader(
            "60,000 photographs of 10 kinds of things, 32 x 32 RGB; 170 MB from cs.toronto.edu, to be fetched",
            lambda spec, root: read_cifar(CIFAR10, root),
        ),
        "cifar100": Reader(
            "60,000 photographs of 100 kinds of things, 32 x 32 RGB; 169 MB from cs.toronto.edu, to be fetched",
            lambda spec, root: read_cifar(CIFAR100, root),
        ),
    },
)
"""The data sets by name; others come with `DATASETS.register`, or by an entry point in the group "cktat.data"."""


def load(spec: str, root: str | Path | None = None, *, size: str | int | None = None, strict: bool = False) -> Dataset:
    """The data set that `spec` names. What is to be said of how it was read stands in its `notes`.

    Args:
        spec: A name in DATASETS, FILE.npz, a folder of images, or file.py:function. The function takes no argument and
            returns a Dataset or a dictionary of arrays with the names of the NPZ form.
        root: Where downloaded data sets lie (see `locate`).
        size: What image files are scaled and cut to: 64, or "48x64" (height x width). None keeps them as they are.
        strict: Refuse images that would have to be converted or turned.

    Raises:
        CktatError: There is no such data set, or it is faulty.
    """
    shape = None if size is None else size_of(str(size))
    path, name = Path(spec).expanduser(), spec.partition(":")[0]
    own = is_file_function(spec) or name not in DATASETS
    if own and not is_file_function(spec) and path.is_dir():
        listing = list_folder(spec)
        images, labels, said = decoded(spec, listing, shape, strict)
        return assembled(spec, images, labels, listing.classes, [*listing.notes, *said])
    if shape is not None:
        raise CktatError(f"data {spec!r}: --size is for image files, in folders or tables; leave it out")
    if not own:
        return DATASETS[name].read(spec, root)
    if is_file_function(spec):
        return _call(spec, strict)
    if path.suffix.lower() == ".npz":
        return read_npz(spec, strict)
    forms = "or your own: FILE.npz, a folder with train/<class>/ and test/<class>/, or file.py:function"
    raise unknown("data", spec, DATASETS, forms)


def located(spec: str) -> str:
    """`spec` with the whole path of a user's file or folder, so that it means the same in any working directory."""
    if is_file_function(spec):
        return absolute(spec)
    own = spec.partition(":")[0] not in DATASETS and Path(spec).expanduser().exists()
    return str(Path(spec).expanduser().resolve()) if own else spec


def _call(spec: str, strict: bool) -> Dataset:
    result = load_file_function(spec, "data")()
    if isinstance(result, Dataset):
        code = f"{source_of(spec).sha256} {result.code}".rstrip()
        return dataclasses.replace(result, name=spec, code=code)  # a data set's name is what loads it
    if isinstance(result, Mapping):
        return from_arrays(spec, result, strict)
    raise CktatError(
        f"data {spec!r} returned a {type(result).__name__}; it must return a Dataset or a dictionary of arrays"
    )
