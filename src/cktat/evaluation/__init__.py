"""Accuracy under attack, with its evidence, and the page that shows it."""

from cktat.evaluation.evaluate import STANDARD_ATTACKS, evaluate, for_report, known_attacks
from cktat.evaluation.measure import flags
from cktat.evaluation.paired import Paired, compare_pair, holm, mcnemar
from cktat.evaluation.report import write_report
from cktat.evaluation.result import CLEAN, Result, worst_case
from cktat.evaluation.statistics import Spread, spread, student_p, student_quantile, wilson
from cktat.evaluation.subject import Subject, load_subject
from cktat.evaluation.table import measured, result_files, results_of, text_table

__all__ = [
    "CLEAN", "STANDARD_ATTACKS", "Paired", "Result", "Spread", "Subject", "compare_pair", "evaluate", "flags", "for_report",
    "holm", "known_attacks", "load_subject", "mcnemar", "measured", "result_files", "results_of", "spread", "student_p",
    "student_quantile", "text_table", "wilson", "worst_case", "write_report",
]  # fmt: skip
