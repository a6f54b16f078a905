"""Many runs as one piece of work: what needs what, what is there already, who computes the rest."""

from cktat.experiments.grid.evidence import PICKS, Evidence, about, export, results
from cktat.experiments.grid.execute import Outcome
from cktat.experiments.grid.graph import Asked, Measurement, Run
from cktat.experiments.grid.grid import Grid, configured
from cktat.experiments.grid.nearest import unmeasured

__all__ = [
    "PICKS", "Asked", "Evidence", "Grid", "Measurement", "Outcome", "Run", "about", "configured", "export", "results",
    "unmeasured",
]  # fmt: skip
