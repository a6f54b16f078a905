"""Data sets: readers with fixed splits, and device-resident batches that can be produced again from a seed."""

from cktat.data.archives import ARCHIVES, fetch, locate
from cktat.data.batches import Augment, Batch, Batches, ordered
from cktat.data.dataset import Dataset, Split
from cktat.data.given import dataset_of
from cktat.data.loading import DATASETS, Reader, load
from cktat.data.photographs import as_pixels

__all__ = [
    "ARCHIVES",
    "DATASETS",
    "Augment",
    "Batch",
    "Batches",
    "Dataset",
    "Reader",
    "Split",
    "as_pixels",
    "dataset_of",
    "fetch",
    "load",
    "locate",
    "ordered",
]
