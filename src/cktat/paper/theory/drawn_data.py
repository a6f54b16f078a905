"""Data that are drawn and not read: what a specification says of them, and a data set without a box of what was drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from cktat.data import Dataset, Split
from cktat.errors import CktatError, unknown

D = TypeVar("D")


def parameters(spec: str, kind: str, of: type[D], sizes: Mapping[str, int]) -> tuple[D, dict[str, int]]:
    """The distribution and the sizes of splits that `name`, or `name:parameter=value,train=500`, says.

    kind: what errors call the data. of: a dataclass of numbers. Raises CktatError for a parameter that does not exist, or
    that is no number.
    """
    _, _, given = spec.partition(":")
    known: dict[str, Any] = {field.name: field.default for field in fields(of)} | dict(sizes)  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in given.split(","))):
        name, _, text = part.partition("=")
        if name not in known:
            raise unknown(f"parameter of {kind} data", name, known)
        try:
            values[name] = type(known[name])(text)
        except ValueError:
            wanted = "a whole number" if isinstance(known[name], int) else "a number"
            raise CktatError(f"data {spec!r}: {name} must be {wanted}, not {text!r}") from None
    chosen = {name: values.pop(name, size) for name, size in sizes.items()}
    return of(**values), chosen


def without_box(spec: str, splits: Mapping[str, Split], *, classes: int, eps: float) -> Dataset:
    """A data set of numbers as they are: no box, no normalisation, no augmentation. eps: default radius in L_inf."""
    channels = splits["train"].images.shape[1]
    return Dataset(
        name=spec,
        train=splits["train"],
        held_out=splits["held_out"],
        test=splits["test"],
        classes=tuple(map(str, range(classes))),
        levels=1,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        box=None,
        eps=eps,
        augment="none",
    )
