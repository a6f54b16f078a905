"""The paper's claim put to a test: the same network trained by several designs on multi-view data, feature by feature."""

from cktat.experiments.theory.experiment import experiment
from cktat.experiments.theory.setting import Condition, Setting, quick, quick_sparse, sparse_setting
from cktat.experiments.theory.summary import Summary, summarise

__all__ = ["Condition", "Setting", "Summary", "experiment", "quick", "quick_sparse", "sparse_setting", "summarise"]
