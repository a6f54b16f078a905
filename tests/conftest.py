"""What tests of whole runs share: data and networks so small that a run takes a fraction of a second."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from torch import Tensor

from cktat.api import Runner, Store, configure
from cktat.errors import CktatError
from cktat.labels import Design
from cktat.pages.figures import SIZES
from cktat.pages.looks import COLOURS, looks_of
from cktat.runs import RunFolder, World, sealed
from cktat.training import Begun, Callback

# No test depends on how busy the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

NETWORKS = """
from torch import nn


def net(classes, channels, width=4, last=None):
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.Flatten(),
        *([] if last is None else [last]), nn.Linear(9 * width, classes),
    )


def wide(classes, channels):
    return net(classes, channels, width=6)


def dropping(classes, channels):
    return net(classes, channels, last=nn.Dropout(0.5))
"""

DATA = """
import numpy as np


def data():
    return dict(np.load({path!r}))
"""


@dataclass(frozen=True)
class Tiny:
    """Files of a user: `data` (NPZ) of 48 training, 12 held-out and 30 test images, 6 x 6 grey, in 3 classes that a
    network tells apart, and `model`, a convolution with BatchNorm and a linear layer. `options` make a run of 2 epochs of
    4 steps of them. `file` holds the networks net, wide and dropping; `data_function` is the same data from a function.
    """

    folder: Path
    data: str
    data_function: str
    file: str

    @property
    def model(self) -> str:
        return f"{self.file}:net"

    @property
    def options(self) -> dict[str, Any]:
        return {
            "data": self.data, "model": self.model, "epochs": 2, "batch_size": 12, "lr": 0.05, "eps": 0.1, "steps": 2,
            "precision": "fp32", "threads": 1, "device": "cpu",
        }  # fmt: skip

    @property
    def flags(self) -> list[str]:
        """The options as the command line takes them."""
        return [part for key, value in self.options.items() for part in (f"--{key.replace('_', '-')}", str(value))]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", help="what tests/device run on: pretend, or cuda")


@pytest.fixture(autouse=True, scope="session")
def nothing_named_before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests name as a user's code, and images that they decode, are kept in folders of theirs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.setenv("CKTAT_CACHE", str(tmp_path_factory.mktemp("decoded")))
        yield


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    folder = tmp_path_factory.mktemp("tiny")
    numbers = np.random.default_rng(0)
    kinds = numbers.integers(40, 216, (3, 6, 6))
    arrays: dict[str, Any] = {}
    for part, images in (("train", 48), ("held_out", 12), ("test", 30)):
        labels = np.arange(images) % 3
        noise = numbers.integers(-40, 41, (images, 6, 6))
        arrays |= {f"x_{part}": (kinds[labels] + noise).astype(np.uint8), f"y_{part}": labels}
    np.savez(folder / "tiny.npz", **arrays)
    (folder / "tiny.py").write_text(NETWORKS + DATA.format(path=str(folder / "tiny.npz")))
    return Tiny(folder, str(folder / "tiny.npz"), f"{folder / 'tiny.py'}:data", str(folder / "tiny.py"))


class Steps(Callback):
    """Stands for both the stop and the watch of a training: counts its steps and asks to stop after `until` of them.

    begun: (design, steps done before) of every training that began, those of teachers included. at_step: is called with
    the number of every step.
    """

    def __init__(self, until: int | None = None, at_step: Callable[[int], None] = lambda step: None) -> None:
        self.until, self.at_step = until, at_step
        self.taken = 0
        self.begun: list[tuple[str, int]] = []

    def now(self) -> str | None:
        return "enough" if self.until is not None and self.taken >= self.until else None

    def begin(self, run: Begun) -> None:
        self.begun.append((run.design, run.done))

    def step(self, step: int, losses: Mapping[str, Tensor]) -> None:
        self.taken += 1
        self.at_step(self.taken)


class Runs:
    """Tiny runs: trained, stopped anywhere, compared."""

    Steps = Steps

    def __init__(self, tiny: Tiny) -> None:
        self.tiny = tiny

    def train(
        self,
        design: str | Design,
        store: Path,
        *,
        steps: Steps | None = None,
        say: Callable[[str], None] = lambda text: None,
        out: Path | None = None,
        resume: bool = False,
        ensure: bool = False,
        world: World = World(),
        **options: Any,
    ) -> RunFolder:
        """The finished run of a design, on tiny data unless the options say otherwise."""
        name = design if isinstance(design, str) else design.name
        config, data = configure(**({"design": name} | self.tiny.options | options))
        steps = steps or Steps()
        return Runner(Store(store), steps, steps, say, world).train(  # type: ignore[arg-type]
            config,
            data,
            design=None if isinstance(design, str) else design,
            folder=None if out is None else RunFolder(out),
            resume=resume,
            ensure=ensure,
        )

    def outcome(self, run: RunFolder) -> dict[str, Any]:
        """All that a run computed: the very bytes of its weights and cards, and its history but for the times."""
        names = [f"{pick}.{kind}" for pick in ("best", "last") for kind in ("safetensors", "json")]
        files = {name: (run.path / name).read_bytes() for name in names}
        history = [{k: v for k, v in line.items() if not k.startswith("seconds")} for line in run.history()]
        record = {k: v for k, v in run.read().items() if k in ("identity", "config", "inputs", "calibrated")}
        return files | {"history": history, "record": record, "finished": run.finished}

    @staticmethod
    def tree(folder: Path) -> dict[str, bytes | None]:
        """Everything in a folder: contents of files by path, None for folders."""
        return {str(p.relative_to(folder)): None if p.is_dir() else p.read_bytes() for p in sorted(folder.rglob("*"))}

    @staticmethod
    def edit(path: Path, change: Callable[[Any], Any], seal: bool = False) -> None:
        """Changes the JSON in a file. seal: and its sum with it, as who made the file would."""
        fields = change(json.loads(path.read_text()))
        if seal and isinstance(fields, dict):
            fields = sealed({name: value for name, value in fields.items() if name != "sha256"})
        path.write_text(json.dumps(fields))

    @staticmethod
    def forked(work: Callable[[], None]) -> Callable[[], int]:
        """Begins `work` in a process of its own; the result waits for its exit code, or minus the signal that ended it."""
        child = os.fork()
        if child == 0:
            try:
                work()
            except BaseException:
                os._exit(1)
            os._exit(0)
        return lambda: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    @staticmethod
    def die(*_: object) -> None:
        """As `kill -9` does: no handler, no clean-up, no flush."""
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="session")
def runs(tiny: Tiny) -> Runs:
    return Runs(tiny)


@pytest.fixture
def one_line() -> Callable[..., object]:
    """one_line(pattern): a context in which a CktatError of a single line that matches is raised."""

    @contextmanager
    def raises(pattern: str) -> Iterator[None]:
        with pytest.raises(CktatError, match=pattern) as caught:
            yield
        assert len(str(caught.value).splitlines()) == 1

    return raises


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """On tensors this small, several threads only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def threads_stay() -> Iterator[None]:
    """A run sets the number of threads of the process; the next test finds it as it was."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Shown:
    """What pages and drawings hold. figures: every drawing that was made while the test runs, in order."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []

    def figure(self, title: str) -> Figure:
        """The one drawing of this title."""
        (found,) = (figure for figure in self.figures if figure.get_label() == title)
        return found

    def lines(self, title: str) -> dict[str, list[tuple[float, float]]]:
        """Points of the lines of a plot, by their colour; each line's number, of its colour, stands at its end."""
        (axes,) = self.figure(title).axes
        whole = [line for line in axes.lines if line.get_solid_capstyle() == "round" and line.get_fillstyle() == "full"]
        found = {to_hex(line.get_color()): [(float(x), float(y)) for x, y in line.get_xydata()] for line in whole}
        numbers = {to_hex(text.get_color()): text for text in axes.texts if text.get_text().isdigit()}
        assert len(found) == len(whole) and numbers.keys() == found.keys()
        assert len({text.get_text() for text in numbers.values()}) == len(numbers)
        assert {colour: text.xy for colour, text in numbers.items()} == {c: points[-1] for c, points in found.items()}
        return found

    def rings(self, title: str) -> dict[str, tuple[float, float]]:
        """The marked point of each line that has one, by colour."""
        (axes,) = self.figure(title).axes
        rings = [line for line in axes.lines if line.get_fillstyle() == "none"]
        return {to_hex(line.get_color()): tuple(map(float, line.get_xydata()[0])) for line in rings}

    def bands(self, title: str) -> dict[str, list[tuple[float, float, float]]]:
        """(x, low, high) of the bands around lines, by colour."""
        (axes,) = self.figure(title).axes
        found: dict[str, list[tuple[float, float, float]]] = {}
        for band in axes.collections:
            at: dict[float, list[float]] = {}
            for x, y in band.get_paths()[0].vertices:
                at.setdefault(float(x), []).append(float(y))
            found[to_hex(band.get_facecolor()[0][:3])] = [(x, min(ys), max(ys)) for x, ys in at.items()]
        return found

    def discs(self, title: str) -> dict[str, tuple[float, float, float, float]]:
        """(x, y, half of the bar along x, along y) of the discs of a scatter plot, by colour."""
        (axes,) = self.figure(title).axes
        discs = {
            to_hex(line.get_color()): line.get_xydata()[0]
            for line in axes.lines
            if line.get_markersize() in SIZES.values()
        }
        numbers = {text.xy: text.get_text() for text in axes.texts}
        assert len({numbers[tuple(place)] for place in discs.values()}) == len(discs)
        found = {colour: [float(x), float(y), 0.0, 0.0] for colour, (x, y) in discs.items()}
        for bars in axes.collections:
            (first, last) = bars.get_segments()[0]
            place, colour = (last - first) / 2, to_hex(bars.get_color()[0])
            assert tuple((first + last) / 2) == pytest.approx(tuple(discs[colour]))
            along = int(place[1] != 0)
            assert place[1 - along] == 0
            found[colour][2 + along] = float(place[along])
        return {colour: tuple(values) for colour, values in found.items()}  # type: ignore[misc]

    @staticmethod
    def hex(colour: Any) -> str:
        return to_hex(colour)

    @staticmethod
    def colours(names: Sequence[str]) -> list[str]:
        """What these names wear on a page of their own."""
        return [look.colour for look in looks_of(names)]

    @staticmethod
    def page(path: Path) -> Element:
        """The page as a tree; every drawing in it stands below its own title."""
        text = re.sub(r"<meta[^>]*>|<!doctype[^>]*>|<br>", "", path.read_text(encoding="utf-8"))
        text = re.sub(r"(<img[^>]*[^/])>", r"\1/>", text).replace("xlink:href", "href")
        return ElementTree.fromstring(re.sub(r"{#.*?#}", "", text).strip())

    @staticmethod
    def text(element: Element) -> str:
        return " ".join(" ".join(element.itertext()).split())

    @classmethod
    def under(cls, page: Element, heading: str) -> list[Element]:
        """The elements after this heading (h2 or h3), as far as the next of its kind."""
        for parent in page.iter():
            children = list(parent)
            for place, child in enumerate(children):
                if child.tag in ("h2", "h3") and cls.text(child) == heading:
                    after = children[place + 1 :]
                    end = next((i for i, other in enumerate(after) if other.tag in ("h2", child.tag)), len(after))
                    return after[:end]
        raise AssertionError(f"no heading {heading!r}")

    @classmethod
    def table(cls, elements: list[Element], number: int = 0) -> list[list[str]]:
        """The texts of the cells of a table among these elements."""
        tables = [table for element in elements for table in element.iter("table")]
        return [[cls.text(cell) for cell in line if cell.tag in ("th", "td")] for line in tables[number].iter("tr")]

    @classmethod
    def legend(cls, elements: list[Element]) -> dict[str, str]:
        """The colour of each name in the first legend; its sample of a line has the same."""
        found: dict[str, str] = {}
        legend = next(ul for element in elements for ul in element.iter("ul") if ul.get("class") == "legend")
        for entry in legend:
            sample, tag = entry[0], entry[1]
            assert (sample.get("class"), tag.get("class")) == ("key", "tag") and sample.get("style") == tag.get("style")
            place = int((tag.get("style") or "").removeprefix("--c: var(--run").removesuffix(")"))
            found[cls.text(entry).partition(" ")[2]] = COLOURS[place - 1]
        return found

    @classmethod
    def captions(cls, elements: list[Element]) -> list[str]:
        """The captions of the drawings, each of which must be the title of its drawing."""
        figures = [figure for element in elements for figure in element.iter("figure")]
        captions = [cls.text(figure[0]) for figure in figures]
        assert captions == [figure[1].get("aria-label") for figure in figures]
        return captions


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """Keeps the drawings of the test; see `Shown`."""
    found, save = Shown(), Figure.savefig

    def kept(figure: Figure, *args: Any, **options: Any) -> None:
        found.figures.append(figure)
        save(figure, *args, **options)

    monkeypatch.setattr(Figure, "savefig", kept)
    return found
