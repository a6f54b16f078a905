"""The designs of adversarial training, each a declaration in a file of its own: thirteen, and those that came later."""

from typing import Any

from cktat.designs.ard import ard
from cktat.designs.cktat import cktat
from cktat.designs.generalist import generalist
from cktat.designs.hat import hat
from cktat.designs.iad import iad
from cktat.designs.kd_at_auto import kd_at_auto
from cktat.designs.later.adaad import adaad
from cktat.designs.later.adr import adr
from cktat.designs.later.alp import alp
from cktat.designs.later.ikl import ikl
from cktat.designs.later.kd_swa import kd_swa
from cktat.designs.later.label_smoothing import label_smoothing
from cktat.designs.later.uiat import uiat
from cktat.designs.lbgat import lbgat
from cktat.designs.ltd import ltd
from cktat.designs.mart import mart
from cktat.designs.pgd_at import pgd_at
from cktat.designs.registry import build, label_design, parameters
from cktat.designs.rslad import rslad
from cktat.designs.standard import standard
from cktat.designs.trades import trades
from cktat.designs.typed import Designs
from cktat.labels import Design

DESIGNS = Designs(
    standard=standard,
    pgd_at=pgd_at,
    trades=trades,
    mart=mart,
    ard=ard,
    iad=iad,
    rslad=rslad,
    ltd=ltd,
    lbgat=lbgat,
    kd_at_auto=kd_at_auto,
    hat=hat,
    generalist=generalist,
    cktat=cktat,
    adaad=adaad,
    adr=adr,
    kd_swa=kd_swa,
    ikl=ikl,
    uiat=uiat,
    label_smoothing=label_smoothing,
    alp=alp,
)
"""Name -> function of hyper-parameters that gives the design. A type checker knows the parameters of each. Others come with
`DESIGNS.register`, or by an entry point in the group "cktat.designs".

>>> print(DESIGNS["trades"](3.0))
S(x):y + 3 S(x'):S(x)
"""


LATER = tuple(name for name in DESIGNS.own if ".later." in DESIGNS[name].__module__)
"""Names of the designs that are not in the paper: what came after it, and two baselines."""

PAPER = tuple(name for name in DESIGNS.own if name not in LATER)
"""Names of the designs that are in the paper."""


def make(spec: str, **hyper: Any) -> Design:
    """The design of a name that is known only when the program runs.

    Args:
        spec: A name in DESIGNS, or `file.py:function`.
        hyper: Its hyper-parameters by name.

    Raises:
        CktatError: for an unknown name, an unknown parameter, or a value that the design does not allow.

    >>> make("trades", beta=3.0) == trades(3.0)
    True
    """
    return build(spec, DESIGNS, hyper)


__all__ = [
    "DESIGNS", "LATER", "PAPER", "adaad", "adr", "alp", "ard", "cktat", "generalist", "hat", "iad", "ikl", "kd_at_auto",
    "kd_swa", "label_design", "label_smoothing", "lbgat", "ltd", "make", "mart", "parameters", "pgd_at", "rslad",
    "standard", "trades", "uiat",
]  # fmt: skip
