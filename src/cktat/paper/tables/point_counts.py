"""How many knowledge points networks have on the same images: means, spreads and paired differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from torch import Tensor

from cktat.pages.text import mean_sd
from cktat.paper.experiments.summary import Spread, says, spread
from cktat.paper.knowledge import Points, points

OTHERS = (0.1, 0.2, 0.5, 1.0)
"""Thresholds in nats that the mean counts are recorded at, too: whether an order hangs on the choice of one."""


@dataclass(frozen=True)
class Counted:
    """Per network, by name: its knowledge points on the same images, at `threshold` and, mean counts in the foreground
    alone, at others."""

    threshold: float
    points: Mapping[str, Points]
    at_others: Mapping[str, Mapping[float, float]]

    @property
    def images(self) -> int:
        return len(next(iter(self.points.values())).found)

    def rows(self) -> list[tuple[str, ...]]:
        """Header and a line per network: mean ± standard deviation over images of the counts in the foreground and the
        background, and the share of all points that lie in the foreground."""
        lines = [("network", "inside", "outside", "share inside", *(f"inside at {b:g}" for b in OTHERS))]
        for name, found in self.points.items():
            inside, outside = found.on_foreground, found.on_background
            share = inside.sum() / (inside + outside).sum().clamp(min=1)
            others = (f"{self.at_others[name][b]:.1f}" for b in OTHERS)
            lines.append((name, mean_sd(_spread(inside)), mean_sd(_spread(outside)), f"{100 * share:.0f} %", *others))
        return lines

    def differences(self) -> list[tuple[str, str, Spread]]:
        """(a, b, a's count in the foreground minus b's, image by image) for every two networks, the later first."""
        pairs = combinations(self.points, 2)
        return [(a, b, _spread(self.points[a].on_foreground - self.points[b].on_foreground)) for b, a in pairs]

    def sentences(self) -> list[str]:
        """The differences in words."""
        said = []
        for a, b, d in self.differences():
            half = "" if d.half is None else f", 95 % interval {d.mean - d.half:+.1f} to {d.mean + d.half:+.1f}"
            verdict = {"holds": "more", "opposite": "fewer"}.get(says(d), says(d))
            said.append(f"{a} - {b}: {mean_sd(d, signed=True)}{half} ({verdict})")
        return said

    def record(self) -> dict[str, Any]:
        """All of it as JSON values, with the counts of every image."""
        return {
            "images": self.images,
            "networks": {
                name: {
                    "inside": found.on_foreground.tolist(),
                    "outside": found.on_background.tolist(),
                    "mean_inside_at_threshold": {f"{b:g}": self.at_others[name][b] for b in OTHERS},
                }
                for name, found in self.points.items()
            },
            "differences": [
                {"of": [a, b], "mean": d.mean, "deviation": d.deviation, "half_of_95_percent": d.half}
                for a, b, d in self.differences()
            ],
        }


def count(entropies: Mapping[str, Tensor], threshold: float) -> Counted:
    """Counts knowledge points. entropies: by network, [N, h, w] of the same images."""
    by_network = {name: points(entropy, threshold) for name, entropy in entropies.items()}
    others = {
        name: {b: float(points(entropy, b).on_foreground.float().mean()) for b in OTHERS}
        for name, entropy in entropies.items()
    }
    return Counted(threshold, by_network, others)


def _spread(values: Tensor) -> Spread:
    found = spread(values.tolist())
    assert found is not None
    return found
