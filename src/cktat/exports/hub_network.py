"""A network in a folder or repository of the Hugging Face Hub, as the Hub's own library loads it (extra `hub`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import PyTorchModelHubMixin

from cktat.errors import CktatError
from cktat.exports.hub import FIELDS
from cktat.models import MODELS, Normalised, build, require_types
from cktat.runs import load_weights, short
from cktat.runs.files import OF_WEIGHTS, write_tensors


class HubNetwork(Normalised, PyTorchModelHubMixin):
    """A trained network: images [N, C, H, W] in [0, 1] to logits [N, K], the normalisation inside.

    Args:
        model: The name of an architecture of this package, or of an installed one that gives it a name. Code is never taken
            from a folder or the Hub.
        classes: Their names, K of them.
        channels: C.
        size: H and W.
        mean: Of the training images, one number a channel.
        std: Likewise.
        eps: Radius of the ball it was trained for, a share of the pixel range.
        norm: "Linf" or "L2".
        design: The label design that trained it.
        weights_sha256: The sum of the weights.

    Raises:
        CktatError: no such architecture, or a file that is not what `cktat export --to hub` writes.

    Example:
        >>> import cktat
        >>> run = cktat.train("pgd_at", data="digits", epochs=1, show=False, ensure=True)
        >>> network = HubNetwork.from_pretrained(cktat.export(run, "hub", "hub"))
        Loading weights from local directory
        >>> network.classes[3]
        '3'
    """

    def __init__(
        self,
        model: str,
        classes: Sequence[str],
        channels: int,
        size: Sequence[int],
        mean: Sequence[float],
        std: Sequence[float],
        eps: float | None = None,
        norm: str | None = None,
        design: str | None = None,
        weights_sha256: str | None = None,
    ) -> None:
        if model not in list(MODELS):
            raise CktatError(
                f"config.json names the network {short(model)}, which is none of this package or of an installed one "
                f"({', '.join(MODELS)}); code from a folder or from the Hub is not run"
            )
        body = build(model, classes=len(classes), channels=channels, mean=mean, std=std).body
        super().__init__(body, mean, std)
        self.classes, self.size, self.eps, self.norm, self.design = tuple(classes), tuple(size), eps, norm, design
        told = (model, classes, channels, size, mean, std, eps, norm, design, weights_sha256)
        self.told = dict(zip(FIELDS, told, strict=True))
        self.card: dict[str, Any] | None = None

    @classmethod
    def _load_as_safetensor(cls, model: Any, model_file: str, map_location: str, strict: bool) -> Any:
        tensors, card = load_weights(Path(model_file))
        for name, value in model.told.items():
            if value is not None and value != card.get(name):
                raise CktatError(
                    f"{model_file}: config.json says {name} {short(value)}, its weights {short(card.get(name))}"
                )
        require_types(model, tensors, model_file)
        try:
            model.load_state_dict(tensors)
        except RuntimeError as error:
            raise CktatError(f"{model_file} does not fit the network {card['model']}: {short(str(error))}") from None
        model.card = card
        return model.to(map_location).eval()

    @classmethod
    def _load_as_pickle(cls, model: Any, model_file: str, map_location: str, strict: bool) -> Any:
        raise CktatError(f"{model_file} is a pickle and is not read; weights are in model.safetensors")

    def _save_pretrained(self, save_directory: Path) -> None:
        if self.card is None:
            raise CktatError(
                "this network was not loaded from weights with a card; `cktat export --to hub` writes a run's"
            )
        about = {name: value for name, value in self.card.items() if name != OF_WEIGHTS}
        write_tensors(
            save_directory / "model.safetensors", self.state_dict(), about, OF_WEIGHTS, beside={"format": "pt"}
        )
