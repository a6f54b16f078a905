"""The data of Section 3.1.2: x = M z + xi with sparse z, on which dense mixtures were first described."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from cktat.errors import CktatError
from cktat.seeds import generator


@dataclass(frozen=True)
class SparseCoding:
    """x = M z + xi (Allen-Zhu and Li, 2022, as the paper cites them), two classes by the sign of <w*, z>.

    d: dimension of x and number of features, the columns of an orthonormal M. k: how many entries of z are not 0, on
    average; in the cited work the k of Theta(k / d) is this sparsity, where the paper reads it as the number of classes.
    Entries are +-1 / sqrt(k), so that |x| is about 1; w* has entries +-1. noise: standard deviation of xi per coordinate.
    seed: of M and w*.
    """

    d: int = 64
    k: int = 4
    noise: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("d", "k", "seed"):
            if isinstance(value := getattr(self, name), bool) or not isinstance(value, int):
                raise CktatError(f"sparse coding: {name} must be a whole number, not {value!r}")
        if not 1 <= self.k <= self.d:
            raise CktatError(
                f"sparse coding must have 1 <= k <= d (k of d entries are not 0), not k = {self.k}, d = {self.d}"
            )
        if not (math.isfinite(self.noise) and self.noise >= 0):
            raise CktatError(f"sparse coding must have noise >= 0, not noise = {self.noise}")

    @cached_property
    def M(self) -> Tensor:
        """Features as columns [d, d], orthonormal."""
        drawn = torch.randn(self.d, self.d, generator=generator(self.seed, "M"), dtype=torch.float64)
        return torch.linalg.qr(drawn).Q.float()

    @cached_property
    def w_star(self) -> Tensor:
        """w* [d], entries +-1."""
        return 2.0 * torch.randint(2, (self.d,), generator=generator(self.seed, "w*")) - 1

    @property
    def features(self) -> Tensor:
        """What speaks for each class [2, d, d]: v_{1,j} = w*_j M_j for class 1, its negative for class 0."""
        of_one = (self.M * self.w_star).T
        return torch.stack([-of_one, of_one])

    def shown(self, y: Tensor, z: Tensor) -> Tensor:
        """Which features of its own class each sample shows: bool [n, d]."""
        return (z * self.w_star) * (2 * y - 1).unsqueeze(1) > 0

    def sample(self, n: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """x [n, d], y [n] in {0, 1} and z [n, d]. z is drawn again where <w*, z> = 0, which has no sign."""
        if n < 1:
            raise CktatError(f"sparse coding: the number of samples must be 1 or more, not {n}")
        draws = generator(self.seed, "samples", seed)
        z = torch.zeros(n, self.d)
        while len(left := (z @ self.w_star == 0).nonzero().flatten()):
            there = torch.rand(len(left), self.d, generator=draws) < self.k / self.d
            signs = 2.0 * torch.randint(2, (len(left), self.d), generator=draws) - 1
            z[left] = there * signs / math.sqrt(self.k)
        x = z @ self.M.T + self.noise * torch.randn(n, self.d, generator=draws)
        return x, (z @ self.w_star > 0).long(), z
