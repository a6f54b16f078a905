"""The thirteen designs of adversarial training, each a declaration in a file of its own."""

from typing import Any

from cktat.designs.ard import ard
from cktat.designs.cktat import cktat
from cktat.designs.generalist import generalist
from cktat.designs.hat import hat
from cktat.designs.iad import iad
from cktat.designs.kd_at_auto import kd_at_auto
from cktat.designs.lbgat import lbgat
from cktat.designs.ltd import ltd
from cktat.designs.mart import mart
from cktat.designs.pgd_at import pgd_at
from cktat.designs.registry import Maker, build, parameters
from cktat.designs.rslad import rslad
from cktat.designs.standard import standard
from cktat.designs.trades import trades
from cktat.labels import Design

DESIGNS: dict[str, Maker] = {
    maker.__name__: maker
    for maker in (standard, pgd_at, trades, mart, ard, iad, rslad, ltd, lbgat, kd_at_auto, hat, generalist, cktat)
}


def make(spec: str, **hyper: Any) -> Design:
    """The design called `spec` - a name in DESIGNS, or `file.py:function` - with these hyper-parameters.

    Raises CktatError for an unknown name, an unknown parameter, or a value that the design does not allow.
    """
    return build(spec, DESIGNS, hyper)


__all__ = ["DESIGNS", "make", "parameters"]
