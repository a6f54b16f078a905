"""The python version of CIFAR, as Python 2 wrote it (https://www.cs.toronto.edu/~kriz/cifar.html)."""

import dataclasses
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cktat.data import cifar, load, locate
from cktat.data.cifar import CIFAR10, CIFAR100, read_cifar
from cktat.errors import CktatError


def python_2(value: Any) -> bytes:
    """The opcodes of `cPickle.dumps(value, 2)` for what is in the files: byte strings, and arrays under their old name."""
    return b"\x80\x02" + _opcodes(value) + b"."


def _opcodes(value: Any) -> bytes:
    if isinstance(value, dict):
        return b"}(" + b"".join(_opcodes(key) + _opcodes(each) for key, each in value.items()) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(_opcodes, value)) + b"e"
    if isinstance(value, int):
        return b"K" + bytes([value])
    if isinstance(value, str):
        return b"T" + struct.pack("<i", len(value)) + value.encode("latin-1")
    shape = b"".join(b"M" + struct.pack("<H", n) for n in value.shape)
    kind = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    begun = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    content = value.tobytes()
    return begun + b"(K\x01(" + shape + b"t" + kind + b"\x89T" + struct.pack("<i", len(content)) + content + b"tb"


TINY = {
    "cifar10": dataclasses.replace(CIFAR10, train_records=20, test_records=20, held_out=1, sums={}),
    "cifar100": dataclasses.replace(CIFAR100, train_records=200, test_records=100, held_out=1, sums={}),
}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layouts of few records, also where `load` uses them."""
    from cktat.data import loading

    for name, layout in TINY.items():
        monkeypatch.setattr(loading, name.upper(), layout)


def batch(images: int, first: int, classes: int, key: str = "labels") -> dict[str, Any]:
    data = np.random.default_rng(first).integers(0, 256, (images, 3072), dtype=np.uint8)
    return {
        "batch_label": "some",
        key: [n % classes for n in range(images)],
        "data": data,
        "filenames": ["a.png"] * images,
    }


@pytest.fixture
def python10(tmp_path: Path) -> Path:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for i in range(1, 6):
        (folder / f"data_batch_{i}").write_bytes(python_2(batch(20, i, 10)))
    (folder / "test_batch").write_bytes(python_2(batch(20, 9, 10)))
    names = {"num_cases_per_batch": 20, "label_names": [f"kind {k}" for k in range(10)], "num_vis": 200}
    (folder / "batches.meta").write_bytes(python_2(names))
    return folder


def test_cifar10(python10: Path, tiny: None, tmp_path: Path) -> None:
    data = read_cifar(TINY["cifar10"], tmp_path)
    assert (len(data.train), len(data.held_out), len(data.test)) == (90, 10, 20)
    wanted = batch(20, 9, 10)
    assert np.array_equal(data.test.images.flatten(1), wanted["data"]), "red, green, blue, each row by row"
    assert data.test.labels.tolist() == wanted["labels"] and data.classes[3] == "kind 3"
    assert (data.mean, data.augment, data.name) == (CIFAR10.mean, "crop-flip", "cifar10")
    assert locate("cifar10", tmp_path) == python10
    by_path = load(str(python10))
    assert by_path.fingerprint == data.fingerprint and by_path.name == str(python10)


def test_the_binary_version_of_the_same_records_is_the_same_data(python10: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    of_python = read_cifar(TINY["cifar10"], tmp_path)
    folder.mkdir()
    for i, file in enumerate(TINY["cifar10"].source.files[:6], 1):
        records = batch(20, 9 if "test" in file else i, 10)
        labels = np.array(records["labels"], dtype=np.uint8)
        (folder / file).write_bytes(np.hstack([labels[:, None], records["data"]]).tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(f"kind{k}" for k in range(10)))
    of_binary = read_cifar(TINY["cifar10"], tmp_path)
    assert of_binary.classes[0] == "kind0", "the binary version comes first"
    assert dataclasses.replace(of_binary, classes=of_python.classes).fingerprint == of_python.fingerprint


def test_cifar100_has_fine_labels(tmp_path: Path, tiny: None) -> None:
    for name, images in (("train", 200), ("test", 100)):
        content = batch(images, images, 100, "fine_labels") | {"coarse_labels": [0] * images}
        (tmp_path / name).write_bytes(python_2(content))
    (tmp_path / "meta").write_bytes(
        python_2({"fine_label_names": [str(k) for k in range(100)], "coarse_label_names": []})
    )
    data = load(str(tmp_path))
    assert (len(data.train), len(data.held_out), len(data.test), len(data.classes)) == (100, 100, 100, 100)
    assert data.test.labels.tolist() == list(range(100)) and data.mean == CIFAR100.mean


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("data_batch_2", python_2({"labels": []}), "data_batch_2 holds no 'data' and 'labels'"),
        ("data_batch_2", python_2(batch(20, 1, 10, "fine_labels")), "data_batch_2 holds no 'data' and 'labels'"),
        ("data_batch_2", python_2(batch(20, 1, 11)), r"labels\[10\] is 10, not one of 0..9"),
        ("data_batch_2", python_2(batch(19, 1, 10)), "holds 99 training and 20 test images, cifar10 has 100 and 20"),
        ("test_batch", python_2(batch(20, 1, 10) | {"labels": [0]}), "its labels are not 20 whole numbers"),
        ("test_batch", python_2(batch(20, 1, 10) | {"data": np.zeros((20, 9), np.uint8)}), r"not uint8 \[N, 3072\]"),
        ("test_batch", python_2(batch(20, 1, 10))[:-999], "test_batch is damaged or no pickle"),
        ("batches.meta", python_2({"label_names": ["a"]}), "label_names are not 10 names"),
    ],
)
def test_faulty_files(python10: Path, tiny: None, file: str, content: bytes, message: str) -> None:
    (python10 / file).write_bytes(content)
    with pytest.raises(CktatError, match=message):
        load(str(python10))


def test_the_real_records(real_cifar: Callable[[str], Path], tmp_path: Path) -> None:
    """The real images, put into pickles as they are in the python version, have the fingerprint of cifar10."""
    folder = real_cifar("cifar10")
    if not (folder / "test_batch.bin").is_file():
        pytest.skip("CKTAT_DATA has the python version: nothing to compare it with")
    binary = load("cifar10")
    for file in CIFAR10.source.files[:6]:
        records = np.fromfile(folder / file, dtype=np.uint8).reshape(-1, 3073)
        content = {"data": np.ascontiguousarray(records[:, 1:]), "labels": records[:, 0].tolist()}
        (tmp_path / file.removesuffix(".bin")).write_bytes(python_2(content))
    (tmp_path / "batches.meta").write_bytes(python_2({"label_names": list(binary.classes)}))
    of_python = cifar.read_cifar(CIFAR10, tmp_path)
    assert of_python.fingerprint == binary.fingerprint
    assert torch.equal(of_python.train.images[:9], binary.train.images[:9])
