"""What a piece of work asks of a device, counted and not timed: operations, kernels launched, bytes moved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten
FREE = {
    aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty, aten.new_empty_strided, aten._unsafe_view,
    aten.lift_fresh, aten.set_,
}  # fmt: skip
"""What launches nothing, beside views of a tensor."""


@dataclass
class Counts:
    """flops: of matrix products and convolutions, two per multiply-add. kernels: operations launched, each as one. bytes:
    those of the tensors that they read and write, as if nothing stayed in a cache."""

    flops: float = 0.0
    kernels: int = 0
    bytes: float = 0.0

    def __sub__(self, other: Counts) -> Counts:
        return Counts(self.flops - other.flops, self.kernels - other.kernels, self.bytes - other.bytes)

    def __mul__(self, times: int) -> Counts:
        return Counts(self.flops * times, self.kernels * times, self.bytes * times)

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.flops + other.flops, self.kernels + other.kernels, self.bytes + other.bytes)


def counted(work: Callable[[], object]) -> Counts:
    """What `work` asks for, backward passes included.

    Operations are PyTorch's own, so the counts hold on every device up to what a backend fuses or splits. PyTorch's own
    FlopCounterMode follows modules with hooks that do not allow `autograd.grad`; its formulas are summed here without them.

    Args:
        work: what is done once.

    Returns:
        The counts.

    Example:
        >>> import torch
        >>> x = torch.ones(4, 8)
        >>> counted(lambda: x + 1)
        Counts(flops=0.0, kernels=1, bytes=256.0)
    """
    trace = _Trace()
    with trace:
        work()
    return trace.counts


def flops(work: Callable[[], object]) -> float:
    """The floating-point operations of `counted`."""
    return counted(work).flops


class _Trace(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.counts = Counts()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.counts.flops += formula(*args, **(kwargs or {}), out_val=out)
        if not (func.is_view or func._overloadpacket in FREE):
            moved = sum(one.nbytes for one in _tensors((*args, *(kwargs or {}).values(), out)))
            self.counts.kernels += 1
            self.counts.bytes += moved
        return out


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
