"""The package as a library: train and evaluate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from torch import Tensor, nn

from cktat.api.configure import configure
from cktat.api.importing import run_of
from cktat.api.objects import judged, named, require_callbacks
from cktat.api.progress import Meter, Shown, plain
from cktat.api.reading import opened
from cktat.api.run import Run
from cktat.api.runner import Runner
from cktat.api.store import Store
from cktat.api.ways import Described
from cktat.attacks import Ball, Mode, Norm
from cktat.data import Dataset
from cktat.errors import CktatError
from cktat.evaluation import (
    BATCH_SIZE,
    STANDARD_ATTACKS,
    Result,
    Subject,
    check_claimed,
    doubts_of,
    for_report,
    headline,
    load_subject,
)
from cktat.evaluation import evaluate as measure
from cktat.labels import Design
from cktat.runs import RunConfig, RunFolder, Stop, Stopped, World, device_of, seconds
from cktat.training import Callback, Callbacks
from cktat.usercode import blamed

T = TypeVar("T")


@blamed()
def train(
    design: str | Design = "cktat",
    *,
    data: Any = None,
    model: str | nn.Module | Callable[..., nn.Module] | None = None,
    callbacks: Sequence[Callback] = (),
    store: str | Path | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    ensure: bool = False,
    stop_after: str | None = None,
    show: bool = True,
    **options: Any,
) -> Run:
    """Trains a design, and the networks it needs first.

    Args:
        design: a name, `file.py:function`, or a `Design` made with the label language.
        data: a name such as "digits" or "cifar10", a folder, FILE.npz, `file.py:function`; or the images themselves, see
            `cktat.data.dataset_of`: a `Dataset`, tensors `(x, y)`, a torch `Dataset` or `DataLoader`, or a dictionary of
            these under "train", "held_out" and "test".
        model: a name such as "resnet18", `file.py:function`; an `nn.Module` from normalised images to logits, of which a
            copy is trained; or a function that makes one, called with those of `classes=` and `channels=` that it takes.
        callbacks: objects that follow the training, see `cktat.Callback`.
        store: where runs lie; None is CKTAT_STORE or ./runs.
        out: this run's own folder; None is one in the store.
        resume: go on with the unfinished run there.
        ensure: take what is there, finished or not, and train what is missing.
        stop_after: a duration such as "9m", after which the state is saved and Stopped raised.
        show: print progress.
        **options: root, size, strict, recipe, epochs, batch_size, lr, examples, eps, step, steps, seed, set, device,
            precision, threads and the other fields of a recipe; `optimiser`, `augment` and `schedule` may be functions. What
            is not given comes from the recipe and the data set.

    Returns:
        The run: its networks (`.model("best")`), its `.history()`, its `.results()`.

    Raises:
        CktatError: something makes no sense, before anything is written.
        Stopped: it was asked to stop; the state is saved.

    A run of objects lies under the content of their weights, images and texts, and resumes when it is handed the same ones.
    Under `torchrun` its processes train together.

    Example:
        >>> import cktat
        >>> run = cktat.train("trades", data="digits", epochs=1, show=False, ensure=True)
        >>> network = run.model("best")
    """
    if isinstance(design, Design) and options.get("set"):
        raise CktatError(f"design {design.name!r} is made already; set= goes with a design's name")
    world, stop = World.here(), Stop(None if stop_after is None else seconds(stop_after))
    show = show and world.first
    console = Console(quiet=not show, stderr=False)
    say = partial(plain, console)
    name, hyper = (design, {}) if isinstance(design, str) else (design.origin or (design.name, ()))
    if hyper and "set" not in options:
        options["set"] = dict(hyper)
    made = design if isinstance(design, Design) else None
    if made is not None and made.origin is None and options.get("recipe", "common") != "common":
        raise CktatError(f"design {made.name!r} was made by hand: only --recipe common is for it")

    require_callbacks(callbacks)

    def prepare() -> tuple[RunConfig, Dataset]:
        texts = named(options | {"data": data, "model": model}, say)
        config, dataset = configure(design=name, **texts)
        world.device(config.device)
        return config, dataset

    with _prepared(prepare, world, stop) as (config, dataset):
        for note in dataset.notes:
            say(f"data {dataset.name!r}: {note}")
        watch = Callbacks([Shown(console), *callbacks] if show else callbacks if world.first else [])
        runner = Runner(Store(store), stop, watch, say, world)
        folder = RunFolder(Path(out)) if out else None
        done = runner.train(config, dataset, design=made, folder=folder, resume=resume, ensure=ensure)
        return Run(done.path, trained=made)


@blamed()
def evaluate(
    run: RunFolder | str | Path | nn.Module | Callable[[Tensor], Any],
    attacks: Sequence[str] = STANDARD_ATTACKS,
    *,
    weights: str = "best",
    test_images: int | None = None,
    eps: float | None = None,
    norm: Norm | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    mode: Mode | None = None,
    device: str = "auto",
    data: Any = None,
    root: str | None = None,
    size: str | int | None = None,
    strict: bool | None = None,
    model: str | None = None,
    inputs: str = "auto",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    part: str | None = None,
    out: str | Path | None = None,
    store: str | Path | None = None,
    show: bool = True,
    draw: bool = True,
    doubts: bool = True,
    claimed: float | None = None,
    trust_code: bool = False,
) -> list[Result]:
    """Measures a network on test images, clean and under attacks, and keeps what it finds.

    Args:
        run: a run, by its folder or its name; a network from images in [0, 1] to logits, an `nn.Module` or a function; or
            what holds one: a file or folder of weights, or a `file.py:function` that returns one. A network is put into the
            store, under the content of its weights and of `data`.
        attacks: names such as "pgd20", "cw"; "aa" is AutoAttack, "aa-fast" a screening by its first two attacks, "aa-plus" its
            longer version, "aa-rand" the one against randomised networks.
        weights: "best" or "last".
        test_images: only the first so many test images.
        eps: radius as a share of the pixel range; None is the one the run was trained for, 8/255 for most data.
        norm: of a network that is no run, "Linf" or "L2"; None is "Linf". A run has its own.
        batch_size: images at a time (250).
        seed: of what attacks draw (0).
        mode: "exact" runs AutoAttack in its authors' batches, "packed" spends no model call on what is broken. What is not
            given of batch_size, seed and mode is that of results that are there.
        device: "auto", "cpu", "cuda" or "cuda:0".
        data: of a run, where its data set lies now, if it has moved; its content must be the same. Of a network, its test
            images: whatever `cktat.train` takes as data.
        root: where downloaded data sets lie.
        size: what image files are scaled and cut to, such as 64 or "48x64".
        strict: refuse images that would have to be converted or turned.
        model: of weights in a file, the architecture, where they do not show it: a name or `file.py:function`.
        inputs: how such a network wants its images, see `cktat.api.ways.Described`.
        mean: of its normalisation, per channel.
        std: of its normalisation, per channel.
        part: which of several networks in a file.
        out: where a folder of results named as the run goes; None is the run's own.
        store: where runs lie; None is CKTAT_STORE or ./runs.
        show: print progress.
        draw: leave beside the results what the report draws.
        doubts: examine whether these numbers can be believed, write the verdict beside them
            (`cktat.evaluation.verdict_of` reads it) and say it.
        claimed: an accuracy under attack in percent that somebody claims, held against the lowest found
            (`cktat.evaluation.ClaimedAccuracy`). The lowest counts an image as broken if any result in the folder that is
            of these weights, radius and images says so.
        trust_code: let a `file.py:function` run that the run names and you have not named yourself, after you have read it.

    Returns:
        The results in order, the clean accuracy first.

    Raises:
        CktatError: an attack is unknown, or weights, data and network do not fit.

    Under `torchrun` its processes share the images.

    Example:
        >>> import cktat
        >>> run = cktat.train("pgd_at", data="digits", epochs=1, show=False, ensure=True)
        >>> clean, attacked = cktat.evaluate(run, ["pgd20"], test_images=50, show=False)
        >>> attacked.accuracy <= clean.accuracy
        True
    """
    world, stop = World.here(), Stop()
    console = Console(quiet=not (show and world.first))

    described = Described(
        model, inputs, None if mean is None else tuple(mean), None if std is None else tuple(std), part, device=device
    )

    def load() -> Subject:
        say = partial(plain, console)
        spec = data if isinstance(data, str | None) else named({"data": data}, say)["data"]
        about: dict[str, Any] = {"data": spec, "root": root, "size": size, "strict": strict, "norm": norm}
        if isinstance(run, RunFolder | str | Path):
            there = run_of(run, Store(store), described, say=say, **about)
        else:
            there = judged(run, Store(store), say=say, **about)
        folder = opened(there, store, out)
        on = world.device(str(device_of(device)))
        subject = load_subject(folder, weights, root, on, moved_to=spec, trust_code=trust_code)
        Ball(subject.card["eps"] if eps is None else eps, subject.data.box, subject.norm)  # before anything is written
        if claimed is not None:
            check_claimed(claimed)
            if not attacks:
                raise CktatError("a claimed accuracy is held against attacks; name at least one")
        return subject

    at_once, drawn_with = batch_size or BATCH_SIZE, seed or 0  # of what is no result
    with Meter(console) as meter:
        with _prepared(load, world, stop) as subject:
            for note in subject.data.notes:
                meter.say(f"data {subject.data.name!r}: {note}")
            results = measure(
                subject, attacks, test_images=test_images, eps=eps, batch_size=batch_size, seed=seed, mode=mode, watch=meter,
                watch_suite=meter.standing, say=meter.say, stop=stop, world=world,
            )  # fmt: skip
        for line in world.once(lambda: headline(subject, test_images, eps, claimed)):
            meter.say(line)
        if doubts:
            meter.say(
                doubts_of(
                    subject, test_images=test_images, eps=eps, batch_size=at_once, seed=drawn_with, world=world
                ).text()
            )
        if draw:
            for_report(subject, batch_size=at_once, seed=drawn_with, world=world)
    return results


@contextmanager
def _prepared(prepare: Callable[[], T], world: World, stop: Stop) -> Iterator[T]:
    """What `prepare` makes in every process, and a `stop` that listens. One process ends at once where a signal comes before
    anything is begun; several listen from the first, so that all end alike."""
    with ExitStack() as listening:
        if world.size > 1:
            listening.enter_context(stop)
        world.join(stop, partial(plain, Console(stderr=True)))  # of several processes any may be the one that waits
        made = world.together(prepare)
        if world.size == 1:  # a deadline that is over by now still leaves a step, so that every sitting gets on
            listening.enter_context(stop)
        elif reason := world.any(stop.now()):
            stopped = Stopped(f"{reason}: nothing was begun")
            stopped.shared = True
            raise stopped
        yield made
