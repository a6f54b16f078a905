"""The error accounting of Section 3.2: what learning a class's second feature does to robust and clean error.

All functions take mu (share of single-view samples), k1 and k2 (residual mixture of the feature learned first and second,
in [0, 1]), a (output of a feature on its own class, the paper's Theta(1)) and D (sum over j' != j of Theta(k / d): output of
an unpurified mixture on the wrong class). Any of them may be a number, an array or a tensor; they broadcast.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from cktat.errors import CktatError

Quantity = Any
"""A float, a numpy array or a tensor; the result is of the same kind."""


def robust_error_before(mu: Quantity, k1: Quantity, k2: Quantity, a: Quantity, D: Quantity) -> Quantity:
    """Eq. 7: robust error with the first feature learned, 0.5 mu (2 - p1) + (1 - mu)(1 - p1).

    p1 = e^a / (e^a + e^(k1 D)). Samples that show only the second feature cannot be judged: their error is 1.
    """
    _check(mu, k1, k2, a, D)
    p1 = softmax_of_two(a - k1 * D)
    return 0.5 * mu * (2 - p1) + (1 - mu) * (1 - p1) + 0 * k2  # of the shape that all arguments have together


def robust_error_after(mu: Quantity, k1: Quantity, k2: Quantity, a: Quantity, D: Quantity) -> Quantity:
    """Eq. 8: robust error with both features learned, 0.5 mu (1 - p2) + 0.5 mu (1 - p1) + (1 - mu)(1 - p12).

    p2 = e^a / (e^a + e^(k2 D)), p12 = e^(2a) / (e^(2a) + e^((k1 + k2) D)): in a multi-view sample both mixtures add up.
    """
    _check(mu, k1, k2, a, D)
    p1, p2, p12 = softmax_of_two(a - k1 * D), softmax_of_two(a - k2 * D), softmax_of_two(2 * a - (k1 + k2) * D)
    return 0.5 * mu * (1 - p2) + 0.5 * mu * (1 - p1) + (1 - mu) * (1 - p12)


def clean_error_before(mu: Quantity, k1: Quantity, k2: Quantity, a: Quantity, D: Quantity) -> Quantity:
    """Eq. 9: clean error with the first feature learned, 0.5 mu."""
    _check(mu, k1, k2, a, D)
    return 0.5 * mu + 0 * (k1 + k2 + a + D)


def clean_error_after(mu: Quantity, k1: Quantity, k2: Quantity, a: Quantity, D: Quantity) -> Quantity:
    """Eq. 10: clean error with both features learned, 0."""
    _check(mu, k1, k2, a, D)
    return 0.0 * (mu + k1 + k2 + a + D)


def learning_gain(mu: Quantity, k1: Quantity, k2: Quantity, a: Quantity, D: Quantity) -> Quantity:
    """R1 - R2 of the robust error, the negative of Eq. 11: 0.5 mu p2 - (1 - mu)(p1 - p12). Negative where learning hurts."""
    _check(mu, k1, k2, a, D)
    p1, p2, p12 = softmax_of_two(a - k1 * D), softmax_of_two(a - k2 * D), softmax_of_two(2 * a - (k1 + k2) * D)
    return 0.5 * mu * p2 - (1 - mu) * (p1 - p12)


def lacks_incentive(mu: Quantity, k1: Quantity, k2: Quantity, a: Quantity, D: Quantity) -> Quantity:
    """The learning condition (1 - mu)(p1 - p12) - 0.5 mu p2 >= 0: adversarial training gains nothing by the second feature."""
    found = learning_gain(mu, k1, k2, a, D) <= 0
    return bool(found) if np.ndim(found) == 0 and not isinstance(found, torch.Tensor) else found


def boundary_mu(k1: Quantity, k2: Quantity, a: Quantity, D: Quantity) -> Quantity:
    """The mu at which the learning condition turns: it holds for mu <= (p1 - p12) / (p1 - p12 + 0.5 p2), in closed form.

    0 where p1 < p12, that is where k2 < a / D (see `least_k2`): there the condition holds for no mu.
    """
    _check(0.0, k1, k2, a, D)
    p1, p2, p12 = softmax_of_two(a - k1 * D), softmax_of_two(a - k2 * D), softmax_of_two(2 * a - (k1 + k2) * D)
    loss = p1 - p12
    loss = loss * (loss > 0)
    return loss / (loss + 0.5 * p2)


def least_k2(a: Quantity, D: Quantity) -> Quantity:
    """a / D: unless k2 exceeds it, a second feature adds more (a) than its mixture takes (k2 D), p12 >= p1, and learning
    it pays at every mu > 0."""
    _check(0.0, 0.0, 0.0, a, D)
    return a / D if np.ndim(D) or D else math.inf


def softmax_of_two(x: Quantity) -> Quantity:
    """e^u / (e^u + e^v) for x = u - v, without overflow: the softmax that holds the label and l_max and no more."""
    return torch.sigmoid(x) if isinstance(x, torch.Tensor) else 1 / (1 + np.exp(-np.clip(x, -700, 700)))


def _check(mu: Quantity, k1: Quantity, k2: Quantity, a: Quantity, D: Quantity) -> None:
    for name, value, low, high in (
        ("mu", mu, 0, 1),
        ("k1", k1, 0, 1),
        ("k2", k2, 0, 1),
        ("a", a, 0, np.inf),
        ("D", D, 0, np.inf),
    ):
        try:
            numbers = value.detach() if isinstance(value, torch.Tensor) else np.asarray(value, dtype=float)
        except (TypeError, ValueError):
            raise CktatError(f"error accounting: {name} must be a number, not {value!r}") from None
        inside = (numbers >= low) & (numbers <= high) & (numbers < np.inf)
        if not bool(inside.all()):
            wrong = float(numbers[~inside].flatten()[0]) if np.ndim(numbers) else float(numbers)
            said = f"0 <= {name} <= 1" if high == 1 else f"0 <= {name} < inf"
            raise CktatError(f"error accounting: must have {said}, not {name} = {wrong:g}")
