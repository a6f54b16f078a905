"""Data sets: readers with fixed splits, and device-resident batches that can be produced again from a seed."""

from cktat.data.archives import ARCHIVES, fetch, locate
from cktat.data.batches import Augment, Batch, Batches, ordered
from cktat.data.dataset import Dataset, Split
from cktat.data.given import dataset_of
from cktat.data.loading import DATASETS, Reader, load

__all__ = [
    "ARCHIVES",
    "DATASETS",
    "Augment",
    "Batch",
    "Batches",
    "Dataset",
    "Reader",
    "Split",
    "dataset_of",
    "fetch",
    "load",
    "locate",
    "ordered",
]
