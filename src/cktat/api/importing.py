"""Networks that a user already has: they enter the store under the sum of their weights, with a card like any other."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import torch

from cktat.api.checkpoints import Checkpoint, read_checkpoint, weights_in
from cktat.api.configure import configure
from cktat.api.records import card_of, located, notes_of
from cktat.api.store import UNSAID, Store
from cktat.api.ways import Described, chosen, module_of, ways_of, ways_of_file
from cktat.data import Dataset
from cktat.designs import make
from cktat.errors import CktatError
from cktat.labels.walk import canonical
from cktat.models import Normalised
from cktat.runs import RunConfig, RunFolder, by_content, code_of, commit, digest, save_weights, versions
from cktat.runs.processes import Say
from cktat.usercode import is_file_function


def import_network(
    what: str | Path,
    store: Store,
    described: Described = Described(),
    *,
    design: str | None = None,
    say: Say = lambda text: None,
    **options: Any,
) -> tuple[RunFolder, str]:
    """Puts a network into the store; returns its folder and its name.

    Args:
        what: A file or a Hugging Face folder of weights (see `read_checkpoint`), a run, or `file.py:function`, which returns a
            network that has its weights.
        store: Where it goes.
        described: What is said of it, such as its architecture; nothing need be.
        design: How it was trained. None where nobody says it; such a network is judged and started from, and no teacher.
        say: Is told what was found, a line each.
        **options: data, root and others that name the data set.

    Returns:
        Its folder, and its name `DESIGN@HASH`, which `--set teacher=` and `start=` take; HASH is the sum of its weights, of the
        text of a user's own architecture and of the data.

    Raises:
        CktatError: The file holds no state dict, or one of no architecture that is known. No code from it runs.

    Example:
        >>> import torch
        >>> from cktat.models import build
        >>> network = build("small", classes=10, channels=1, mean=(0.3,), std=(0.3,), seed=0)
        >>> torch.save({"state_dict": network.state_dict()}, "w.pt")
        >>> run, name = import_network("w.pt", Store("store"), design="standard", data="digits")
        >>> run.config().model, name.partition("@")[0]
        ('small', 'standard')
    """
    config, data = configure(design=design or "standard", model=described.model, **options)
    notes: list[str] = []

    def tell(text: str) -> None:
        notes.append(text)
        say(text)

    for note in data.notes:
        say(f"data {data.name!r}: {note}")
    source = None
    if is_file_function(str(what)):
        if described.model is not None:
            raise CktatError(f"{what} makes the network itself; a model beside it is for weights in a file")
        ways, label = (
            ways_of(str(what), module_of(str(what), data), None, described, data),
            str(what).rpartition(":")[2],
        )
    else:
        path = Path(what).expanduser()
        path = store.open(what).weights("best") if store.has(what) else weights_in(path)
        found = read_checkpoint(path, described.part)
        source = _source(found, described, data)
        if (before := _before(store, source, design)) is not None:
            for note in before.read().get("notes") or ():
                say(note)
            return before, _name(before)
        ways, label = ways_of_file(found, described, data, tell), path.name
    way = chosen(ways, described, data, str(what), tell)
    recipe = config.recipe.model_copy(update={"inputs": _inputs(way.module, data)})
    config = config.model_copy(update={"design": design or UNSAID, "model": way.model, "recipe": recipe})
    run = keep(way.module, config, data, store, imported=label, source=source, notes=notes)
    return run, _name(run)


def run_of(
    what: RunFolder | str | Path,
    store: Store,
    described: Described = Described(),
    *,
    say: Say = lambda text: None,
    **options: Any,
) -> RunFolder:
    """The run that `what` is. A network that is no run is brought into the store first, once.

    Args:
        what: A run, by its folder or its name in the store; or what `import_network` takes.
        store: Where runs lie.
        described: What is said of a network that is no run.
        say: Is told what was found, when it was brought in and again when it is found there.
        **options: data (needed for what is no run) and root.

    Raises:
        CktatError: There is neither a run nor a network of that name.
    """
    try:
        is_run = isinstance(what, RunFolder) or store.has(what)
        if is_run and (replace(described, device="auto") != Described() or options.get("norm") is not None):
            named = what.path if isinstance(what, RunFolder) else what
            raise CktatError(
                f"{named} is a run, whose record says what it is; its model, inputs, part and norm are not asked for"
            )
        if isinstance(what, RunFolder):
            return what
        if is_run or not (is_file_function(str(what)) or Path(what).expanduser().exists()):
            return store.open(what)
        if options.get("data") is None:
            raise CktatError(f"{what} is no run, so that nothing says on which images it is to be judged; add --data")
        return import_network(what, store, described, say=say, **options)[0]
    except CktatError as error:
        error.shared = True  # all processes of an evaluation look at the same file
        raise


def keep(
    module: Normalised, config: RunConfig, data: Dataset, store: Store, *, source: str | None, **about: Any
) -> RunFolder:
    """The network's folder, written where it is not there yet. about: what else its record says."""
    design = None if config.design == UNSAID else make(config.design)
    declared = None if design is None else canonical(design)
    tensors, code = module.cpu().state_dict(), code_of(config, declared)
    content = [digest(tensors), by_content(config.model), data.content, config.threat.norm]
    identity = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
    folder = store.named("imported", config.model if design is None else config.design, identity[:8])
    if design is None:  # then any will do
        folder = store.find(identity) or folder
    if _is_whole(folder, identity):
        return folder
    card = card_of(config, data, design or make("standard"), identity, code) | {
        "design": design.name if design else UNSAID,
        "mean": module.mean.flatten().tolist(),
        "std": module.std.flatten().tolist(),
        "epoch": None,
    }
    for weights in ("last", "best"):
        save_weights(folder.weights(weights), tensors, card)
    folder.begin(
        identity=identity,
        design={"name": card["design"], "declared": declared},
        config=located(config).model_dump(mode="json"),
        code=code,
        data={"name": data.name, "fingerprint": data.fingerprint, "training_images": len(data.train) or None}
        | notes_of(data),
        source=source,
        commit=commit(),
        versions=versions(),
        hardware=None,
        started=None,
        finished={"imported": True},
        **about,
    )
    return folder


def _inputs(module: Normalised, data: Dataset) -> Literal["data", "raw"]:
    """What the network gets, as a recipe says it: raw images, or normalised ones (the record's card says by what)."""
    found = torch.stack([module.mean.flatten(), module.std.flatten()]).cpu()
    raw, own = (torch.tensor(data.normalisation(inputs)) for inputs in ("raw", "data"))
    return "raw" if torch.allclose(found, raw) and not torch.allclose(found, own) else "data"


def _name(run: RunFolder) -> str:
    """What an imported network is called in designs: DESIGN@HASH."""
    record = run.read()
    return f"{record['config']['design']}@{record['identity'][:8]}"


def _is_whole(folder: RunFolder, identity: str) -> bool:
    """Whether the folder holds this network already. A damaged one is written anew."""
    try:
        return folder.exists and all(folder.load(weights)[1]["run"] == identity for weights in ("last", "best"))
    except CktatError:
        return False


def _source(found: Checkpoint, described: Described, data: Dataset) -> str:
    """The sum of what is in a file and of all that decides what is made of it."""
    said = asdict(described) | {"model": by_content(described.model), "device": None}
    content = [digest(found.weights), found.normal, said, data.content]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _before(store: Store, source: str, design: str | None) -> RunFolder | None:
    """The whole network that was made of the same before, None if there is none. design: None is any."""
    for run, record in store.records():
        if record.get("source") == source and design in (None, record["config"]["design"]):
            return run if _is_whole(run, record["identity"]) else None
    return None
