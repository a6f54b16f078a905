"""What steps would cost on devices that are not here: from counts and from stated rates, never from a clock."""

from __future__ import annotations

from dataclasses import dataclass

from cktat.bench.trace import Counts


@dataclass(frozen=True)
class Machine:
    """What a device sustains. flops: matrix operations a second. bandwidth: bytes a second of its memory. launch: seconds
    from one kernel to the next at the host. link: bytes a second between two devices, in each direction."""

    flops: float
    bandwidth: float
    launch: float = 0.0
    link: float = float("inf")


def bound(counts: Counts, machine: Machine) -> tuple[float, str]:
    """Seconds that the counts take at least on one device, and what forbids less: "flops", "bytes" or "launches"."""
    times = {
        "flops": counts.flops / machine.flops,
        "bytes": counts.bytes / machine.bandwidth,
        "launches": counts.kernels * machine.launch,
    }
    longest = max(times, key=lambda name: times[name])
    return times[longest], longest


def step_seconds(
    fixed: Counts, per_image: Counts, batch_size: int, weights: float, devices: int, machine: Machine
) -> float:
    """Seconds of a training step of `batch_size` images that `devices` share.

    Args:
        fixed: what a step asks for whatever its batch, such as launches and reading the weights.
        per_image: what each image adds.
        batch_size: images of the whole batch, which the devices share equally.
        weights: bytes of the gradients that the devices exchange.
        devices: how many work together.
        machine: what each of them sustains.

    Returns:
        The bound of one device's part, and after it a ring's exchange: each device sends 2 (p - 1) / p of the gradients.

    Example:
        >>> machine = Machine(flops=100.0, bandwidth=1e9, link=10.0)
        >>> step_seconds(Counts(), Counts(flops=50.0), 8, weights=10.0, devices=2, machine=machine)
        3.0
    """
    own = fixed + per_image * (batch_size // devices)
    return bound(own, machine)[0] + 2 * (devices - 1) / devices * weights / machine.link
