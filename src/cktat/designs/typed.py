"""DESIGNS as a type checker sees it: each name with the parameters of its design."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from cktat.designs.registry import Maker, of_package
from cktat.registry import Registry

A = TypeVar("A", bound=Maker)
B = TypeVar("B", bound=Maker)
C = TypeVar("C", bound=Maker)
D = TypeVar("D", bound=Maker)
E = TypeVar("E", bound=Maker)
F = TypeVar("F", bound=Maker)
G = TypeVar("G", bound=Maker)
H = TypeVar("H", bound=Maker)
I = TypeVar("I", bound=Maker)
J = TypeVar("J", bound=Maker)
K = TypeVar("K", bound=Maker)
L = TypeVar("L", bound=Maker)
M = TypeVar("M", bound=Maker)
N = TypeVar("N", bound=Maker)
O = TypeVar("O", bound=Maker)
P = TypeVar("P", bound=Maker)
Q = TypeVar("Q", bound=Maker)
R = TypeVar("R", bound=Maker)
S = TypeVar("S", bound=Maker)
T = TypeVar("T", bound=Maker)


class Designs(Registry[Maker], Generic[A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S, T]):
    """Name -> function of hyper-parameters that gives a design.

    A type checker takes the parameters of a name off the function itself, so that they are written once. A design that is
    missing in this list works all the same, without that; so do those of other packages, which come by entry points in the
    group "cktat.designs".
    """

    def taken(self, name: str, thing: Maker) -> Maker:
        return of_package(thing, name)

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            standard: A,
            pgd_at: B,
            trades: C,
            mart: D,
            ard: E,
            iad: F,
            rslad: G,
            ltd: H,
            lbgat: I,
            kd_at_auto: J,
            hat: K,
            generalist: L,
            cktat: M,
            adaad: N,
            adr: O,
            kd_swa: P,
            ikl: Q,
            uiat: R,
            label_smoothing: S,
            alp: T,
            **others: Maker,
        ) -> None: ...

        @overload
        def __getitem__(self, name: Literal["standard"]) -> A: ...
        @overload
        def __getitem__(self, name: Literal["pgd_at"]) -> B: ...
        @overload
        def __getitem__(self, name: Literal["trades"]) -> C: ...
        @overload
        def __getitem__(self, name: Literal["mart"]) -> D: ...
        @overload
        def __getitem__(self, name: Literal["ard"]) -> E: ...
        @overload
        def __getitem__(self, name: Literal["iad"]) -> F: ...
        @overload
        def __getitem__(self, name: Literal["rslad"]) -> G: ...
        @overload
        def __getitem__(self, name: Literal["ltd"]) -> H: ...
        @overload
        def __getitem__(self, name: Literal["lbgat"]) -> I: ...
        @overload
        def __getitem__(self, name: Literal["kd_at_auto"]) -> J: ...
        @overload
        def __getitem__(self, name: Literal["hat"]) -> K: ...
        @overload
        def __getitem__(self, name: Literal["generalist"]) -> L: ...
        @overload
        def __getitem__(self, name: Literal["cktat"]) -> M: ...
        @overload
        def __getitem__(self, name: Literal["adaad"]) -> N: ...
        @overload
        def __getitem__(self, name: Literal["adr"]) -> O: ...
        @overload
        def __getitem__(self, name: Literal["kd_swa"]) -> P: ...
        @overload
        def __getitem__(self, name: Literal["ikl"]) -> Q: ...
        @overload
        def __getitem__(self, name: Literal["uiat"]) -> R: ...
        @overload
        def __getitem__(self, name: Literal["label_smoothing"]) -> S: ...
        @overload
        def __getitem__(self, name: Literal["alp"]) -> T: ...
        @overload
        def __getitem__(self, name: str) -> Maker: ...
        def __getitem__(self, name: str) -> Any: ...

    else:

        def __init__(self, **own: Maker) -> None:
            super().__init__("cktat.designs", own, "a function that returns a Design")
