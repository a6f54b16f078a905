"""What people say of test images: how many named each class, read from a file of the user's."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cktat.errors import CktatError
from cktat.runs.door import read_bytes

KINDS = (".npy", ".npz", ".csv")
AGREEMENT = 0.5
"""Share of images whose most named class must be the data set's label: in another order of rows it would be about 1 / K."""


def read_people(path: str | Path, y: Tensor, classes: int) -> Tensor:
    """What people say of every test image, as probabilities: float64 [N, K].

    Args:
        path: .npy, .npz with one array, or .csv without a header: [N, K] counts or probabilities, a row for each test
            image in the data set's order. Rows are divided by their sums.
        y: the labels of the test images [N], which the answers are checked against.
        classes: K.

    Raises:
        CktatError: no such file, another shape, a row that is no distribution, or answers that are about other images.
    """
    path = Path(path).expanduser()
    found = _array(path)
    if found.shape != (len(y), classes):
        raise CktatError(
            f"{path} holds {list(found.shape)}, not [{len(y)}, {classes}]: a row for each test image, a column for each class"
        )
    wrong = ~(np.isfinite(found).all(axis=1) & (found >= 0).all(axis=1) & (found.sum(axis=1) > 0))
    if wrong.any():
        first = int(wrong.nonzero()[0][0])
        raise CktatError(f"{path}, row {first}: {found[first].tolist()} are neither counts nor probabilities")
    people = torch.from_numpy(found / found.sum(axis=1, keepdims=True))
    agreed = float((people.argmax(dim=1) == y.cpu()).double().mean())
    if agreed < AGREEMENT:
        raise CktatError(
            f"{path} names the data set's class first for {100 * agreed:.1f} % of the images: its rows are of other images, or "
            f"in another order"
        )
    return people


def read_marked(path: str | Path, images: int) -> Tensor:
    """Which training images are marked, such as those that are known to be hard or mislabelled: flags [N].

    Args:
        path: .npy, .npz with one array, or .csv without a header: 0 or 1 for each training image, in the data set's order.
        images: N.

    Raises:
        CktatError: no such file, another number of images, other numbers, or all images alike.
    """
    path = Path(path).expanduser()
    found = _array(path).reshape(-1)
    if len(found) != images:
        raise CktatError(f"{path} marks {len(found)} images; the data set has {images} training images")
    if not np.isin(found, (0, 1)).all() or len(np.unique(found)) < 2:
        raise CktatError(f"{path} must hold 0 for some training images and 1 for the others, and nothing else")
    return torch.from_numpy(found == 1)


def _array(path: Path) -> np.ndarray:
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise CktatError(f"{path}: numbers an image are read from {', '.join(KINDS)}")
    content = read_bytes(path)
    try:
        if kind == ".csv":
            return np.loadtxt(io.StringIO(content.decode("utf-8-sig")), delimiter=",", ndmin=2, dtype=np.float64)
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        if kind == ".npz":
            names = loaded.files
            if len(names) != 1:
                raise CktatError(f"{path} holds {len(names)} arrays; it must be one")
            loaded = loaded[names[0]]
        return np.asarray(loaded, dtype=np.float64)
    except (ValueError, TypeError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise CktatError(f"{path} is no {kind} file of numbers: {error}") from None
