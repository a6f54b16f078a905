"""The multi-view data of Definitions A.1 and A.2: every class has two features, and some samples show only one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from cktat.errors import CktatError, unknown
from cktat.paper.theory.samples import MULTI, Samples
from cktat.seeds import generator

SampleKind = Literal["mixed", "single", "multi"]


@dataclass(frozen=True)
class MultiView:
    """The distribution D of Definition A.2, with every parameter of Definition A.1.

    k: classes. d: dimension of a patch. P: patches of an input. C_p: patches that a feature takes. s: sparsity; a feature
    of another class is there with probability s / k. mu: share of single-view samples. noise: standard deviation of
    Gaussian noise on every coordinate of every patch.
    The sum of z_p over a feature's patches is uniform in [1, most] for features that the sample shows in full, in
    [rho, rho_most * rho] for the one that a single-view sample lacks, and in [Gamma_least * Gamma, Gamma] for features of
    other classes: `most`, `rho_most` and `Gamma_least` stand for the constants in O(1), O(rho) and Omega(Gamma). The
    paper's rho = k^-0.01 is nearly 1, so that nothing would be lacking; 0.1 is what makes a view single at 10 classes.
    alike: cosine between the second features of any two classes, which then share a direction; 0 is the definition (Eq. 18,
    19). It makes the second feature the one that an adversary can turn into another class's with the shorter step.
    seed: of the features, which are drawn once: 2k orthonormal vectors where `alike` is 0.

    Raises CktatError that names the inequality where the definition has no sample.
    """

    k: int = 10
    d: int = 40
    P: int = 25
    C_p: int = 1
    s: float = 1.0
    Gamma: float = 0.1
    rho: float = 0.1
    mu: float = 0.4
    noise: float = 0.05
    most: float = 1.5
    rho_most: float = 1.5
    Gamma_least: float = 0.5
    alike: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("k", "d", "P", "C_p", "seed"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise CktatError(f"multi-view data: {name} must be a whole number, not {value!r}")
        for name in ("s", "Gamma", "rho", "mu", "noise", "most", "rho_most", "Gamma_least", "alike"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise CktatError(f"multi-view data: {name} must be a finite number, not {value!r}")
        for inequality, holds in (
            ("k >= 2", self.k >= 2),
            ("C_p >= 1", self.C_p >= 1),
            ("seed >= 0", self.seed >= 0),
            (f"2k <= d (the 2k = {2 * self.k} features are orthogonal)", 2 * self.k <= self.d),
            (
                f"2k C_p <= P (all 2k features may be there, each on {self.C_p} patches of its own: {2 * self.k * self.C_p})",
                2 * self.k * self.C_p <= self.P,
            ),
            ("1 <= s <= k (s / k is a probability)", 1 <= self.s <= self.k),
            ("0 <= Gamma <= 1", 0 <= self.Gamma <= 1),
            ("0 <= rho <= 1", 0 <= self.rho <= 1),
            ("0 <= mu <= 1", 0 <= self.mu <= 1),
            ("noise >= 0", self.noise >= 0),
            ("most >= 1", self.most >= 1),
            ("rho_most >= 1", self.rho_most >= 1),
            ("0 <= Gamma_least <= 1", 0 <= self.Gamma_least <= 1),
            ("0 <= alike < 1", 0 <= self.alike < 1),
            (
                "2k + 1 <= d (second features that are alike share one more direction)",
                not self.alike or 2 * self.k < self.d,
            ),
        ):
            if not holds:
                given = ", ".join(f"{n} = {getattr(self, n):g}" for n in _names(inequality))
                raise CktatError(f"multi-view data must have {inequality}, not {given}")

    @classmethod
    def two_classes(cls, **changes: float) -> MultiView:
        """Eq. 2 and 3: two classes, 60 % of samples with both features, 20 % with each one alone, at weight exactly 1."""
        return cls.k_classes(2, **changes)

    @classmethod
    def k_classes(cls, k: int, mu: float = 0.4, **changes: float) -> MultiView:
        """Eq. 16: a share 1 - mu with both features and mu / 2 with each one alone, at weight 1; nothing else, no noise.

        4k dimensions, so that there is room for 2k mixtures beside the 2k features.
        """
        exact = {"d": 4 * k, "P": 2 * k, "Gamma": 0.0, "rho": 0.0, "noise": 0.0, "most": 1.0}
        return cls(**({"k": k, "mu": mu} | exact | changes))  # type: ignore[arg-type]

    @classmethod
    def as_printed(cls, k: int, **changes: float) -> MultiView:
        """The example of Appendix A.1: P = k^2, Gamma = k^-1.5, rho = k^-0.01, s = k^0.2 (its largest)."""
        printed = {"d": 4 * k, "P": k * k, "Gamma": k**-1.5, "rho": k**-0.01, "s": max(1.0, k**0.2)}
        return cls(**({"k": k} | printed | changes))

    @cached_property
    def features(self) -> Tensor:
        """v_{i,l}: [k, 2, d], unit vectors, orthonormal (Eq. 18) but for the cosine `alike` between second features."""
        draws = generator(self.seed, "features")
        drawn = torch.randn(self.d, 2 * self.k, generator=draws, dtype=torch.float64)
        found = torch.linalg.qr(drawn).Q.T.reshape(self.k, 2, self.d)
        if self.alike:
            shared = torch.randn(self.d, generator=draws, dtype=torch.float64)
            shared -= found.flatten(0, 1).T @ (found.flatten(0, 1) @ shared)
            found[:, 1] = (1 - self.alike) ** 0.5 * found[:, 1] + self.alike**0.5 * shared / shared.norm()
        return found.float()

    def sample(self, n: int, seed: int = 0, kind: SampleKind = "mixed") -> Samples:
        """n samples. kind: "mixed" holds (1 - mu) n multi-view and mu n single-view ones (to the nearest whole number), in
        random order; "single" and "multi" hold one kind only. The same seed draws the same samples."""
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise CktatError(f"multi-view data: the number of samples must be a whole number of 1 or more, not {n!r}")
        shares = {"mixed": self.mu, "single": 1.0, "multi": 0.0}
        if kind not in shares:
            raise unknown("kind of multi-view samples", kind, shares)
        draws = generator(self.seed, "samples", seed, kind)
        k, rows = self.k, torch.arange(n)
        y = torch.randint(k, (n,), generator=draws)
        single = torch.randperm(n, generator=draws) < round(shares[kind] * n)
        dominant = torch.where(single, torch.randint(2, (n,), generator=draws), MULTI)

        own = torch.nn.functional.one_hot(y, k).bool().unsqueeze(-1).expand(n, k, 2)
        others = torch.rand(n, k, 2, generator=draws) < self.s / k
        present = own | others
        lacking = torch.zeros(n, k, 2, dtype=torch.bool)
        lacking[rows[single], y[single], 1 - dominant[single]] = True

        low = _chosen(own, lacking, 1.0, self.rho, self.Gamma_least * self.Gamma)
        high = _chosen(own, lacking, self.most, self.rho_most * self.rho, self.Gamma)
        total = low + (high - low) * torch.rand(n, k, 2, generator=draws, dtype=torch.float64)
        parts = -torch.rand(n, k, 2, self.C_p, generator=draws, dtype=torch.float64).clamp_min(1e-12).log()
        z = present.unsqueeze(-1) * total.unsqueeze(-1) * parts / parts.sum(-1, keepdim=True)  # [n, k, 2, C_p]

        # one order of the patches per sample, dealt out: no two features meet
        order = torch.rand(n, self.P, generator=draws).argsort(dim=1)
        patches = order[:, : 2 * k * self.C_p].reshape(n, k, 2, self.C_p)
        weights = torch.zeros(n, self.P, 2 * k, dtype=torch.float64)
        weights[rows.view(-1, 1, 1), patches.reshape(n, 2 * k, self.C_p), torch.arange(2 * k).view(1, -1, 1)] = (
            z.reshape(n, 2 * k, self.C_p)
        )
        x = weights.float() @ self.features.reshape(2 * k, self.d)
        x = x + self.noise * torch.randn(n, self.P, self.d, generator=draws)
        return Samples(x, y, single, dominant, present, z, torch.where(present.unsqueeze(-1), patches, MULTI))


def _chosen(own: Tensor, lacking: Tensor, full: float, lacked: float, other: float) -> Tensor:
    """Per feature [n, k, 2], float64: of the label and shown, of the label and lacked, or of another class."""
    values = torch.tensor([other, full, lacked], dtype=torch.float64)
    return values[own.long() + lacking.long()]


def _names(inequality: str) -> list[str]:
    """The parameters that an inequality speaks of, in its order."""
    known = (
        "k",
        "d",
        "P",
        "C_p",
        "s",
        "Gamma",
        "rho",
        "mu",
        "noise",
        "most",
        "rho_most",
        "Gamma_least",
        "alike",
        "seed",
    )
    words = inequality.partition(" (")[0].replace("2k", "k").split()
    return [word for word in words if word in known]
