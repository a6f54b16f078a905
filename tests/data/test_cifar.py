"""CIFAR's record layout, read back from records written by hand, and facts of the real data where it is at hand."""

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cktat.data import load, locate
from cktat.data.cifar import CIFAR10, CIFAR100, Layout, read_cifar
from cktat.errors import CktatError

# The official layouts, with few records: everything but the counts is as it is.
TINY10 = dataclasses.replace(CIFAR10, train_records=8, test_records=20, held_out=1, sums={})  # 40 training images
TINY100 = dataclasses.replace(CIFAR100, train_records=300, test_records=100, held_out=1)


def pixel(number: int, channel: int, row: int, column: int) -> int:
    """A formula for pixels by which each place of each image is told from the others."""
    return (number * 31 + channel * 101 + row * 7 + column * 3) % 256


def record(labels: list[int], number: int) -> bytes:
    """As the official page says: labels, then 1,024 bytes of red, of green and of blue, each in row-major order."""
    pixels = [pixel(number, c, r, k) for c in range(3) for r in range(32) for k in range(32)]
    return bytes(labels) + bytes(pixels)


@pytest.fixture(scope="module")
def folder10(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ten") / "cifar-10-batches-bin"
    folder.mkdir()
    for f in range(5):
        records = [record([n % 10], n) for n in range(f * 8, f * 8 + 8)]
        (folder / f"data_batch_{f + 1}.bin").write_bytes(b"".join(records))
    (folder / "test_batch.bin").write_bytes(b"".join(record([n % 10], n + 100) for n in range(20)))
    (folder / "batches.meta.txt").write_text("\n".join(f"name{k}" for k in range(10)) + "\n\n")
    return folder


def image(number: int) -> torch.Tensor:
    n, c, r, k = number, np.arange(3)[:, None, None], np.arange(32)[:, None], np.arange(32)
    return torch.from_numpy(((n * 31 + c * 101 + r * 7 + k * 3) % 256).astype(np.uint8))


def test_cifar10_records(folder10: Path) -> None:
    data = read_cifar(TINY10, folder10)
    assert data.classes == tuple(f"name{k}" for k in range(10))
    assert torch.equal(data.test.images, torch.stack([image(n + 100) for n in range(20)]))
    assert data.test.labels.tolist() == [n % 10 for n in range(20)]
    train = [tuple(i.flatten().tolist()) for i in data.train.images]
    held_out = [tuple(i.flatten().tolist()) for i in data.held_out.images]
    wanted = [tuple(image(n).flatten().tolist()) for n in range(40)]
    assert sorted(train + held_out) == sorted(wanted)  # all five files, nothing twice
    assert train == [w for w in wanted if w in set(train)]  # in the official order
    assert data.train.labels.tolist() == [wanted.index(t) % 10 for t in train]
    assert sorted(data.held_out.labels.tolist()) == list(range(10))
    assert (data.eps, data.augment, data.levels, data.box) == (8 / 255, "crop-flip", 255, (0.0, 1.0))


def test_cifar100_has_the_fine_label_second(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    blank = bytes(3071)
    (folder / "train.bin").write_bytes(b"".join(bytes([7, n % 100, n % 256]) + blank for n in range(300)))
    (folder / "test.bin").write_bytes(b"".join(bytes([19, 99 - n, n]) + blank for n in range(100)))
    (folder / "fine_label_names.txt").write_text("\n".join(f"fine{k}" for k in range(100)))
    data = read_cifar(TINY100, tmp_path)
    assert data.test.labels.tolist() == [99 - n for n in range(100)]
    assert data.test.images[:, 0, 0, 0].tolist() == list(range(100))
    assert sorted(data.held_out.labels.tolist()) == list(range(100)) and data.classes[99] == "fine99"


def test_found_in_the_folder_or_the_one_above(folder10: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert locate("cifar10", folder10) == folder10 == locate("cifar10", str(folder10.parent))
    monkeypatch.setenv("CKTAT_DATA", str(folder10.parent))
    assert locate("cifar10") == folder10
    monkeypatch.delenv("CKTAT_DATA")
    monkeypatch.setenv("HOME", str(tmp_path))
    home = tmp_path / ".cache/cktat/data/cifar-10-batches-bin"
    home.parent.mkdir(parents=True)
    home.symlink_to(folder10)
    assert locate("cifar10") == home


def test_missing_files_are_named(folder10: Path, tmp_path: Path) -> None:
    with pytest.raises(CktatError) as error:
        load("cifar10", tmp_path)
    for part in ("data_batch_1.bin, data_batch_2.bin", "batches.meta.txt", f"{tmp_path}/cifar-10-batches-bin",
                 f"in {tmp_path} (missing: all)", "`cktat data fetch cifar10`", "--root", "CKTAT_DATA"):  # fmt: skip
        assert part in str(error.value)
    assert "\n" not in str(error.value)
    for file in folder10.iterdir():
        if file.name != "data_batch_4.bin":
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(CktatError, match=r"\(missing: data_batch_4.bin\)"):
        load("cifar10", tmp_path)


def broken(folder10: Path, to: Path, file: str, content: bytes) -> Path:
    """The tiny CIFAR-10 with other content in one file."""
    for whole in folder10.iterdir():
        (to / whole.name).write_bytes(content if whole.name == file else whole.read_bytes())
    return to


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("data_batch_3.bin", bytes(3073 * 8 - 1), r"data_batch_3.bin has 24583 bytes, not 24584 \(8 records of 3073\)"),
        ("data_batch_3.bin", b"", "data_batch_3.bin has 0 bytes, not 24584"),
        ("test_batch.bin", bytes(3073 * 21), "test_batch.bin has 64533 bytes, not 61460"),
        (
            "test_batch.bin",
            bytes(3073) + bytes([10]) + bytes(3073 * 19 - 1),
            r"record 1 has label 10, not one of 0\.\.9",
        ),
        ("batches.meta.txt", b"cat\ndog\n", "batches.meta.txt has 2 class names, not 10"),
        ("batches.meta.txt", b"\xff\xfe", "cannot read .*batches.meta.txt"),
    ],
)
def test_damaged_files_are_named(folder10: Path, tmp_path: Path, file: str, content: bytes, message: str) -> None:
    with pytest.raises(CktatError, match=message):
        read_cifar(TINY10, broken(folder10, tmp_path, file, content))


@pytest.mark.parametrize(("layout", "held_out", "first"), [(CIFAR10, 200, "airplane"), (CIFAR100, 20, "apple")])
def test_the_real_data(real_cifar: Callable[[str], Path], layout: Layout, held_out: int, first: str) -> None:
    data = load(layout.name, real_cifar(layout.name))
    assert [len(s) for s in (data.train, data.held_out, data.test)] == [48_000, 2_000, 10_000]
    assert torch.bincount(data.held_out.labels).tolist() == [held_out] * layout.classes
    assert torch.bincount(data.train.labels).tolist() == [50_000 // layout.classes - held_out] * layout.classes
    assert data.classes[0] == first and len(set(data.classes)) == layout.classes
    # The constants are those of all 50,000 training images, to their four decimals.
    images = torch.cat([data.train.images, data.held_out.images]).transpose(0, 1).flatten(1)
    values = torch.arange(256, dtype=torch.float64) / 255
    for channel, mean, std in zip(images, data.mean, data.std, strict=True):
        share = torch.bincount(channel, minlength=256).double() / channel.numel()
        assert mean == pytest.approx(float(share @ values), abs=6e-5)
        assert std == pytest.approx(float(share @ (values - mean) ** 2) ** 0.5, abs=6e-5)
    # Some images of CIFAR-100 occur twice; none of them is held out and trained on.
    train = {i.tobytes() for i in data.train.images.numpy()}
    assert not any(i.tobytes() in train for i in data.held_out.images.numpy())


def test_one_bit_of_a_file_whose_sum_is_known_is_noticed(folder10: Path, tmp_path: Path) -> None:
    """The sum is the official one, or that of the archive as it was unpacked."""
    whole = (folder10 / "test_batch.bin").read_bytes()
    flipped = bytes([*whole[:999], whole[999] ^ 4, *whole[1000:]])
    folder = broken(folder10, tmp_path, "test_batch.bin", flipped)
    assert len(read_cifar(TINY10, folder).test) == 20, "nobody knows better"
    total = hashlib.sha256(whole).hexdigest()
    official = dataclasses.replace(TINY10, sums={"test_batch.bin": total})
    message = rf"test_batch\.bin is damaged: its sha256 is .*, not {total[:16]}.* `cktat data fetch cifar10`"
    with pytest.raises(CktatError, match=message):
        read_cifar(official, folder)
    assert len(read_cifar(official, folder10).test) == 20
    (folder / "SHA256SUMS").write_text(f"{total}  test_batch.bin\n")
    with pytest.raises(CktatError, match=message):
        read_cifar(TINY10, folder)
    (folder / "SHA256SUMS").write_text("<html>not found</html>")
    with pytest.raises(CktatError, match=r"SHA256SUMS is not a list of sums"):
        read_cifar(TINY10, folder)


def test_pixels_are_normalised_by_the_customary_constants_in_the_order_red_green_blue() -> None:
    assert (CIFAR10.mean, CIFAR10.std) == ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
    assert (CIFAR100.mean, CIFAR100.std) == ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))
