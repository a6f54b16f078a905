"""A run as a person holds it: its networks, what was seen while it trained, what was measured."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cktat.api.store import Store
from cktat.designs import make
from cktat.evaluation.rows import BEST_AND_LAST, current_rows
from cktat.evaluation.subject import network_in, network_of
from cktat.labels import Design
from cktat.models import Normalised
from cktat.runs import RunFolder, load_weights, read_card
from cktat.runs.files import Card

HUB_WEIGHTS = "model.safetensors"
"""What the Hugging Face Hub calls the weights in a folder."""


@dataclass(frozen=True)
class Run(RunFolder):
    """A run on disk. `cktat.train` returns one; `Run.open` finds one by its folder or its name in the store.

    Attributes:
        path: its folder.

    Example:
        >>> import cktat, torch
        >>> run = cktat.train("pgd_at", data="digits", epochs=1, show=False, ensure=True)
        >>> network = run.model("best")
        >>> network(torch.rand(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """

    trained: Design | None = field(default=None, compare=False, repr=False)

    @classmethod
    def open(cls, run: RunFolder | str | Path, store: str | Path | None = None) -> Run:
        """A run by its folder or its name in the store.

        Args:
            run: path of the folder, or the folder's name.
            store: where runs lie; None is CKTAT_STORE or ./runs.

        Raises:
            CktatError: there is none.
        """
        if isinstance(run, Run):
            return run
        folder = run if isinstance(run, RunFolder) else Store(store).open(run)
        return cls(folder.path, folder.measured_in)

    def model(
        self,
        weights: str = "best",
        network: nn.Module | Callable[..., nn.Module] | None = None,
        *,
        device: str | torch.device = "cpu",
        trust_code: bool = False,
    ) -> nn.Module:
        """A network of the run, in eval mode: images in [0, 1] to logits, the normalisation inside.

        Args:
            weights: "best" on held-out images, or "last".
            network: the architecture, where another program handed it over as an object: a module that takes normalised
                images, which is copied, or a function that makes one.
            device: where the network is put.
            trust_code: let a `file.py:function` run that the run names and you have not named yourself, after you have read
                it.

        Returns:
            A module whose weights are not tied to any other's.

        Raises:
            CktatError: there are no such weights yet, or they do not fit.
        """
        return network_of(self, weights, torch.device(device), body=copy.deepcopy(network), trust_code=trust_code)

    @property
    def design(self) -> Design:
        """The design that was trained. Raises CktatError where it was made by hand in another program."""
        if self.trained is not None:
            return self.trained
        config = self.config()
        made = make(config.design, **config.set)
        calibrated = self.read().get("calibrated") or {}
        return made.settle(**{name: calibrated[name] for name in made.open if name in calibrated})

    def results(self) -> list[dict[str, Any]]:
        """What was measured of its weights, one flat dictionary a result, see `cktat.results`."""
        return [row.flat() for weights in BEST_AND_LAST for row in current_rows(self, weights)]

    def __fspath__(self) -> str:
        return os.fspath(self.path)


def load(
    what: RunFolder | str | Path,
    weights: str = "best",
    network: nn.Module | Callable[..., nn.Module] | None = None,
    *,
    store: str | Path | None = None,
    device: str | torch.device = "cpu",
    trust_code: bool = False,
) -> nn.Module:
    """A trained network, ready to use: images in [0, 1] to logits, in eval mode, the normalisation inside. No data are needed.

    Args:
        what: a run, by its folder or its name in the store; a file of weights such as best.safetensors; or a folder that
            `cktat export --to hub` wrote.
        weights: of a run, "best" on held-out images, or "last".
        network: see `Run.model`.
        store: where runs lie; None is CKTAT_STORE or ./runs.
        device: where the network is put.
        trust_code: see `Run.model`.

    Raises:
        CktatError: there is no such run or file, or its weights do not fit.

    Example:
        >>> import cktat
        >>> run = cktat.train("pgd_at", data="digits", epochs=1, show=False, ensure=True)
        >>> network = cktat.load(run)
    """
    return with_card(what, weights, network, store=store, device=device, trust_code=trust_code)[0]


def with_card(
    what: RunFolder | str | Path,
    weights: str = "best",
    network: nn.Module | Callable[..., nn.Module] | None = None,
    *,
    store: str | Path | None = None,
    device: str | torch.device = "cpu",
    trust_code: bool = False,
) -> tuple[Normalised, Card]:
    """What `load` gives, and the card of its weights: their classes, size, eps and the rest."""
    body, on = copy.deepcopy(network), torch.device(device)
    if isinstance(what, str | Path) and (file := _file_at(Path(what).expanduser())):
        tensors, card = load_weights(file)
        return network_in(file, tensors, card, on, body=body, trust_code=trust_code), card
    run = Run.open(what, store)
    return network_of(run, weights, on, body=body, trust_code=trust_code), read_card(run.weights(weights))


def _file_at(path: Path) -> Path | None:
    """The file of weights that a path means; None where it is for a run, by its folder or its name."""
    if path.is_file():
        return path
    inside = path / HUB_WEIGHTS
    return inside if inside.is_file() and not (path / "run.json").exists() else None
