"""From the objects that a program hands to `train` and `evaluate` to what a configuration can name."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cktat.api.configure import configure
from cktat.api.importing import keep
from cktat.api.store import UNSAID, Store
from cktat.attacks import Norm
from cktat.data import dataset_of
from cktat.errors import CktatError
from cktat.labels import Design, Learner
from cktat.models import Normalised, check
from cktat.runs import RunFolder, digest
from cktat.runs.processes import Say
from cktat.training import OPTIMISERS, Callback
from cktat.usercode import content_of, hand_over, hand_over_function, handed_over, is_object, name_of

FUNCTIONS = ("augment", "optimiser", "schedule")


class AsModule(nn.Module):
    """A function from images to logits, where a module is asked for."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function
        # what asks a network for its device asks its first weight
        self.place = nn.Parameter(torch.zeros(0), requires_grad=False)

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


def named(options: dict[str, Any], say: Say) -> dict[str, Any]:
    """The options of a run with a text in the place of every object. say: takes what is to be known of them, once each.

    Raises CktatError for an object that cannot be what its option asks for.
    """
    options = dict(options)
    if "model" in options and not isinstance(options["model"], str | None):
        options["model"] = _network(options["model"], say)
    if "data" in options and not isinstance(options["data"], str | None):
        options["data"] = _data(options["data"])
    if isinstance(given := options.get("optimiser"), type):  # torch.optim.AdamW is "adamw"
        options["optimiser"] = next((name for name, known in OPTIMISERS.items() if known is given), given)
    for name in FUNCTIONS:
        if name in options and not isinstance(options[name], str | None):
            if not callable(options[name]):
                raise CktatError(f"{name} must be a name or a function, not a {type(options[name]).__name__}")
            options[name] = hand_over_function(options[name], say, name)
    return options


def require_callbacks(callbacks: object) -> None:
    """Raises CktatError for anything but a sequence of callbacks."""
    if not isinstance(callbacks, list | tuple) or not all(isinstance(one, Callback) for one in callbacks):
        raise CktatError(f"callbacks must be a list of cktat.Callback objects, not {callbacks!r}")


def require_fresh_networks(design: Design, model: str | None) -> None:
    """Raises CktatError where one module would have to be several learners that begin apart."""
    if not is_object(model) or not isinstance(handed_over(str(model), "model"), nn.Module):
        return
    own = [
        learner.letter
        for learner in design.learners
        if learner.model is None and not isinstance(learner.start, Learner)
    ]
    if len(own) > 1:
        raise CktatError(
            f"design {design.name!r} trains {' and '.join(own)}, which begin with weights of their own; give model= a function "
            f"that makes a network, not one network"
        )


def _network(model: Any, say: Say) -> str:
    if isinstance(model, nn.Module):
        model = copy.deepcopy(model).cpu()  # what the caller does with it later is none of the run's
        return hand_over(model, _content_of_network(model))
    if not callable(model):
        raise CktatError(
            f"model must be a name, an nn.Module or a function that makes one, not a {type(model).__name__}"
        )
    return hand_over_function(model, say, "model")


def _content_of_network(model: nn.Module) -> str:
    """Weights, structure, and the text of every class of its parts that is not PyTorch's."""
    kinds = {type(part) for part in model.modules() if not type(part).__module__.startswith("torch.")}
    texts = sorted(content_of(kind) or kind.__qualname__ for kind in kinds)
    return json.dumps([digest(model.state_dict()), repr(model), texts])


def _data(data: Any) -> str:
    made = dataset_of(data)
    return hand_over(made, made.content, name="data")


def judged(
    network: nn.Module | Callable[[Tensor], Any],
    store: Store,
    *,
    data: str | None,
    norm: Norm | None = None,
    say: Say,
    **options: Any,
) -> RunFolder:
    """A folder in the store for a network that is here in memory, as if it had been imported: images in [0, 1] to logits.

    It lies under the content of its weights and data, so that what was measured before is found. data, options: what names
    the data set.
    """
    if data is None:
        raise CktatError("say with data= which images the network is evaluated on; its test part is used")
    module = copy.deepcopy(network).cpu() if isinstance(network, nn.Module) else AsModule(network)
    if isinstance(network, nn.Module):
        text = hand_over(module, _content_of_network(module))
    else:
        text = hand_over_function(network, say, "the function that is evaluated", module)
    config, dataset = configure(design="standard", data=data, model=text, norm=norm, **options)
    whole = Normalised(module, (0.0,) * dataset.channels, (1.0,) * dataset.channels)
    check(whole, (dataset.channels, *dataset.size), len(dataset.classes))
    config = config.model_copy(update={"design": UNSAID})
    return keep(whole, config, dataset, store, source=None, imported=name_of(network))
