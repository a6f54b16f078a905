"""What is evaluated: a run's weights, as a network, with the test images of the data it was trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cktat.attacks import Norm
from cktat.data import Dataset, load
from cktat.errors import CktatError
from cktat.models import Normalised, build, require_types
from cktat.runs import RunFolder, short
from cktat.runs.files import Card
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
    config = run.config()
    tensors, card = _weights_of(run, weights)
    if data is None and moved_to is not None:  # named by whoever asks, not by the run
        data = load(moved_to, root or config.root, size=config.size).subset(config.examples)
    code = card.get("code") or {}
    if data is None:
        try:
            with recorded(run.run_json, code, trust_code):
                data = load(config.data, root or config.root, size=config.size).subset(config.examples)
        except CktatError as error:
            hint = "" if root else "; if the data have moved, say where with --data or --root"
            raise CktatError(f"{error}{hint}") from None
    _require_card_of(data, card, moved_to or config.data, run, weights)
    module = network_in(run.weights(weights), tensors, card, device, trust_code=trust_code)
    return Subject(run, weights, module, card, data)


def network_of(
    run: RunFolder,
    weights: str,
    device: torch.device,
    *,
    body: nn.Module | Callable[..., nn.Module] | None = None,
    trust_code: bool = False,
) -> Normalised:
    """The `weights` of a run as a network in eval mode on the device; no data are needed.

    body: the architecture, where the run's was an object of another program: a module or a function that makes one. Raises
    CktatError if there are no such weights, if code may not run (see `load_subject`), or if the weights do not fit.
    """
    return network_in(run.weights(weights), *_weights_of(run, weights), device, body=body, trust_code=trust_code)


def _weights_of(run: RunFolder, weights: str) -> tuple[dict[str, Tensor], Card]:
    if weights not in ("best", "last"):
        raise CktatError(f"weights must be best or last, not {weights!r}")
    if not run.weights(weights).exists():
        raise CktatError(f"{run.path} has no {weights} weights yet: no epoch of it is finished")
    return run.load(weights)


def network_in(
    path: Path,
    tensors: dict[str, Tensor],
    card: Card,
    device: torch.device,
    *,
    body: nn.Module | Callable[..., nn.Module] | None = None,
    trust_code: bool = False,
) -> Normalised:
    """The network whose weights and card were read from `path`; see `network_of`."""
    classes, channels = len(card["classes"]), card["channels"]
    with recorded(path, card.get("code") or {}, trust_code):
        module = build(body or card["model"], classes=classes, channels=channels, mean=card["mean"], std=card["std"])
    try:
        require_types(module, tensors, str(path))
        module.load_state_dict(tensors)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise CktatError(
            f"{path} does not fit the network {card['model']} with {len(card['classes'])} classes that its "
            f"card names: {lines[min(1, len(lines) - 1)]}"
        ) from None
    # channels last: a third to a half quicker in fp32 on a CPU
    module = module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return module.eval()


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
