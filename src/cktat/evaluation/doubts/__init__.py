"""Whether an evaluation can be believed: checks for masked gradients and weak attacks, each with its evidence."""

from cktat.evaluation.doubts.examine import IMAGES, examine
from cktat.evaluation.doubts.finding import Finding, Verdict
from cktat.evaluation.doubts.recorded import doubts_of, verdict_of

__all__ = ["IMAGES", "Finding", "Verdict", "doubts_of", "examine", "verdict_of"]
