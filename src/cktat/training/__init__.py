"""The loss with its attack, and the loop that trains by it. It is handed a design and knows none by name."""

from cktat.training.callback import Begun, Callback, Callbacks
from cktat.training.fit import fit
from cktat.training.loop import Diverged, Training
from cktat.training.loss import AdversarialLoss
from cktat.training.optimiser import OF_SGD, OPTIMISERS, check_optimiser
from cktat.training.team import Team

__all__ = [
    "OF_SGD", "OPTIMISERS", "AdversarialLoss", "Begun", "Callback", "Callbacks", "Diverged", "Team", "Training",
    "check_optimiser", "fit",
]  # fmt: skip
