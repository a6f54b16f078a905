"""The multi-view data of the paper's theory as a data set: patches for images, no box, and the same splits every time."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from cktat.data.dataset import Dataset, Split
from cktat.errors import CktatError, unknown
from cktat.theory import MultiView, Samples

SIZES = {"train": 1500, "held_out": 300, "test": 1000}
EPS = 0.1
"""Default radius in L_inf: with 40 dimensions it takes about half of a feature of weight 1 away."""


def parse(spec: str) -> tuple[MultiView, dict[str, int]]:
    """The distribution and the sizes of splits that `multiview`, or `multiview:mu=0.2,rho=0.05,train=500`, names.

    Raises CktatError for a parameter that does not exist, or that is no number.
    """
    _, _, given = spec.partition(":")
    known: dict[str, Any] = {field.name: field.default for field in fields(MultiView)} | SIZES
    values: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in given.split(","))):
        name, _, text = part.partition("=")
        if name not in known:
            raise unknown("parameter of multi-view data", name, known)
        try:
            values[name] = type(known[name])(text)
        except ValueError:
            wanted = "a whole number" if isinstance(known[name], int) else "a number"
            raise CktatError(f"data {spec!r}: {name} must be {wanted}, not {text!r}") from None
    sizes = SIZES | {name: values.pop(name) for name in SIZES if name in values}
    return MultiView(**values), sizes


def split_of(data: MultiView, n: int, name: str) -> Samples:
    """The samples of one split, with all that is known of each; `read_multiview` gives the same as images and labels."""
    return data.sample(n, seed=list(SIZES).index(name))


def read_multiview(spec: str = "multiview") -> Dataset:
    """Images [N, d, P, 1] (a channel per dimension of a patch, a pixel per patch), float32, without box or normalisation.

    The splits depend on the parameters in `spec` alone (`seed` is one of them), never on the seed of a run.
    """
    data, sizes = parse(spec)
    split = {}
    for name, n in sizes.items():
        samples = split_of(data, n, name)
        split[name] = Split(samples.images, samples.y)
    return Dataset(
        name=spec,
        train=split["train"],
        held_out=split["held_out"],
        test=split["test"],
        classes=tuple(map(str, range(data.k))),
        levels=1,
        mean=(0.0,) * data.d,
        std=(1.0,) * data.d,
        box=None,
        eps=EPS,
        augment="none",
    )
