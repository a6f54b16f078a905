"""Eq. 7 to 12 recomputed: sampled data, and a two-feature model whose mixtures are set by hand."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cktat.errors import CktatError
from cktat.paper.theory import accounting
from cktat.paper.theory.multiview import MultiView
from cktat.paper.theory.training_error import softmax_error

LEARNED = {"before": (True, False), "after": (True, True)}
"""Which of a class's features the model has learned."""


@dataclass(frozen=True)
class TwoFeatureModel:
    """A linear model of patches: F_i(X) = sum over p of <w_i, x_p>, where w_i holds, for each learned feature (j, l),

    a v_{j,l} if j = i (the pure part), and k_l D u_{j,l} if i is the class after j (the dense mixture, which speaks for the
    one wrong class that the paper keeps, l_max). u_{j,l} are unit directions beside the features, one for each.
    features: v [k, 2, d]. directions: u [k, 2, d]. residual: (k1, k2). learned: of the first and the second feature.
    """

    features: Tensor
    directions: Tensor
    residual: tuple[float, float]
    learned: tuple[bool, bool]
    a: float
    D: float

    def __call__(self, x: Tensor) -> Tensor:
        """Logits [N, k] of x [N, P, d]."""
        known = torch.tensor(self.learned, dtype=x.dtype)
        left = torch.tensor(self.residual, dtype=x.dtype)
        pure = self.a * torch.einsum("l,kld->kd", known, self.features.to(x.dtype))
        mixture = self.D * torch.einsum("l,kld->kd", known * left, self.directions.to(x.dtype))
        return x.sum(dim=1) @ (pure + mixture.roll(1, dims=0)).T

    def perturb(self, x: Tensor, shown: Tensor) -> Tensor:
        """X^ = X + sigma (Definition 4.1): on every feature that a sample shows, one unit along its mixture.

        shown: weight of each feature [N, k, 2]. The place is arbitrary, as the model sums over patches: the first one.
        """
        sigma = torch.einsum("nkl,kld->nd", (shown > 0).to(x.dtype), self.directions.to(x.dtype))
        return x + torch.nn.functional.pad(sigma.unsqueeze(1), (0, 0, 0, x.shape[1] - 1))

    def can_judge(self, shown: Tensor, y: Tensor) -> Tensor:
        """Whether a sample shows a feature of its class that is learned [N]; where not, the paper counts an error of 1."""
        own = shown[torch.arange(len(y)), y] > 0  # [N, 2]
        return (own & torch.tensor(self.learned)).any(dim=1)


@dataclass(frozen=True)
class Checked:
    """One quantity: its formula, its mean over samples, the standard error of that mean, and the mean that Definitions A.3
    and A.4 give to the letter, without the paper's conventions for samples that are judged surely or not at all."""

    name: str
    formula: float
    sampled: float
    standard_error: float
    literal: float

    @property
    def deviations(self) -> float:
        """How many standard errors the sampled mean lies from the formula; 0 where it is the same but for rounding."""
        gap = abs(self.sampled - self.formula)
        return 0.0 if gap < 1e-6 else gap / max(self.standard_error, 1e-12)


def monte_carlo(
    mu: float, k1: float, k2: float, a: float, D: float, *, n: int = 100_000, seed: int = 0
) -> tuple[Checked, ...]:
    """Eq. 7 to 12 on n samples of Eq. 2 and 3 (two classes: the softmax then holds the label and l_max, and no more).

    Two conventions of Section 3.2 are kept: a sample without a learned feature has error 1, and a clean sample with one is
    classified perfectly (error 0).
    """
    if n < 2:
        raise CktatError(f"a Monte Carlo check needs at least 2 samples, not {n}")
    if not 0 <= seed < 2**63:
        raise CktatError(f"a Monte Carlo check needs a seed of 0 or more, below 2**63, not {seed}")
    data = MultiView.two_classes(mu=mu, seed=seed)
    # mu n of n samples would be single-view exactly; what is checked is an expectation, so each sample is drawn by itself
    drawn = torch.rand(n, generator=torch.Generator().manual_seed(seed)) < mu
    single, multi = data.sample(n, seed, "single"), data.sample(n, seed, "multi")
    x = torch.where(drawn.view(-1, 1, 1), single.x, multi.x).double()
    y = torch.where(drawn, single.y, multi.y)
    shown = torch.where(drawn.view(-1, 1, 1), single.z.sum(-1), multi.z.sum(-1))
    robust, clean, robust_literal, clean_literal = {}, {}, {}, {}
    for when, learned in LEARNED.items():
        model = TwoFeatureModel(data.features, _beside(data), (k1, k2), learned, a, D)
        judged = model.can_judge(shown, y)
        robust_literal[when] = softmax_error(model(model.perturb(x, shown)), y)
        clean_literal[when] = softmax_error(model(x), y)
        robust[when] = torch.where(judged, robust_literal[when], 1.0)
        clean[when] = (~judged).double()
    terms = dict(mu=mu, k1=k1, k2=k2, a=a, D=D)
    rb, ra = accounting.robust_error_before(**terms), accounting.robust_error_after(**terms)
    cb, ca = accounting.clean_error_before(**terms), accounting.clean_error_after(**terms)
    return (
        _checked("Eq. 7, robust error before", rb, robust["before"], robust_literal["before"]),
        _checked("Eq. 8, robust error after", ra, robust["after"], robust_literal["after"]),
        _checked("Eq. 9, clean error before", cb, clean["before"], clean_literal["before"]),
        _checked("Eq. 10, clean error after", ca, clean["after"], clean_literal["after"]),
        _checked(
            "Eq. 11, robust after - before",
            -accounting.learning_gain(**terms),
            robust["after"] - robust["before"],
            robust_literal["after"] - robust_literal["before"],
        ),
        _checked(
            "Eq. 12, clean after - before",
            ca - cb,
            clean["after"] - clean["before"],
            clean_literal["after"] - clean_literal["before"],
        ),
    )


def _checked(name: str, formula: float, errors: Tensor, literal: Tensor) -> Checked:
    spread = float(errors.std()) / len(errors) ** 0.5
    return Checked(name, float(formula), float(errors.mean()), spread, float(literal.mean()))


def _beside(data: MultiView) -> Tensor:
    """2k orthonormal directions [k, 2, d] that are orthogonal to all features (d >= 4k)."""
    v = data.features.reshape(-1, data.d).double()
    rest = torch.linalg.svd(v).Vh[len(v) :]
    return rest[: len(v)].reshape(data.features.shape)
