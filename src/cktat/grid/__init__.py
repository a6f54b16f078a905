"""Many runs as one piece of work: what needs what, what is there already, who computes the rest."""

from cktat.grid.evidence import BEST_AND_LAST, Evidence, about, export, results
from cktat.grid.execute import GridOutcome
from cktat.grid.graph import Asked, GridRun, Measurement
from cktat.grid.grid import Grid, configured
from cktat.grid.nearest import unmeasured

__all__ = [
    "BEST_AND_LAST", "Asked", "Evidence", "Grid", "GridOutcome", "GridRun", "Measurement", "about", "configured",
    "export", "results", "unmeasured",
]  # fmt: skip
