"""From what a user writes after `data:` to a data set."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from cktat.data.cifar import CIFAR10, CIFAR100, read_cifar
from cktat.data.dataset import Dataset
from cktat.data.digits import read_digits
from cktat.data.folders import read_folder
from cktat.data.multiview import read_multiview
from cktat.data.own import from_arrays, read_npz
from cktat.data.sparse_coding import read_sparse_coding
from cktat.errors import CktatError, unknown
from cktat.usercode import absolute, is_file_function, load_file_function, source_of

DATASETS = {
    "digits": "1,797 handwritten digits, 8 x 8 grey; UCI, comes with the package",
    "cifar10": "60,000 photographs of 10 kinds of things, 32 x 32 RGB; 170 MB from cs.toronto.edu, to be fetched",
    "cifar100": "60,000 photographs of 100 kinds of things, 32 x 32 RGB; 169 MB from cs.toronto.edu, to be fetched",
    "multiview": "samples of the paper's theory, patches for images; multiview:mu=0.2,rho=0.05 changes parameters",
    "sparse-coding": "vectors M z + noise of the paper's theory, z sparse; sparse-coding:d=32,k=3 changes parameters",
}


def load(spec: str, root: str | Path | None = None) -> Dataset:
    """The data set that `spec` names: a name in DATASETS, FILE.npz, a folder of images, or file.py:function.

    root: where downloaded data sets lie (see `locate`). The function of a file takes no argument and returns a Dataset
    or a dictionary of arrays with the names of the NPZ form. CktatError if there is no such data set or it is faulty.
    """
    if spec == "digits":
        return read_digits()
    if spec == "cifar10":
        return read_cifar(CIFAR10, root)
    if spec == "cifar100":
        return read_cifar(CIFAR100, root)
    if spec.partition(":")[0] == "multiview":
        return read_multiview(spec)
    if spec.partition(":")[0] == "sparse-coding":
        return read_sparse_coding(spec)
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
