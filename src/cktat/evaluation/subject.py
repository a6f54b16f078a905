"""What is evaluated: a run's weights, as a network, with the test images of the data it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from cktat.attacks import Norm
from cktat.data import Dataset, load
from cktat.errors import CktatError
from cktat.models import Normalised, build, require_types
from cktat.training import RunFolder, short


@dataclass(frozen=True)
class Subject:
    """A network under evaluation, its card, the run it is of and its data."""

    run: RunFolder
    pick: str
    module: Normalised
    card: dict[str, Any]
    data: Dataset

    @property
    def norm(self) -> Norm:
        """The norm of the ball that its adversary moved in."""
        return self.card["norm"]

    def provenance(self) -> dict[str, Any]:
        return {
            "run": self.card["run"],
            "design": self.card["design"],
            "weights": self.pick,
            "weights_sha256": self.card["weights_sha256"],
            "epoch": self.card["epoch"],
            "data": self.card["data"],
        }


def load_subject(
    run: RunFolder, pick: str, root: str | None, device: torch.device, data: Dataset | None = None
) -> Subject:
    """The `pick`ed weights of a run, on the device. data: the run's data set, if it is loaded already.

    Raises CktatError if the weights do not fit their card or the data differ."""
    if pick not in ("best", "last"):
        raise CktatError(f"weights must be best or last, not {pick!r}")
    config = run.config()
    if not run.weights(pick).exists():
        raise CktatError(f"{run.path} has no {pick} weights yet: no epoch of it is finished")
    weights, card = run.load(pick)
    data = data or load(config.data, root or config.root).subset(config.examples)
    if data.fingerprint != card["data"]["fingerprint"]:
        raise CktatError(f"data {config.data!r} is not what {run.path} was trained on; its content has changed")
    for name, ours in (("channels", data.channels), ("size", list(data.size)), ("classes", list(data.classes))):
        if card[name] != ours:
            raise CktatError(
                f"{run.weights(pick)}: its card says {name} {short(card[name])}, data {config.data!r} have {short(ours)}"
            )
    module = build(
        card["model"], classes=len(card["classes"]), channels=card["channels"], mean=card["mean"], std=card["std"]
    )
    try:
        require_types(module, weights, str(run.weights(pick)))
        module.load_state_dict(weights)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise CktatError(
            f"{run.weights(pick)} does not fit the network {card['model']} with {len(card['classes'])} classes that its "
            f"card names: {lines[min(1, len(lines) - 1)]}"
        ) from None
    # channels last: a third to a half quicker in fp32 on a CPU
    module = module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Subject(run, pick, module.eval(), card, data)
