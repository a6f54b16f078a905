"""Pickled dictionaries of arrays, read without running anything: whatever else a pickle asks for is refused."""

from __future__ import annotations

import io
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cktat.errors import CktatError, named_file, one_line

MOST_BYTES = 2**29
"""Of one file; the largest of CIFAR has 155 MB."""


def read_pickle(path: Path) -> dict[Any, Any]:
    """The dictionary in a pickle of Python 2 or 3. Its values are arrays of numbers, containers, texts and numbers.

    A pickle may name any function and have it called. Here it can name only what NumPy names for an array of numbers, and
    stand-ins of ours are called, not NumPy. CktatError for a file that holds anything else, or is damaged.
    """
    with named_file(path, "read"):
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise CktatError(f"{path} has {size:,} bytes; {MOST_BYTES:,} is the most that is read of one pickle")
        content = path.read_bytes()
    try:
        found = _Plain(io.BytesIO(content), encoding="latin1").load()  # bytes of Python 2, one character each
    except CktatError as error:
        raise CktatError(f"{path} {error}") from None
    except Exception as error:  # a damaged pickle fails in every way there is
        raise CktatError(f"{path} is damaged or no pickle: {type(error).__name__}: {one_line(error)}") from error
    if not isinstance(found, dict):
        raise CktatError(f"{path} holds a {type(found).__name__}, not a dictionary")
    return {key: value.value if isinstance(value, _Array) else value for key, value in found.items()}


class _Type:
    """The type of an array, as NumPy writes it: `dtype("u1", False, True)`, then a state with the order of its bytes."""

    def __init__(self, code: Any, *flags: Any) -> None:
        if not (isinstance(code, str) and re.fullmatch(r"[biuf][1248]", code)):
            raise CktatError(f"has an array of type {code!r}; only arrays of numbers are read")
        self.value: np.dtype[Any] = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        if state[1] not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
            raise CktatError("has an array of a type that is no number")
        self.value = self.value.newbyteorder(state[1])


class _Array:
    """An array: begun empty, then a state with its shape, type and content."""

    value: npt.NDArray[Any]

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, columns_first, content = state
        if isinstance(content, str):
            content = content.encode("latin-1")
        self.value = np.frombuffer(content, kind.value).reshape(shape, order="F" if columns_first else "C")


def _reconstruct(*given: Any) -> _Array:
    return _Array()


def _from_buffer(content: Any, kind: Any, shape: Any, order: Any) -> _Array:
    made = _Array()
    made.__setstate__((1, shape, kind, order == "F", content))
    return made


def _encode(text: str, encoding: Any) -> bytes:
    """How Python 3 writes bytes for Python 2."""
    return text.encode("latin-1")


ADMITTED: dict[str, Any] = {
    "numpy.ndarray": "numpy.ndarray",  # only ever handed to `_reconstruct`: nothing that could be called
    "numpy.dtype": _Type,
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy._core.multiarray._reconstruct": _reconstruct,
    "numpy.core.numeric._frombuffer": _from_buffer,
    "numpy._core.numeric._frombuffer": _from_buffer,
    "_codecs.encode": _encode,
}


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (asked := f"{module}.{name}") not in ADMITTED:
            raise CktatError(f"asks for {asked}; only arrays and containers are read from a pickle, nothing is run")
        return ADMITTED[asked]

    def persistent_load(self, pid: Any) -> Any:
        raise CktatError("asks for something outside of it; only arrays and containers are read from a pickle")
