"""Numbers as people give them: Python's, NumPy's, fractions, or one in an array or a tensor."""

from __future__ import annotations

import numbers
from typing import Any


def as_number(given: Any) -> Any:
    """`given` as Python's int or float if it is one real number of any library; anything else as it is.

    >>> import numpy, torch
    >>> as_number(numpy.int64(3)), as_number(torch.tensor(0.5)), as_number("3")
    (3, 0.5, '3')
    """
    if getattr(given, "ndim", None) == 0 and hasattr(given, "item"):  # NumPy's numbers; arrays and tensors of one
        given = given.item()
    if isinstance(given, bool):  # an int to Python, and no number to people
        return given
    if isinstance(given, numbers.Integral):
        return int(given)
    return float(given) if isinstance(given, numbers.Real) else given
