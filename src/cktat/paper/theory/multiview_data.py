"""The multi-view data of the paper's theory as a data set: patches for images, no box, and the same splits every time."""

from __future__ import annotations

from cktat.data import Dataset, Reader, Split
from cktat.paper.theory.drawn_data import parameters, without_box
from cktat.paper.theory.multiview import MultiView
from cktat.paper.theory.samples import Samples

SIZES = {"train": 1500, "held_out": 300, "test": 1000}
EPS = 0.1
"""Default radius in L_inf: with 40 dimensions it takes about half of a feature of weight 1 away."""


def parse(spec: str) -> tuple[MultiView, dict[str, int]]:
    """The distribution and the sizes of splits that `multiview`, or `multiview:mu=0.2,rho=0.05,train=500`, names."""
    return parameters(spec, "multi-view", MultiView, SIZES)


def split_of(data: MultiView, n: int, name: str) -> Samples:
    """The samples of one split, with all that is known of each; `read_multiview` gives the same as images and labels."""
    return data.sample(n, seed=list(SIZES).index(name))


def read_multiview(spec: str = "multiview") -> Dataset:
    """Images [N, d, P, 1] (a channel per dimension of a patch, a pixel per patch), float32, without box or normalisation.

    The splits depend on the parameters in `spec` alone (`seed` is one of them), never on the seed of a run.
    """
    data, sizes = parse(spec)
    samples = {name: split_of(data, n, name) for name, n in sizes.items()}
    splits = {name: Split(found.images, found.y) for name, found in samples.items()}
    return without_box(spec, splits, classes=data.k, eps=EPS)


READER = Reader(
    "samples of the paper's theory, patches for images; multiview:mu=0.2,rho=0.05 changes parameters",
    lambda spec, root: read_multiview(spec),
)
