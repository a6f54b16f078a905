"""The worked example of Section 3.2, as the formula gives it and as the paper prints it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cktat.paper.theory.accounting import (
    boundary_mu,
    lacks_incentive,
    learning_gain,
    robust_error_after,
    robust_error_before,
)

EXAMPLE = {"mu": 0.4, "k1": 0.3, "k2": 0.8, "a": 1.0, "D": 3.0}
PRINTED_EXPONENT = 2.9
"""The exponent of the last e in the paper's example, where (k1 + k2) D = 3.3."""


@dataclass(frozen=True)
class WorkedExample:
    """R2 - R1 of the robust error (Eq. 11) `by_formula` and `as_printed`, the error before and after, and how far mu may
    go before the learning condition fails."""

    by_formula: float
    as_printed: float
    before: float
    after: float
    boundary: float
    holds: bool


def worked_example() -> WorkedExample:
    """0.147 by the formula, 0.102 as printed: the learning condition holds in both."""
    mu, e = EXAMPLE["mu"], math.exp
    printed = (1 - mu) * (e(1) / (e(1) + e(0.9)) - e(2) / (e(2) + e(PRINTED_EXPONENT))) - 0.5 * mu * (
        e(1) / (e(1) + e(2.4))
    )
    return WorkedExample(
        by_formula=-float(learning_gain(**EXAMPLE)),
        as_printed=printed,
        before=float(robust_error_before(**EXAMPLE)),
        after=float(robust_error_after(**EXAMPLE)),
        boundary=float(boundary_mu(**{name: value for name, value in EXAMPLE.items() if name != "mu"})),
        holds=lacks_incentive(**EXAMPLE),
    )
