"""Many runs as one piece of work: what needs what, what is there already, who computes the rest."""

from cktat.grid.evidence import PICKS, Evidence, about, export, results
from cktat.grid.execute import Outcome
from cktat.grid.graph import Asked, Measurement, Run
from cktat.grid.grid import Grid, configured
from cktat.grid.nearest import unmeasured

__all__ = [
    "PICKS", "Asked", "Evidence", "Grid", "Measurement", "Outcome", "Run", "about", "configured", "export", "results",
    "unmeasured",
]  # fmt: skip
