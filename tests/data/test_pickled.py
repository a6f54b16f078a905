"""Pickles: arrays and containers come out, and nothing that a pickle asks for is run."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cktat.data.pickled import read_pickle
from cktat.errors import CktatError

CONTENT = {
    "bytes": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    "columns first": np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3)),
    "big end first": np.arange(4, dtype=">f8"),
    "numbers": [1, 2.5, True, None, -(10**20)],
    "nested": {"a": ("b", [b"c"])},
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_python_3_writes(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "file").write_bytes(pickle.dumps(CONTENT, protocol))
    found = read_pickle(tmp_path / "file")
    assert list(found) == list(CONTENT)
    for key, value in CONTENT.items():
        if isinstance(value, np.ndarray):
            assert found[key].dtype == value.dtype and np.array_equal(found[key], value)
        else:
            assert found[key] == value


class Runs:
    """What a pickle calls when it is loaded by Python's own loader."""

    def __init__(self, function: Any, *given: Any) -> None:
        self.made_by = function, given

    def __reduce__(self) -> Any:
        return self.made_by


def test_nothing_is_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    (tmp_path / "file").write_bytes(pickle.dumps({"data": Runs(os.mkdir, str(trace))}))
    with pytest.raises(CktatError, match=r"file asks for posix.mkdir; only arrays and containers are read"):
        read_pickle(tmp_path / "file")
    assert not trace.exists()
    pickle.loads((tmp_path / "file").read_bytes())
    assert trace.exists(), "the pickle would have run"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"a": Runs(eval, "1")}), "asks for builtins.eval"),
        (pickle.dumps({"a": Path}), "asks for pathlib.Path"),
        (pickle.dumps({"a": np.zeros}), "asks for numpy.zeros"),
        (pickle.dumps({"a": np.random.default_rng(0)}), "asks for numpy"),
        (pickle.dumps({"a": np.array([None, "x"])}, 2), "has an array of type 'O8'; only arrays of numbers"),
        (pickle.dumps({"a": np.zeros(2, dtype=[("x", "i4")])}, 2), "has an array of type 'V4'"),
        (pickle.dumps([1, 2]), "holds a list, not a dictionary"),
        # numpy.ndarray((2**40,)) would take a terabyte
        (b"cnumpy\nndarray\n(I1099511627776\ntR.", "is damaged or no pickle: TypeError"),
        (pickle.dumps(CONTENT)[:-30], "is damaged or no pickle"),
        (b"Pperson\n.", "asks for something outside of it"),
        (b"", "is damaged or no pickle: EOFError"),
        (b"<html>", "is damaged or no pickle"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(CktatError, match=message) as error:
        read_pickle(tmp_path / "file")
    assert "\n" not in str(error.value)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(2**29 + 1)
    with pytest.raises(CktatError, match="has 536,870,913 bytes; 536,870,912 is the most"):
        read_pickle(tmp_path / "file")
