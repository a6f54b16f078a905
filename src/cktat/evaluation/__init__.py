"""Accuracy under attack, with its evidence, and the page that shows it."""

from cktat.evaluation.doubts import Finding, Verdict, doubts_of, examine, verdict_of
from cktat.evaluation.evaluate import STANDARD_ATTACKS, evaluate, for_report
from cktat.evaluation.measure import flags
from cktat.evaluation.report import write_report
from cktat.evaluation.result import CLEAN, Result, worst_case
from cktat.evaluation.statistics import wilson
from cktat.evaluation.subject import Subject, load_subject
from cktat.evaluation.table import results_of, text_table

__all__ = [
    "CLEAN", "STANDARD_ATTACKS", "Finding", "Result", "Subject", "Verdict", "doubts_of", "evaluate", "examine", "flags",
    "for_report", "load_subject", "results_of", "text_table", "verdict_of", "wilson", "worst_case", "write_report",
]  # fmt: skip
