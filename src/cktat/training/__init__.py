"""The training loop and what it needs: configuration, checkpoints, stopping. It is handed a design and knows none by name."""

from cktat.training.fit import fit
from cktat.training.loop import Diverged, Training, Watch
from cktat.training.team import Team

__all__ = ["Diverged", "Team", "Training", "Watch", "fit"]
