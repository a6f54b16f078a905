"""From what a user writes after `data:` to a data set."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cktat.data.cifar import CIFAR10, CIFAR100, read_cifar
from cktat.data.dataset import Dataset
from cktat.data.digits import read_digits
from cktat.data.folders import read_folder
from cktat.data.own import from_arrays, read_npz
from cktat.errors import CktatError, unknown
from cktat.registry import Registry
from cktat.usercode import absolute, handed_over, is_file_function, is_object, load_file_function, source_of


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


def load(spec: str, root: str | Path | None = None) -> Dataset:
    """The data set that `spec` names: a name in DATASETS, FILE.npz, a folder of images, or file.py:function.

    root: where downloaded data sets lie (see `locate`). The function of a file takes no argument and returns a Dataset
    or a dictionary of arrays with the names of the NPZ form. CktatError if there is no such data set or it is faulty.
    """
    if is_object(spec):
        return handed_over(spec, "data")
    name = spec.partition(":")[0]
    if name in DATASETS and not is_file_function(spec):
        return DATASETS[name].read(spec, root)
    if is_file_function(spec):
        return _call(spec)
    if spec.endswith(".npz"):
        return read_npz(spec)
    if Path(spec).expanduser().is_dir():
        return read_folder(spec)
    forms = "or your own: FILE.npz, a folder with train/<class>/ and test/<class>/, or file.py:function"
    raise unknown("data", spec, DATASETS, forms)


def located(spec: str) -> str:
    """`spec` with the whole path of a user's file or folder, so that it means the same in any working directory."""
    if is_file_function(spec):
        return absolute(spec)
    own = spec.partition(":")[0] not in DATASETS and Path(spec).expanduser().exists()
    return str(Path(spec).expanduser().resolve()) if own else spec


def _call(spec: str) -> Dataset:
    result = load_file_function(spec, "data")()
    if isinstance(result, Dataset):
        code = f"{source_of(spec).sha256} {result.code}".rstrip()
        return dataclasses.replace(result, name=spec, code=code)  # a data set's name is what loads it
    if isinstance(result, Mapping):
        return from_arrays(spec, result)
    raise CktatError(
        f"data {spec!r} returned a {type(result).__name__}; it must return a Dataset or a dictionary of arrays"
    )
