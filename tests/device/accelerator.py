"""A pretend accelerator: a device that is not the CPU, whose numbers are those of the CPU.

A tensor on it wraps a CPU tensor that holds its numbers; every operation runs on what is wrapped. So a whole attack runs
on it, branches on its numbers included, and its results can be compared with the CPU's bit for bit. As on a GPU, tensors
of two devices do not mix, and every time that the host asks for a number is noted.

Registering it changes the process for good: it is done in a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretend"
FROM_THE_HOST = "copy from the host"
aten = torch.ops.aten

MOVES = {aten._to_copy.default, aten.copy_.default}
"""What may take tensors of two devices."""

ASKS = {
    aten._local_scalar_dense.default, aten.nonzero.default, aten.equal.default, aten.masked_select.default,
    aten._unique2.default, aten.is_nonzero.default,
}  # fmt: skip
"""What answers with a number, or with a tensor whose shape depends on numbers: a GPU's host waits for it."""

INDEXES = {aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default}


class Module:
    """What PyTorch asks of a device's module."""

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        return 0

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        """Everything is drawn on the CPU."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


class OnDevice(Tensor):
    """A tensor of the pretend device. held: the CPU tensor with its numbers."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnDevice:
        made = Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            device=torch.device(NAME, 0),
        )  # fmt: skip
        made.held = held
        return made

    def tolist(self) -> Any:
        """PyTorch's own takes no subclass."""
        return self.cpu().tolist()

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"OnDevice({self.held})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


class Pretending(TorchDispatchMode):
    """While it lasts, tensors can be made on the pretend device and moved to it. waited: hears of every time that the host
    waits for it."""

    def __init__(self, waited: Any) -> None:
        super().__init__()
        self.waited = waited

    def __enter__(self) -> Any:
        # torch.tensor(1.0, device=...) then makes a tensor of the CPU and moves it, which is seen here
        torch._C._set_only_lift_cpu_tensors(True)
        return super().__enter__()

    def __exit__(self, *args: Any) -> None:
        torch._C._set_only_lift_cpu_tensors(False)
        super().__exit__(*args)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {}, self.waited)


def run(func: Any, args: Any, kwargs: dict[str, Any], waited: Any = lambda what: None) -> Any:
    """The operation on what the tensors hold."""
    target = kwargs.get("device")
    to_device = target is not None and torch.device(target).type == NAME
    given = list(tensors((*args, *kwargs.values())))
    mine = [one for one in given if isinstance(one, OnDevice)]
    if not mine and not to_device:
        return func(*args, **kwargs)
    require_one_device(func, given, args)
    if func in ASKS or (func in INDEXES and by_mask(args[1])):
        waited(str(func))
    if func is aten._to_copy.default and mine and target is not None and not to_device:
        waited("copy to the host")
    if func is aten._to_copy.default and not mine and to_device:
        waited(FROM_THE_HOST)
    if func is aten.copy_.default and not all(isinstance(one, OnDevice) for one in args[:2]):
        waited("copy between host and device")
    inner_args = [unwrapped(one) for one in args]
    inner = {name: unwrapped(one) for name, one in kwargs.items()}
    if to_device:
        inner["device"] = torch.device("cpu")
    found = func(*inner_args, **inner)
    if func is aten._to_copy.default and target is not None and not to_device:
        return found.clone() if found is inner_args[0] else found
    if func is aten.copy_.default and not isinstance(args[0], OnDevice):
        return args[0]
    if to_device and func is aten._to_copy.default and not mine and found is inner_args[0]:
        found = found.clone()
    wrapped = wrap(found)
    return return_and_correct_aliasing(func, args, kwargs, wrapped) if mine else wrapped


# PyTorch's own trees of values take ten times as long, and an operation here is short.
def tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for one in values:
        if isinstance(one, Tensor):
            yield one
        elif isinstance(one, list | tuple):
            yield from tensors(one)


def unwrapped(one: Any) -> Any:
    if isinstance(one, OnDevice):
        return one.held
    return type(one)(map(unwrapped, one)) if isinstance(one, list | tuple) else one


def wrap(one: Any) -> Any:
    if isinstance(one, Tensor):
        return OnDevice(one)
    return type(one)(map(wrap, one)) if isinstance(one, list | tuple) else one


def by_mask(indices: Any) -> bool:
    return any(isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8) for one in indices if one is not None)


def require_one_device(func: Any, given: list[Tensor], args: Any) -> None:
    """A tensor of the CPU may stand among others only where a GPU takes it: a single number, an index, a copy."""
    if func in MOVES:
        return
    indices = {id(one) for one in args[1]} if func in INDEXES else set()
    for one in given:
        if not isinstance(one, OnDevice) and one.dim() and id(one) not in indices:
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found at least two devices, {NAME}:0 and "
                f"{one.device}, in {func}"
            )


def register() -> None:
    _setup_privateuseone_for_python_backend(NAME, Module())
