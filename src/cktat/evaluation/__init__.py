"""Accuracy under attack, with its evidence."""

from cktat.evaluation.doubts.examine import IMAGES, examine
from cktat.evaluation.doubts.finding import Finding, Verdict
from cktat.evaluation.doubts.recorded import doubts_of, verdict_of
from cktat.evaluation.evaluate import BATCH_SIZE, STANDARD_ATTACKS, evaluate, for_report, known_attacks
from cktat.evaluation.lowest import ClaimedAccuracy, check_claimed, claim_of, headline, lowest, measured_on
from cktat.evaluation.measure import flags
from cktat.evaluation.paired import Paired, compare_pair, holm, mcnemar
from cktat.evaluation.result import CLEAN, Result, worst_case
from cktat.evaluation.rows import ResultRow, current_rows, measured, result_files, results_of
from cktat.evaluation.statistics import Spread, spread, student_p, student_quantile, wilson
from cktat.evaluation.subject import Subject, load_subject

__all__ = [
    "BATCH_SIZE", "CLEAN", "IMAGES", "STANDARD_ATTACKS", "ClaimedAccuracy", "Finding", "Paired", "Result", "ResultRow",
    "Spread", "Subject", "Verdict", "check_claimed", "claim_of", "compare_pair", "current_rows", "doubts_of",
    "evaluate", "examine", "flags", "for_report", "headline", "holm", "known_attacks", "load_subject", "lowest",
    "mcnemar", "measured", "measured_on", "result_files", "results_of", "spread", "student_p", "student_quantile",
    "verdict_of", "wilson", "worst_case",
]  # fmt: skip
