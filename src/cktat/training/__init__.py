"""The loss with its attack, and the loop that trains by it. It is handed a design and knows none by name."""

from cktat.training.fit import fit
from cktat.training.loop import Diverged, Training, Watch
from cktat.training.loss import AdversarialLoss
from cktat.training.team import Team

__all__ = ["AdversarialLoss", "Diverged", "Team", "Training", "Watch", "fit"]
