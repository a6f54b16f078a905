"""From what a user writes after `data:` to a data set."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cktat.data.assembly import assembled
from cktat.data.cifar import CIFAR10, CIFAR100, read_cifar, read_cifar_python
from cktat.data.cifar_python import PYTHON
from cktat.data.dataset import Dataset
from cktat.data.decoded import decoded
from cktat.data.digits import read_digits
from cktat.data.folders import list_folder
from cktat.data.idx import idx_files, read_idx
from cktat.data.own import from_arrays, read_npz
from cktat.data.photographs import size_of
from cktat.data.tables import SUFFIXES as TABLES
from cktat.data.tables import list_table
from cktat.errors import CktatError, unknown
from cktat.registry import Registry
from cktat.usercode import absolute, handed_over, is_file_function, is_object, load_file_function, source_of


@dataclass(frozen=True)
class Reader:
    """A data set by name. about: one line for people. read: called with what the user wrote (`name` or `name:options`) and with
    the folder of downloaded data sets, None for the usual one.

    Example:
        >>> reader = Reader("digits under another name", lambda spec, root: load("digits"))
        >>> reader.read("mine", None).name
        'digits'
    """

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
    "a cktat.data.Reader",
    lambda thing: isinstance(thing, Reader),
)
"""The data sets by name; others come with `DATASETS.register`, or by an entry point in the group "cktat.data"."""


def load(spec: str, root: str | Path | None = None, *, size: str | int | None = None, strict: bool = False) -> Dataset:
    """The data set that `spec` names. What is to be said of how it was read stands in its `notes`.

    Args:
        spec: A name in DATASETS, FILE.npz, a folder of images, a table of them (FILE.csv), a folder with the files of MNIST
            or of CIFAR's python version, or file.py:function. The function takes no argument and returns a Dataset or a
            dictionary of arrays with the names of the NPZ form.
        root: Where downloaded data sets lie (see `locate`).
        size: What image files are scaled and cut to: 64, or "48x64" (height x width). None keeps them as they are.
        strict: Refuse images that would have to be converted or turned.

    Raises:
        CktatError: There is no such data set, or it is faulty.

    Example:
        >>> load("digits").classes[:3]
        ('0', '1', '2')
    """
    shape = None if size is None else size_of(str(size))
    if is_object(spec):
        _require_no_size(spec, size)
        return handed_over(spec, "data")
    if is_file_function(spec):
        _require_no_size(spec, size)
        return _call(spec, strict)
    if spec.partition(":")[0] in DATASETS:
        _require_no_size(spec, size)
        return DATASETS[spec.partition(":")[0]].read(spec, root)
    path = Path(spec).expanduser()
    if path.suffix.lower() == ".npz":
        _require_no_size(spec, size)
        return read_npz(spec, strict)
    if path.is_dir() and (known := _of_files_known(spec, path)) is not None:
        _require_no_size(spec, size)
        return known
    if path.is_dir() or path.suffix.lower() in TABLES:
        listing = list_folder(spec) if path.is_dir() else list_table(spec)
        images, labels, said = decoded(spec, listing, shape, strict)
        return assembled(spec, images, labels, listing.classes, [*listing.notes, *said])
    forms = "or your own: FILE.npz, FILE.csv, a folder with train/<class>/ and test/<class>/, or file.py:function"
    raise unknown("data", spec, DATASETS, forms)


def _of_files_known(spec: str, folder: Path) -> Dataset | None:
    """The data set of a folder that holds the files of CIFAR's python version or of MNIST, else None."""
    for layout in (CIFAR10, CIFAR100):
        if (of_python := PYTHON[layout.name].find(folder)) is not None:
            return read_cifar_python(layout, of_python, spec)
    files = idx_files(folder)
    return read_idx(spec, files) if files else None


def _require_no_size(spec: str, size: str | int | None) -> None:
    if size is not None:
        raise CktatError(f"data {spec!r}: --size is for image files, in folders or tables; leave it out")


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
