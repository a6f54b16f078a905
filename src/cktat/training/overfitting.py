"""Catastrophic overfitting of single-step training: the network withstands the one step that it was trained with, and no other.

Source: Wong, Rice and Kolter, "Fast is better than free", ICLR 2020, who stop where PGD accuracy drops by 20 points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from cktat.errors import CktatError
from cktat.schema import Threat
from cktat.training.score import at_chance

SURE = 3.0
"""Standard deviations of the difference of two accuracies, beyond which a fall is more than the luck of so many images."""


class Overfitted(CktatError):
    """A single-step training overfitted catastrophically; what was saved after the epochs before is kept."""

    exit_code = 1
    shared = True


def overfitting(
    history: Sequence[Mapping[str, Any]], record: Mapping[str, Any], threat: Threat, labels: Tensor
) -> str | None:
    """What is said of an epoch in which the accuracy under PGD fell while that under the single step rose, None if it did not.

    Both are held against the epoch that was best under PGD, so that a slow fall is found as a sudden one is. A network that
    answers all images alike withstands PGD, too, so a best epoch at chance counts for nothing. history: the records of the
    epochs before; labels: of the held-out images.
    """
    now = record["held_out"]
    if "single_step" not in now or not history:
        return None
    best = max(history, key=lambda line: (line["held_out"]["pgd"], line["held_out"]["clean"]))  # as weights are chosen
    was = best["held_out"]
    luck = math.sqrt(sum(share * (1 - share) / now["images"] for share in (was["pgd"], now["pgd"])))
    if (
        at_chance(was["pgd"], labels)
        or was["pgd"] - now["pgd"] <= SURE * luck
        or now["single_step"] <= was["single_step"]
    ):
        return None
    return (
        f"epoch {record['epoch']}: catastrophic overfitting: on held-out images the accuracy under PGD fell from "
        f"{was['pgd']:.3f} (epoch {best['epoch']}) to {now['pgd']:.3f} while that under {threat.inner} rose from "
        f"{was['single_step']:.3f} to {now['single_step']:.3f}; the weights of epoch {best['epoch']} are kept as the best"
    )
