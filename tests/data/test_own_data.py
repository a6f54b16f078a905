"""A user's arrays, NPZ files and functions: read rightly, and every fault named."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cktat.data import DATASETS, load, own
from cktat.data.dataset import Split
from cktat.data.own import from_arrays
from cktat.errors import CktatError
from cktat.usercode import source_of

Arrays = dict[str, Any]


def test_channels_first_last_or_none(arrays: Arrays) -> None:
    last = from_arrays("mine", arrays)
    turned = {k: v.transpose(0, 3, 1, 2) if k.startswith("x") else v for k, v in arrays.items()}
    first = from_arrays("mine", turned)
    assert last.channels == 3 and last.size == (5, 6)
    assert last.fingerprint == first.fingerprint
    assert torch.equal(last.test.images, torch.from_numpy(arrays["x_test"]).permute(0, 3, 1, 2))
    grey = from_arrays("mine", {k: v[..., 0] if k.startswith("x") else v for k, v in arrays.items()})
    assert grey.channels == 1 and torch.equal(grey.test.images, last.test.images[:, :1])


def test_a_tenth_is_held_out_of_each_class(arrays: Arrays) -> None:
    data = from_arrays("mine", arrays)
    assert torch.bincount(data.held_out.labels).tolist() == [2, 2, 2]
    assert torch.bincount(data.train.labels).tolist() == [18, 18, 18]
    everything = {(i.tobytes(), int(y)) for i, y in zip(arrays["x_train"].transpose(0, 3, 1, 2), arrays["y_train"])}  # noqa: B905
    ours = [(i.tobytes(), int(y)) for s in (data.train, data.held_out) for i, y in zip(s.images.numpy(), s.labels)]  # noqa: B905
    assert len(ours) == len(set(ours)) and set(ours) == everything


def test_own_held_out_images_and_names(arrays: Arrays) -> None:
    own = {"x_held_out": arrays["x_test"][:4], "y_held_out": arrays["y_test"][:4], "classes": ["a", "b", "c"]}
    data = from_arrays("mine", {**arrays, **own})
    assert (len(data.train), len(data.held_out), data.classes) == (60, 4, ("a", "b", "c"))
    assert torch.equal(data.train.labels, torch.from_numpy(arrays["y_train"]))


def test_facts(arrays: Arrays) -> None:
    data = from_arrays("mine", arrays)
    assert (data.name, data.levels, data.box, data.eps, data.augment) == ("mine", 255, (0.0, 1.0), 8 / 255, "none")
    assert data.classes == ("0", "1", "2")
    x = data.train.images.double() / 255
    assert data.mean == pytest.approx(x.mean((0, 2, 3)).tolist(), abs=1e-12)
    assert data.std == pytest.approx(x.std((0, 2, 3), correction=0).tolist(), abs=1e-12)


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("x_test", None, "'mine' lacks x_test; it needs x_train, y_train, x_test, y_test"),
        ("y_held_out", lambda a: a["y_test"], "lacks x_held_out"),
        ("x_tran", lambda a: a["x_train"], "unknown array in data 'mine': 'x_tran'; did you mean 'x_train'"),
        ("x_train", lambda a: a["x_train"] / 255, "x_train is float64 and x_test uint8; all must be of one type"),
        ("x_train", lambda a: a["x_train"][0, 0], r"x_train has shape \[6, 3\]; it must be \[N, H, W\]"),
        ("x_train", lambda a: a["x_train"][:0], r"x_train has shape \[0, 5, 6, 3\].*at least one image"),
        ("x_train", lambda a: a["x_train"][:, :3], "two axes could hold 1 to 4 channels"),
        ("x_train", lambda a: np.zeros((60, 5, 6, 7), np.uint8), "no axis could hold 1 to 4 channels"),
        ("x_train", lambda a: [[1], [1, 2]], "x_train cannot be made a NumPy array"),
        ("x_test", lambda a: a["x_test"][:, :, :5], "x_test are 3 x 5 x 5 .* those of x_train 3 x 5 x 6; .* one size"),
        ("x_test", lambda a: a["x_test"][..., 0], "x_test are 1 x 5 x 6 .* those of x_train 3 x 5 x 6"),
        ("y_test", lambda a: a["y_test"][:-1], "y_test has 8 labels for 9 images"),
        ("y_test", lambda a: a["y_test"] + 0.5, r"y_test is float64 \[9\]; labels must be integers"),
        ("y_test", lambda a: a["y_test"][:, None, None], r"y_test is int64 \[9, 1, 1\]"),
        ("y_test", lambda a: a["y_test"] + 1, r"y_test\[2\] is 3; labels must be 0\.\.2"),
        ("y_train", lambda a: a["y_train"] - 1, r"y_train\[0\] is -1"),
        ("y_train", lambda a: a["y_train"] + 1, r"class '0' \(label 0\) has 0 training images, it needs at least 2"),
        ("y_train", lambda a: a["y_train"] + 10**12, "y_train has label 1000000000002 but only 60 images"),
        (
            "y_train",
            lambda a: np.r_[3, a["y_train"][1:]],
            "class '3' .* has 1 training images.*or give held-out images",
        ),
        ("y_train", lambda a: 0 * a["y_train"], "y_test.1. is 1; labels must be 0..0"),
        ("classes", lambda a: ["a", "b"], r"y_train\[2\] is 2; labels must be 0\.\.1"),
        ("classes", lambda a: ["a", "b", "c", "d"], "class 'd' .* has 0 training images"),
        ("classes", lambda a: [1, 2, 3], "classes is int64 .* list of names"),
        ("x_train", lambda a: a["x_train"] * np.array([1, 0, 1], np.uint8), "channel 1 has standard deviation 0.0"),
    ],
)
def test_faulty_arrays(arrays: Arrays, key: str, change: Any, message: str) -> None:
    if change is None:
        del arrays[key]
    else:
        arrays[key] = change(arrays)
    with pytest.raises(CktatError, match=message) as error:
        from_arrays("mine", arrays)
    assert "\n" not in str(error.value)


def test_npz(arrays: Arrays, tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", classes=np.array(["a", "b", "c"]), **arrays)
    data = load(str(tmp_path / "mine.npz"))
    assert data.name == str(tmp_path / "mine.npz") and data.classes == ("a", "b", "c")
    assert data.train.images.shape == (54, 3, 5, 6)


def test_faulty_npz(arrays: Arrays, tmp_path: Path) -> None:
    file = tmp_path / "mine.npz"
    with pytest.raises(CktatError, match=f"there is no file {file}"):
        load(str(file))
    np.savez(file, **{**arrays, "classes": np.array(["a", "b", None], dtype=object)})
    with pytest.raises(CktatError, match="not an NPZ file of plain arrays: Object arrays cannot be loaded"):
        load(str(file))
    np.savez(file, **arrays)
    for content in (b"", b"text", file.read_bytes()[:5000]):
        file.write_bytes(content)
        with pytest.raises(CktatError, match="not an NPZ file of plain arrays"):
            load(str(file))


def test_an_archive_that_swells_is_refused_by_what_it_says(arrays: Arrays, tmp_path: Path, monkeypatch: Any) -> None:
    file = tmp_path / "mine.npz"
    np.savez_compressed(file, **arrays | {"x_test": np.zeros((3000, 3, 32, 32), dtype=np.uint8)})  # 9 MB in some KB
    size = file.stat().st_size
    assert size < 2**17
    monkeypatch.setattr(own, "SWELLS_TO", 2**20)
    with pytest.raises(CktatError, match=rf"the file has {size:,} bytes and says it unpacks to 9,[\d,]+; "):
        load(str(file))
    monkeypatch.setattr(own, "SWELLS_TO", 2**30)
    monkeypatch.setattr(own, "_free_memory", lambda: 2**20)
    with pytest.raises(CktatError, match=r"unpacks to 9,[\d,]+ bytes, and 1,048,576 bytes of memory are free"):
        load(str(file))
    assert own.RATIO * 2**21 < 2.3e9 and own.SWELLS_TO < 2.3e9, "2 MB that unpack to 2.3 GB"


FUNCTIONS = """
import dataclasses, numpy as np
from cktat.data import load

def arrays():
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    return {"x_train": x, "y_train": [0, 1] * 20, "x_test": x, "y_test": [0, 1] * 20}

def dataset():
    return dataclasses.replace(load("digits"), augment="crop-flip")

def number():
    return 3

def breaks():
    raise RuntimeError("disk on fire")
"""


def test_functions(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FUNCTIONS)
    spec = f"{tmp_path}/mine.py"
    assert load(f"{spec}:arrays").size == (8, 8)
    own = load(f"{spec}:dataset")
    assert (own.name, own.augment, len(own.train)) == (f"{spec}:dataset", "crop-flip", 1097)
    # arrays say all themselves; a Dataset also has what the text chose
    assert load(f"{spec}:arrays").code == "" and own.code == source_of(f"{spec}:dataset").sha256
    assert own.content != own.fingerprint == load("digits").fingerprint == load("digits").content
    for name, message in {
        "number": "returned a int; it must return a Dataset or a dictionary of arrays",
        "breaks": "the function failed: RuntimeError: disk on fire",
        "datset": "unknown function in .*mine.py 'datset'; did you mean 'dataset'",
    }.items():
        with pytest.raises(CktatError, match=message):
            load(f"{spec}:{name}")
    with pytest.raises(CktatError, match="there is no file"):
        load(f"{tmp_path}/none.py:arrays")


def test_unknown_data() -> None:
    with pytest.raises(
        CktatError, match=r"unknown data 'cifar-10'; did you mean 'cifar10'.*FILE.npz.*file.py:function"
    ):
        load("cifar-10")
    assert list(DATASETS) == ["digits", "cifar10", "cifar100", "multiview", "sparse-coding"]


def test_test_images_alone_are_a_data_set_to_judge_on(arrays: Arrays) -> None:
    alone = {key: arrays[key] for key in ("x_test", "y_test")}
    data, whole = from_arrays("mine", alone), from_arrays("mine", arrays)
    assert data.only_tests and not whole.only_tests
    assert torch.equal(data.test.images, whole.test.images) and torch.equal(data.test.labels, whole.test.labels)
    assert (data.channels, data.size, data.classes) == (whole.channels, whole.size, whole.classes)
    assert data.fingerprint != whole.fingerprint and data.sums[2] == whole.sums[2]
    with pytest.raises(CktatError, match="lacks y_test; it needs x_test, y_test"):
        from_arrays("mine", {"x_test": arrays["x_test"]})
    with pytest.raises(CktatError, match="cannot train on 1 images: there are 0"):
        data.subset(1)
    with pytest.raises(CktatError, match="there are no held-out images"):
        dataclasses.replace(whole, held_out=Split(whole.test.images[:0], whole.test.labels[:0]))
