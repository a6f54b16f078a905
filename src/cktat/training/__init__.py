"""The loss with its attack, and the loop that trains by it. It is handed a design and knows none by name."""

from cktat.training.callback import Begun, Callback, Callbacks
from cktat.training.fit import fit
from cktat.training.loop import Diverged, Training
from cktat.training.loss import AdversarialLoss
from cktat.training.team import Team

__all__ = ["AdversarialLoss", "Begun", "Callback", "Callbacks", "Diverged", "Team", "Training", "fit"]
