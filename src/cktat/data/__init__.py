"""Data sets: readers with fixed splits, and device-resident batches that can be produced again from a seed."""

from cktat.data.archives import fetch, locate
from cktat.data.batches import Batch, Batches, ordered
from cktat.data.dataset import Dataset, Split
from cktat.data.loading import DATASETS, load

__all__ = ["DATASETS", "Batch", "Batches", "Dataset", "Split", "fetch", "load", "locate", "ordered"]
