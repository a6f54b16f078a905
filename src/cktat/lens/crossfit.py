"""What a network says of training images that it never saw: it is trained again without each of K parts of them."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from cktat.api.objects import named
from cktat.api.runner import Runner
from cktat.api.store import Store
from cktat.data import Dataset, Split
from cktat.errors import CktatError
from cktat.evaluation import Subject, load_subject
from cktat.lens.standing import logits_on
from cktat.runs import Stop
from cktat.runs.processes import Say
from cktat.training import Callback


def parts(y: Tensor, folds: int) -> Tensor:
    """The part, 0 to folds - 1, of every image with labels y [N]: each class is dealt out in its order, so that parts have
    equal shares of it, and class after class goes on where the last one ended.

    Raises CktatError for fewer than 2 parts, or more than there are images.

    Example:
        >>> import torch
        >>> parts(torch.tensor([0, 0, 0, 1, 1, 1]), 2).tolist()
        [0, 1, 0, 1, 0, 1]
    """
    if not 2 <= folds <= len(y):
        raise CktatError(f"training images are dealt out in 2 to {len(y)} parts, not {folds}")
    found = torch.empty(len(y), dtype=torch.int64)
    found[y.cpu().argsort(stable=True)] = torch.arange(len(y)) % folds
    return found


def cross_fitted(
    subject: Subject, folds: int, store: Store, *, stop: Stop = Stop(), say: Say = lambda text: None
) -> Tensor:
    """Logits [N, K] of the training images, each by a network that did not see it.

    The run is trained again `folds` times, by its own recipe and seed, each time without one part of the training images; so
    are the networks that it needs. The runs lie in the store: the same call finds them there, or goes on.

    Args:
        subject: a network, its run and its data.
        folds: K.
        store: where the runs lie.
        stop: asks to end early.
        say: is told what is trained.

    Raises:
        CktatError: the run was imported, or one that it needs was: nobody knows which images those saw.
    """
    run, data = subject.run, subject.data
    read = run.read()
    others = [store.find(one["run"]) for one in (read.get("inputs") or {}).values()]
    if read.get("imported") or any(other is not None and other.read().get("imported") for other in others):
        raise CktatError(f"{run.path}, or a network that it needs, was imported: how to train it again is not known")
    which, logits = parts(data.train.labels, folds), torch.empty(len(data.train), len(data.classes))
    for fold in range(folds):
        part = which == fold
        rest = dataclasses.replace(data, train=_rows(data.train, ~part))
        say(f"{fold + 1}/{folds}: trained without {int(part.sum())} of {len(part)} images")
        config = run.config().model_copy(update={"data": _name(rest, say), "examples": None})
        folder = Runner(store, stop, Callback(), say).train(config, rest, ensure=True)
        device = next(subject.module.parameters()).device
        unseen = load_subject(folder, subject.weights, None, device, rest)
        logits[part] = logits_on(unseen, _rows(data.train, part))
    return logits


def _rows(split: Split, which: Tensor) -> Split:
    return Split(split.images[which.to(split.images.device)], split.labels[which.to(split.labels.device)])


def _name(data: Dataset, say: Say) -> str:
    return str(named({"data": data}, say)["data"])
