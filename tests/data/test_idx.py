"""MNIST's files, made after http://yann.lecun.com/exdb/mnist/: a magic number, the lengths of all axes, then bytes."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from cktat.data import load
from cktat.errors import CktatError


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


def arrays(images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    numbers = np.random.default_rng(seed)
    return numbers.integers(0, 256, (images, 28, 27), dtype=np.uint8), (np.arange(images) % 10).astype(np.uint8)


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    for part, images, seed in (("train", 60, 0), ("t10k", 20, 1)):
        x, y = arrays(images, seed)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(x))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(y))
    return tmp_path


def test_mnist(mnist: Path) -> None:
    data = load(str(mnist))
    x, y = arrays(20, 1)
    assert np.array_equal(data.test.images[:, 0], x) and data.test.labels.tolist() == y.tolist()
    assert (len(data.train), len(data.held_out)) == (50, 10) and data.size == (28, 27)
    assert data.classes == tuple("0123456789") and data.augment == "none"


def test_packed_and_under_other_names(mnist: Path) -> None:
    plain = load(str(mnist)).fingerprint
    (mnist / "raw").mkdir()  # where torchvision has them
    for file in [each for each in mnist.iterdir() if each.is_file()]:
        (mnist / "raw" / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert load(str(mnist)).fingerprint == load(f"{mnist}/raw").fingerprint == plain
    for file in (mnist / "raw").iterdir():
        file.rename(mnist / file.name.replace("-idx", ".idx"))
    assert load(str(mnist)).fingerprint == plain


def test_faulty_files(mnist: Path) -> None:
    x, y = arrays(20, 1)
    for file, content, message in (
        ("t10k-images-idx3-ubyte", idx(y), "t10k-images-idx3-ubyte does not begin as an IDX file of bytes with 3 axes"),
        ("t10k-images-idx3-ubyte", b"", "does not begin as an IDX file"),
        ("t10k-images-idx3-ubyte", idx(x)[:-7], "says it holds 15,120 bytes, and 15113 are there"),
        ("t10k-images-idx3-ubyte", idx(x) + b"0", "says it holds 15,120 bytes, and more are there"),
        ("t10k-images-idx3-ubyte", gzip.compress(idx(x))[:-40], "t10k-images-idx3-ubyte is damaged"),
        ("t10k-images-idx3-ubyte", struct.pack(">4I", 0x803, 2**31, 9, 9), "says it holds .* is the most"),
        ("t10k-images-idx3-ubyte", idx(x[:5]), "t10k-labels-idx1-ubyte has 20 labels for 5 images"),
        ("t10k-images-idx3-ubyte", idx(x[:0]), "has 20 labels for 0 images"),
        ("t10k-labels-idx1-ubyte", idx(y + 3), "label 12 is none of the training images"),
        (
            "train-labels-idx1-ubyte",
            idx(np.where(arrays(60, 0)[1] == 1, 0, arrays(60, 0)[1]).astype(np.uint8)),
            "class '1' .* has 0 training images",
        ),
    ):
        whole = (mnist / file).read_bytes()
        (mnist / file).write_bytes(content)
        with pytest.raises(CktatError, match=message):
            load(str(mnist))
        (mnist / file).write_bytes(whole)
    (mnist / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(CktatError, match=r"lacks t10k-labels-idx1-ubyte \(or t10k-labels-idx1-ubyte.gz\); all four"):
        load(str(mnist))
