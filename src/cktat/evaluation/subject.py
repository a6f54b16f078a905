"""What is evaluated: a run's weights, as a network, with the test images of the data it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from cktat.attacks import Norm
from cktat.data import Dataset, load
from cktat.errors import CktatError
from cktat.models import Normalised, build, require_types
from cktat.runs import RunFolder, short
from cktat.usercode import absolute, is_file_function, recorded


@dataclass(frozen=True)
class Subject:
    """A network under evaluation, its card, the run it is of and its data."""

    run: RunFolder
    weights: str
    module: Normalised
    card: dict[str, Any]
    data: Dataset

    @property
    def norm(self) -> Norm:
        """The norm of the ball that its adversary moved in."""
        return self.card["norm"]

    @property
    def code(self) -> dict[str, str]:
        """sha256 of the user's text behind the network and the data, {} where all is the package's own or content."""
        model, data = self.card["model"], self.data.code
        own = {"model": self.card["code"][absolute(model)]} if is_file_function(model) else {}
        return own | ({"data": data} if data else {})

    def provenance(self) -> dict[str, Any]:
        return {
            "run": self.card["run"],
            "design": self.card["design"],
            "weights": self.weights,
            "weights_sha256": self.card["weights_sha256"],
            "epoch": self.card["epoch"],
            "data": self.card["data"],
        }


def load_subject(
    run: RunFolder,
    weights: str,
    root: str | None,
    device: torch.device,
    data: Dataset | None = None,
    *,
    moved_to: str | None = None,
    trust_code: bool = False,
) -> Subject:
    """The `weights` of a run, on the device. data: the run's data set, if it is loaded already; moved_to: what names
    it now, None for what named it in training.

    trust_code: whether a `file.py:function` that the run names may run where this user has not named the same text before;
    it is then shown. Raises CktatError if it may not, or is another text than the run's, if the weights do not fit their
    card or if the data differ."""
    if weights not in ("best", "last"):
        raise CktatError(f"weights must be best or last, not {weights!r}")
    config = run.config()
    if not run.weights(weights).exists():
        raise CktatError(f"{run.path} has no {weights} weights yet: no epoch of it is finished")
    tensors, card = run.load(weights)
    if data is None and moved_to is not None:  # named by whoever asks, not by the run
        data = load(moved_to, root or config.root).subset(config.examples)
    code = card.get("code") or {}
    if data is None:
        try:
            with recorded(run.run_json, code, trust_code):
                data = load(config.data, root or config.root).subset(config.examples)
        except CktatError as error:
            hint = "" if root else "; if the data have moved, say where with --data or --root"
            raise CktatError(f"{error}{hint}") from None
    _require_card_of(data, card, moved_to or config.data, run, weights)
    with recorded(run.weights(weights), code, trust_code):
        module = build(
            card["model"], classes=len(card["classes"]), channels=card["channels"], mean=card["mean"], std=card["std"]
        )
    try:
        require_types(module, tensors, str(run.weights(weights)))
        module.load_state_dict(tensors)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise CktatError(
            f"{run.weights(weights)} does not fit the network {card['model']} with {len(card['classes'])} classes that its "
            f"card names: {lines[min(1, len(lines) - 1)]}"
        ) from None
    # channels last: a third to a half quicker in fp32 on a CPU
    module = module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Subject(run, weights, module.eval(), card, data)


def _require_card_of(data: Dataset, card: dict[str, Any], name: str, run: RunFolder, weights: str) -> None:
    """Raises CktatError unless these are the data that the card speaks of."""
    if data.fingerprint != (known := card["data"]["fingerprint"]):
        raise CktatError(
            f"data {name!r} is not what {run.path} was trained on; its content has changed "
            f"(fingerprint {data.fingerprint[:12]} here, {known[:12]} there)"
        )
    for key, ours in (("channels", data.channels), ("size", list(data.size)), ("classes", list(data.classes))):
        if card[key] != ours:
            raise CktatError(
                f"{run.weights(weights)}: its card says {key} {short(card[key])}, data {name!r} have {short(ours)}"
            )
