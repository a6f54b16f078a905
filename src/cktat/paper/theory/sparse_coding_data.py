"""The sparse-coding data of Section 3.1.2 as a data set: a vector for an image of one pixel, no box, the same splits every
time."""

from __future__ import annotations

from cktat.data import Dataset, Reader, Split
from cktat.paper.theory.drawn_data import parameters, without_box
from cktat.paper.theory.sparse_coding import SparseCoding

SIZES = {"train": 2000, "held_out": 500, "test": 1000}
EPS = 0.02
"""Default radius in L_inf: with 64 dimensions as long as 0.16 in L2, where every entry of z is 0.5."""


def parse(spec: str) -> tuple[SparseCoding, dict[str, int]]:
    """The distribution and the sizes of splits that `sparse-coding`, or `sparse-coding:d=32,k=3,train=500`, names."""
    return parameters(spec, "sparse-coding", SparseCoding, SIZES)


def read_sparse_coding(spec: str = "sparse-coding") -> Dataset:
    """Images [N, d, 1, 1] (a channel per dimension), float32, without box or normalisation; labels 0 and 1.

    The splits depend on the parameters in `spec` alone (`seed` is one of them), never on the seed of a run.
    """
    data, sizes = parse(spec)
    splits = {}
    for number, (name, n) in enumerate(sizes.items()):
        x, y, _ = data.sample(n, seed=number)
        splits[name] = Split(x[..., None, None], y)
    return without_box(spec, splits, classes=2, eps=EPS)


READER = Reader(
    "vectors M z + noise of the paper's theory, z sparse; sparse-coding:d=32,k=3 changes parameters",
    lambda spec, root: read_sparse_coding(spec),
)
