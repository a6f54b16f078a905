"""The paper's claim put to a test: the same network trained by several designs on multi-view data, feature by feature."""

from cktat.paper.experiments.experiment import experiment
from cktat.paper.experiments.setting import Condition, ExperimentSetting, quick, quick_sparse, sparse_setting
from cktat.paper.experiments.summary import Summary, summarise

__all__ = [
    "Condition", "ExperimentSetting", "Summary", "experiment", "quick", "quick_sparse", "sparse_setting", "summarise",
]  # fmt: skip
