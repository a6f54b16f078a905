"""Samples of multi-view data: what each is, and what is where in it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

MULTI = -1
"""Stands where there is no single feature (a multi-view sample) and no patch (an absent feature)."""


@dataclass(frozen=True, eq=False)
class Samples:
    """n samples of k classes, P patches of dimension d, features indexed by (class, 0 or 1).

    x: float32 [n, P, d]. y: labels [n]. single: whether single-view [n]. dominant: which of its class's features a
    single-view sample shows, 0 or 1, and -1 for multi-view samples [n]. present: V(X), the features in it [n, k, 2].
    z: coefficients on the feature's patches, 0 where absent, float64 [n, k, 2, C_p]. patches: P_v(X), the places of the
    feature's patches, -1 where absent [n, k, 2, C_p].
    """

    x: Tensor
    y: Tensor
    single: Tensor
    dominant: Tensor
    present: Tensor
    z: Tensor
    patches: Tensor

    def __len__(self) -> int:
        return len(self.y)

    @property
    def images(self) -> Tensor:
        """x as images [n, C = d, H = P, W = 1]: a channel per dimension of a patch, a pixel per patch."""
        return self.x.transpose(1, 2).unsqueeze(-1).contiguous()

    @property
    def kinds(self) -> tuple[str, ...]:
        """ "multi" or "single" for each sample [n]."""
        return tuple("single" if single else "multi" for single in self.single.tolist())

    def where(self, chosen: Tensor) -> Samples:
        """The samples that a mask [n] marks, or that indices name, in order."""
        fields = (self.x, self.y, self.single, self.dominant, self.present, self.z, self.patches)
        return Samples(*(field[chosen] for field in fields))
