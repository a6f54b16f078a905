"""Table 5: knowledge points of several runs, as a picture of a few images and as counts over more."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from cktat.api.store import Store
from cktat.errors import CktatError, unknown
from cktat.evaluation import Subject, load_subject
from cktat.evaluation.measure import predict, true_fp32
from cktat.paper.knowledge import THRESHOLD, Discarding, Feature, default_layer, grad_cam, points, saliency
from cktat.paper.tables.entropies import Entropies, entropies, images
from cktat.paper.tables.knowledge_page import knowledge_page
from cktat.paper.tables.point_counts import Counted, count
from cktat.runs import RunFolder, device_of, write_atomic, write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cktat.paper.knowledge.picture import NetworkView

CLASSES = ("airplane", "cat", "bird")
"""The paper's rows."""

NetworkWatch = Callable[[str, int, int], None]
"""(network, images done, images in all)."""


@dataclass(frozen=True)
class Table5:
    """The counts, and the files that `table5` wrote."""

    counted: Counted
    files: tuple[Path, ...]


def table5(
    runs: Sequence[RunFolder | str | Path],
    out: str | Path,
    *,
    pictured: Sequence[str] = (),
    layer: str | None = None,
    count_images: int = 30,
    weights: str = "best",
    threshold: float = THRESHOLD,
    how: Discarding = Discarding(),
    device: str = "auto",
    root: str | None = None,
    store: str | Path | None = None,
    trust_code: bool = False,
    watch: NetworkWatch = lambda *_: None,
) -> Table5:
    """Knowledge points of runs trained on the same data; columns in their order.

    pictured: places in the test set, or names of classes (the first test image of it that all networks classify rightly);
    () is airplane, cat and bird, or the first three classes of data without these. layer: None is each network's
    `default_layer`. count_images: points are counted on the first so many test images, whatever the networks take them for.
    Writes knowledge.json, knowledge.html,
    knowledge and comparison (.png, .svg) into `out`, and entropies/ beside them as they are measured.
    trust_code: as for `cktat.evaluate`.

    Raises CktatError for runs of different data, data without a box, unknown classes, places, layers or weights.
    """
    if not runs:
        raise CktatError("Table 5 needs at least one run; `cktat runs` lists what there is")
    if not threshold > 0:
        raise CktatError(f"the threshold must be a positive number of nats, not {threshold}")
    folders = [run if isinstance(run, RunFolder) else Store(store).open(run) for run in runs]
    subjects = [load_subject(folder, weights, root, device_of(device), trust_code=trust_code) for folder in folders]
    _require_comparable(subjects)
    out, names = Path(out), _names(subjects)
    test = subjects[0].data.test
    if not 1 <= count_images <= len(test):
        raise CktatError(f"cannot count on {count_images} images: there are {len(test)} test images")
    chosen = _chosen(subjects, pictured)
    wanted = list(dict.fromkeys([*range(count_images), *chosen]))
    found: dict[str, Entropies] = {}
    layers = [_layer(subject, layer) for subject in subjects]
    for name, subject, at in zip(names, subjects, layers, strict=True):
        path = out / "entropies" / f"{subject.run.path.name}-{weights}.json"
        found[name] = entropies(subject, at, how, wanted, path, lambda done, all_, name=name: watch(name, done, all_))  # type: ignore[misc]
    counted = count({name: one.entropy[:count_images] for name, one in found.items()}, threshold)
    views = [
        _view(subject, name, at, chosen, found[name].entropy[[wanted.index(i) for i in chosen]], threshold)
        for name, subject, at in zip(names, subjects, layers, strict=True)
    ]
    files = _draw(out, subjects[0], chosen, views, threshold)
    record = {
        "threshold": threshold,
        "pictured": [_pictured(subjects[0], place, k, views) for k, place in enumerate(chosen)],
        "counted": counted.record(),
        "networks": [_network(s, name, found[name]) for name, s in zip(names, subjects, strict=True)],
    }
    write_json(out / "knowledge.json", record)
    page = knowledge_page(out, subjects[0].data.name, counted, files)
    return Table5(counted, (*files, out / "knowledge.json", page))


def _require_comparable(subjects: Sequence[Subject]) -> None:
    first = subjects[0]
    if first.data.box is None:
        raise CktatError(f"data {first.data.name!r} are no pictures: their values have no bounds")
    for subject in subjects[1:]:
        if subject.card["data"]["fingerprint"] != first.card["data"]["fingerprint"]:
            raise CktatError(
                f"{subject.run.path} was trained on other data than {first.run.path}; compare like with like"
            )


def _names(subjects: Sequence[Subject]) -> list[str]:
    """The design of each, with its hyper-parameters or else the run's folder where that would not tell two apart."""
    plain = [subject.run.read()["design"]["name"] for subject in subjects]
    config = [subject.run.config() for subject in subjects]
    longer = [
        f"{name} {' '.join(f'{k}={v}' for k, v in c.set.items())}".strip()
        for name, c in zip(plain, config, strict=True)
    ]
    folders = [subject.run.path.name for subject in subjects]
    if len(set(folders)) < len(folders):
        raise CktatError("the same run is named twice")
    return next(names for names in (plain, longer, folders) if len(set(names)) == len(names))


def _layer(subject: Subject, layer: str | None) -> str:
    example = images(subject, [0])
    name = default_layer(subject.module, example) if layer is None else layer
    with torch.no_grad():
        Feature(subject.module, name)(example)  # what is wrong with a layer is said before minutes are spent
    return name


def _chosen(subjects: Sequence[Subject], asked: Sequence[str]) -> list[int]:
    data = subjects[0].data
    usual = CLASSES if set(CLASSES) <= set(data.classes) else data.classes[:3]
    places = []
    for text in asked or usual:
        if asked and text.isdigit():
            if int(text) >= len(data.test):
                raise CktatError(f"there is no test image {text}: they are numbered 0 to {len(data.test) - 1}")
            places.append(int(text))
        elif text in data.classes:
            places.append(_first_right(subjects, text))
        else:
            raise unknown("class", text, data.classes, "or give the number of a test image")
    return list(dict.fromkeys(places))


def _first_right(subjects: Sequence[Subject], name: str) -> int:
    """The first test image of a class that all networks classify rightly."""
    label = subjects[0].data.classes.index(name)
    of_it = (subjects[0].data.test.labels == label).nonzero().flatten().tolist()
    for first in range(0, len(of_it), 250):
        part = of_it[first : first + 250]
        with true_fp32():
            right = [(predict(subject.module, images(subject, part)) == label).cpu() for subject in subjects]
        if len(hits := torch.stack(right).all(dim=0).nonzero()):
            return part[int(hits[0])]
    raise CktatError(
        f"no test image of class {name!r} is classified rightly by every network; give numbers of "
        "images, as `cktat knowledge RUN RUN --images 3,17` takes them"
    )


def _view(
    subject: Subject, name: str, layer: str, chosen: Sequence[int], entropy: Tensor, threshold: float
) -> NetworkView:
    from cktat.paper.knowledge.picture import NetworkView

    x = images(subject, chosen)
    y = subject.data.test.labels[list(chosen)].to(x.device)
    with true_fp32():
        gradient = saliency(subject.module, x, y).amax(dim=1)
        try:
            cam = grad_cam(subject.module, layer, x, y)
        except CktatError:  # of a layer without a map there is none, and its place stays empty
            cam = torch.zeros(len(x), 1, 1)
    return NetworkView(name, entropy, points(entropy, threshold), gradient.cpu(), cam.cpu())


def _draw(
    out: Path, subject: Subject, chosen: Sequence[int], views: Sequence[NetworkView], threshold: float
) -> tuple[Path, ...]:
    from cktat.paper.knowledge.picture import comparison_figure, knowledge_figure

    x = images(subject, chosen).cpu()
    labels = [subject.data.classes[int(label)] for label in subject.data.test.labels[list(chosen)]]
    figures = {
        "knowledge": knowledge_figure(x, labels, views, threshold),
        "comparison": comparison_figure(x, labels, views),
    }
    return tuple(_save(figure, out / f"{name}.{kind}") for name, figure in figures.items() for kind in ("png", "svg"))


def _save(figure: Figure, path: Path) -> Path:
    import matplotlib

    buffer = io.BytesIO()
    nameless: dict[str, Any] = {"Software": None} if path.suffix == ".png" else {"Date": None, "Creator": None}
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "cktat"}):  # the same numbers, the same file
        figure.savefig(buffer, format=path.suffix[1:], metadata=nameless)
    write_atomic(path, buffer.getvalue())
    return path


def _pictured(subject: Subject, place: int, number: int, views: Sequence[NetworkView]) -> dict[str, Any]:
    found = {
        view.name: {
            "inside": int(view.points.on_foreground[number]),
            "outside": int(view.points.on_background[number]),
        }
        for view in views
    }
    return {"index": place, "class": subject.data.classes[int(subject.data.test.labels[place])], "points": found}


def _network(subject: Subject, name: str, found: Entropies) -> dict[str, Any]:
    spread = {
        key: [float(values.min()), float(values.mean()), float(values.max())]
        for key, values in (("change", found.change), ("settled", found.settled))
    }
    return {"name": name, "config": subject.run.read()["config"]} | found.of | {"min_mean_max": spread}
