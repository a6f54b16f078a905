"""What leaves the store: a network with its card and what is known of it, as every format takes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cktat.api.citing import plain_name
from cktat.api.run import Run
from cktat.errors import CktatError
from cktat.evaluation.measure import true_fp32
from cktat.evaluation.subject import network_of
from cktat.models import Normalised
from cktat.runs import read_card
from cktat.usercode import is_own

CLOSE = 1e-5
"""How far logits of an exported program may be from the network's."""


@dataclass(frozen=True)
class Leaving:
    """A network on its way out.

    Attributes:
        run: where it is from.
        weights: "best" or "last".
        module: images [N, C, H, W] in [0, 1] to logits [N, K], float32, in eval mode, on the CPU.
        card: of its weights; a path in it is only its last part.
    """

    run: Run
    weights: str
    module: Normalised
    card: dict[str, Any]

    @classmethod
    def of(cls, run: Run, weights: str, trust_code: bool) -> Leaving:
        """The `weights` of a run. Raises CktatError as `Run.model` does."""
        module = network_of(run, weights, torch.device("cpu"), trust_code=trust_code)
        card = read_card(run.weights(weights))
        module = module.float().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        data = card["data"] | {"name": plain_name(card["data"]["name"])}
        return cls(run, weights, module, card | {"data": data})

    @property
    def own(self) -> bool:
        """Whether the architecture is a user's, so that no name stands for it elsewhere."""
        return is_own(self.card["model"])

    def require_named(self, where: str) -> None:
        """Raises CktatError for a user's architecture, where a file says its name alone."""
        if self.own:
            raise CktatError(
                f"{where} names the architecture and holds no code, and {plain_name(self.card['model'])!r} is your own; "
                f"export it --to onnx or torch-export, which hold the network itself, or give it a name by an entry point "
                f"(docs/architecture.md)"
            )

    def about(self) -> dict[str, str]:
        """What a reader of the file must know, as texts: metadata of ONNX, torch.export and safetensors are texts."""
        card = self.card
        return {
            "producer": f"cktat {version('cktat')}",
            "classes": json.dumps(card["classes"]),
            "size": json.dumps([card["channels"], *card["size"]]),
            "input": "float32 [N, C, H, W] in [0, 1]; the normalisation is inside",
            "output": "float32 logits [N, K], in the order of classes",
            "eps": json.dumps(card["eps"]),
            "norm": card["norm"],
            "design": card["design"],
            "model": plain_name(card["model"]),
            "data": card["data"]["name"],
            "run": self.run.path.name,
            "weights": self.weights,
            "weights_sha256": card["weights_sha256"],
        }

    def images(self, n: int) -> Tensor:
        """n images [n, C, H, W] in [0, 1] of the network's size, always the same, no two alike."""
        draws = torch.Generator().manual_seed(0)
        return torch.rand(n, self.card["channels"], *self.card["size"], generator=draws)

    def require_same(self, program: Any, path: Path) -> None:
        """Raises CktatError unless a program gives the network's logits for batches of several sizes."""
        for n in (1, 3):
            x = self.images(n)
            with torch.no_grad(), true_fp32():
                ours, theirs = self.module(x), torch.as_tensor(program(x))
            alike = theirs.shape == ours.shape
            if not alike or not bool(((theirs - ours).abs() <= CLOSE * max(1.0, float(ours.abs().max()))).all()):
                said = f"by {float((theirs - ours).abs().max()):.2g}" if alike else f"in shape: {list(theirs.shape)}"
                raise CktatError(
                    f"{path} was not written: the exported network's logits differ from the network's {said}"
                )
