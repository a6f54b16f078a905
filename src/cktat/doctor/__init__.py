"""Whether this machine can do what the package does: what is installed, what the machine has, and a short trial."""

from cktat.doctor.diagnosis import Diagnosis, State
from cktat.doctor.examine import Examined, examine

__all__ = ["Diagnosis", "Examined", "State", "examine"]
