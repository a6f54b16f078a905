"""Section 3 and Appendix A as something to run: multi-view data, the accounting of errors, weights split into features."""

from cktat.paper.theory.accounting import (
    boundary_mu,
    clean_error_after,
    clean_error_before,
    lacks_incentive,
    learning_gain,
    least_k2,
    robust_error_after,
    robust_error_before,
)
from cktat.paper.theory.decompose import (
    Decomposition,
    Purification,
    by_feature,
    correlations,
    purification,
    ratio_on_data,
    ratio_on_perturbation,
    split,
    split_by_class,
    split_by_feature,
    without_mixture,
)
from cktat.paper.theory.example import EXAMPLE, WorkedExample, worked_example
from cktat.paper.theory.ideal import ClaimDistances, against_mixtures, along_mixture, claim
from cktat.paper.theory.montecarlo import Checked, TwoFeatureModel, monte_carlo
from cktat.paper.theory.multiview import MultiView
from cktat.paper.theory.samples import Samples
from cktat.paper.theory.sparse_coding import SparseCoding
from cktat.paper.theory.terms import Terms, lead, rise, terms
from cktat.paper.theory.training_error import clean_training_error, robust_training_error, softmax_error

__all__ = [
    "EXAMPLE", "Checked", "ClaimDistances", "Decomposition", "MultiView", "Purification", "Samples", "SparseCoding", "Terms",
    "TwoFeatureModel", "WorkedExample", "against_mixtures", "along_mixture", "boundary_mu", "by_feature", "claim",
    "clean_error_after", "clean_error_before", "clean_training_error", "correlations", "lacks_incentive",
    "lead", "learning_gain", "least_k2", "monte_carlo", "purification", "ratio_on_data", "ratio_on_perturbation",
    "rise", "robust_error_after", "robust_error_before", "robust_training_error", "softmax_error", "split", "split_by_class",
    "split_by_feature", "terms", "without_mixture", "worked_example",
]  # fmt: skip
