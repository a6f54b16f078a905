"""One step of the authors' own code against one of ours, from the same weights, images and starting points.

CKTAT_AUTHORS names a folder of checkouts of their repositories (see `RELEASES`), which are not included; where one is not
there its tests are skipped. `CKTAT_AUTHORS=DIR pytest tests/authors` prints the table: how far loss and gradient (at their x'),
x' (by each one's own search) and BatchNorm's statistics after the step are from theirs.
"""

from __future__ import annotations

import ast
import copy
import os
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cktat import AdversarialLoss
from cktat.designs import make
from cktat.labels import Adversarial, Design, Gaussian, Moment

RELEASES = {
    "TRADES": "yaodongyu/TRADES @ 6e8e11b",
    "MART": "YisenWang/MART @ 2d83e17",
    "LBGAT": "dvlab-research/LBGAT @ f7f33f0",
    "RSLAD": "zibojia/RSLAD @ c40e04f",
    "hat": "imrahulr/hat @ 3177a4f",
    "AdversariallyRobustDistillation": "goldblum/AdversariallyRobustDistillation @ 779ade3",
    "IAD": "ZFancy/IAD @ a8091a8",
    "robust_overfitting": "locuslab/robust_overfitting @ c47a25c",
    "Generalist": "PKU-ML/Generalist @ f0dc153",
}
EPS, STEP, STEPS, CLASSES = 0.031, 0.007, 10, 10


class Watched(nn.Module):
    """A small network in float64 with BatchNorm that keeps what it was shown."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.body = nn.Sequential(
                nn.Conv2d(3, 8, 3, stride=2, padding=1),
                nn.BatchNorm2d(8),
                nn.ReLU(),
                nn.Flatten(),
                nn.Linear(128, CLASSES),
            ).double()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        return self.body(x)


@dataclass
class Scene:
    """What both begin with: images well inside [0, 1], so that clipping a start does not matter, labels, noise of starts."""

    x: Tensor
    y: Tensor
    noise: Tensor
    uniform: Tensor
    student: Watched = field(default_factory=lambda: Watched(1))
    other: Watched = field(default_factory=lambda: Watched(2))
    third: Watched = field(default_factory=lambda: Watched(3))


def scene() -> Scene:
    draws = torch.Generator().manual_seed(0)
    x = 0.1 + 0.8 * torch.rand(16, 3, 8, 8, generator=draws, dtype=torch.float64)
    y = torch.randint(0, CLASSES, (16,), generator=draws)
    noise = torch.randn(x.shape, generator=draws, dtype=torch.float64)
    uniform = 2 * torch.rand(x.shape, generator=draws, dtype=torch.float64) - 1
    made = Scene(x, y, noise, uniform)
    made.other.eval()
    made.third.eval()
    return made


@contextmanager
def on_this_machine(at: Scene) -> Iterator[None]:
    """Their code on a CPU, in float64, from our starting points: nothing else of it is changed."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(Tensor, "cuda", lambda self, *_, **__: self)
        patch.setattr(nn.Module, "cuda", lambda self, *_, **__: self)
        patch.setattr(Tensor, "float", lambda self: self)
        patch.setattr(torch.cuda, "synchronize", lambda *_: None)
        patch.setattr(torch, "randn", lambda *_, **__: at.noise.clone())
        patch.setattr(Tensor, "uniform_", lambda self, low, high: self.copy_(high * at.uniform))
        patch.setattr(np.random, "uniform", lambda low, high, shape: high * at.uniform.numpy())
        yield


class Bar(list[Any]):
    """Stands for tqdm and for meters."""

    set_description = set_postfix = update = lambda *_, **__: None


def taken(path: Path, *names: str) -> dict[str, Any]:
    """Functions and classes of a file by name, without the rest of it; `for NAME` is the loop over NAME."""
    wanted: list[ast.stmt] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in names:
            wanted.append(node)
    space: dict[str, Any] = {
        "torch": torch, "nn": nn, "F": F, "np": np, "copy": copy, "time": SimpleNamespace(time=lambda: 0.0),
        "Variable": variable,
        "tqdm": lambda of, **_: Bar(of), "OrderedDict": OrderedDict, "print": lambda *_: None, "device": "cpu",
    }  # fmt: skip
    exec(compile(ast.Module(wanted, []), str(path), "exec"), space)
    return space


def variable(x: Tensor, requires_grad: bool = False) -> Tensor:
    return x.detach().requires_grad_(requires_grad)


def carry_out(path: Path, over: str, space: dict[str, Any]) -> None:
    """The innermost loop of a file over enumerate(NAME), wherever it stands."""
    loops = [
        node for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.For) and ast.unparse(node.iter) == f"enumerate({over})"
    ]  # fmt: skip
    exec(compile(ast.Module(loops[:1], []), str(path), "exec"), space)


def still(*models: nn.Module) -> torch.optim.Optimizer:
    """An optimiser that takes no step, so that gradients can be looked at afterwards."""
    return torch.optim.SGD([p for model in models for p in model.parameters()], lr=0.0)


def of_function(file: str, name: str, beta: float) -> Callable[[Path, Scene], float]:
    def step(root: Path, at: Scene) -> float:
        loss = taken(root / file, name)[name](
            at.student, at.x, at.y, still(at.student), step_size=STEP, epsilon=EPS, perturb_steps=STEPS, beta=beta
        )
        loss.backward()
        return float(loss)

    return step


def lbgat(root: Path, at: Scene) -> float:
    at.other.train()
    loss = taken(root / "lbgat.py", "lbgat_loss")["lbgat_loss"](
        at.student, at.other, at.x, at.y, still(at.student, at.other), step_size=STEP, epsilon=EPS, perturb_steps=STEPS,
        beta=6.0,
    )  # fmt: skip
    loss.backward()
    return float(loss)


def hat(root: Path, at: Scene) -> float:
    context = root / "core/utils/context.py"
    space = taken(root / "core/utils/hat.py", "hat_loss")
    exec(compile(context.read_text(), str(context), "exec"), space)
    space["accuracy"] = lambda *_: 0.0
    loss, _ = space["hat_loss"](
        at.student, at.x, at.y, still(at.student), step_size=STEP, epsilon=EPS, perturb_steps=STEPS, h=2.0, beta=2.5, gamma=0.5,
        hr_model=at.other,
    )  # fmt: skip
    loss.backward()
    return float(loss)


def rslad(root: Path, at: Scene) -> float:
    space = taken(root / "resnet18_rslad_cifar10.py", "kl_loss")
    space["rslad_inner_loss"] = in_steps(taken(root / "rslad_loss.py", "rslad_inner_loss")["rslad_inner_loss"])
    space |= {
        "trainloader": [(at.x, at.y)], "student": at.student, "teacher": at.other, "optimizer": still(at.student),
        "epsilon": EPS,
    }  # fmt: skip
    carry_out(root / "resnet18_rslad_cifar10.py", "trainloader", space)
    return float(space["loss"])


def in_steps(inner: Callable[..., Any]) -> Callable[..., Any]:
    """Their inner loop with our step and radius."""
    return lambda *args, **named: inner(*args, **named | {"step_size": STEP, "epsilon": EPS})


def distilled(file: str, epoch: int, **args: Any) -> Callable[[Path, Scene], float]:
    """ARD and IAD: their class AttackPGD and their function train, on one batch."""

    def step(root: Path, at: Scene) -> float:
        space = taken(root / file, "AttackPGD", "train")
        attack = space["AttackPGD"](at.student, {"epsilon": EPS, "num_steps": STEPS, "step_size": STEP})
        kl = nn.KLDivLoss() if "IAD" not in file else nn.KLDivLoss(reduction="none")
        space |= {
            "args": SimpleNamespace(**args, save_period=10**9, dataset="", output=""), "trainloader": [(at.x, at.y)],
            "net": attack, "basic_net": at.student, "teacher_net": at.other, "teacher_st_net": at.third, "KL_loss": kl,
            "XENT_loss": nn.CrossEntropyLoss(),
        }  # fmt: skip
        more = () if "IAD" not in file else (attack, at.student, at.other)
        return float(space["train"](epoch, still(at.student), *more))

    return step


def rice(root: Path, at: Scene) -> float:
    space = taken(root / "train_cifar.py", "attack_pgd", "clamp")
    args = SimpleNamespace(eval=False, mixup=False, attack="pgd", attack_iters=STEPS, restarts=1, norm="l_inf", l1=0)
    space |= {
        "args": args, "train_batches": [{"input": at.x, "target": at.y}], "model": at.student, "epsilon": EPS,
        "pgd_alpha": STEP, "opt": still(at.student), "lr_schedule": lambda t: 0.0, "epoch": 0, "normalize": lambda X: X,
        "lower_limit": torch.zeros_like(at.x), "upper_limit": torch.ones_like(at.x), "criterion": nn.CrossEntropyLoss(),
        "train_loss": 0, "train_acc": 0, "train_robust_loss": 0, "train_robust_acc": 0, "train_n": 0,
    }  # fmt: skip
    at.student.train()
    carry_out(root / "train_cifar.py", "train_batches", space)
    return float(space["robust_loss"])


def generalist(root: Path, at: Scene) -> float:
    """With the tensor that their attack returns, where their loop expects two things of it."""
    space = taken(root / "main.py", "train", "EMA")
    attack = taken(root / "attacks.py", "AttackerPolymer")["AttackerPolymer"](EPS, STEPS, STEP, CLASSES, "cpu")
    losses: list[float] = []
    meter = SimpleNamespace(update=losses.append, mean=0.0)
    space |= {
        "train_loader": [(at.x, at.y)], "AverageMeter": lambda: meter, "args": SimpleNamespace(epochs=120),
        "adjust_learning_rate": lambda epoch: 0.0, "adjust_beta": lambda epoch: 1.0,
        "torch_accuracy": lambda *_: [torch.zeros(1)],
    }  # fmt: skip
    at.other.load_state_dict(at.student.state_dict())
    ema = [space["EMA"](model) for model in (at.student, at.other, at.student)]
    attackers = SimpleNamespace(
        run_specified=lambda name, model, x, y, **_: (attack.PGD(model, x, y, num_steps=STEPS), None)
    )
    at.student.seen.clear()
    space["train"](
        1, at.student, at.other, *ema, attackers, still(at.other), still(at.student), "cpu", ""
    )  # fmt: skip
    return losses[0]


@dataclass(frozen=True)
class Row:
    """A release's step and the design that is to be it. adv: which of the images shown to their student is x'. moves_bn:
    whether a deviation that docs/deviations.md lists moves running statistics; search: whether x' is the same; loss: whether
    its value is, and not the gradient alone. progress: how much of the training is done."""

    release: str
    step: Callable[[Path, Scene], float]
    design: Design
    adv: int
    moves_bn: bool = False
    search: bool = True
    loss: bool = True
    progress: float = 0.5
    letters: tuple[str, ...] = ("S",)
    teachers: tuple[str, ...] = ()


IAD_I = {"alpha": 1.0, "temp": 1.0, "beta": 0.1, "begin": 60}
IAD_II = {"alpha1": 0.5, "alpha2": 0.25, "temp": 1.0, "beta": 0.1, "begin": 40}
ARD = distilled("main.py", 0, alpha=1.0, temp=30.0)
TRADES = of_function("trades.py", "trades_loss", 6.0)
ROWS = {
    "TRADES": Row("TRADES", TRADES, make("trades"), 21, moves_bn=True),
    "TRADES, third_pass=true": Row("TRADES", TRADES, make("trades", third_pass=True), 21),
    "MART": Row("MART", of_function("mart.py", "mart_loss", 5.0), make("mart"), 11),
    "LBGAT": Row("LBGAT", lbgat, make("lbgat"), 20, letters=("S", "T")),
    "HAT": Row("hat", hat, make("hat"), 12, teachers=("H",)),
    "RSLAD": Row("RSLAD", rslad, make("rslad"), 10, teachers=("T",), loss=False),  # 1e-5 in its logarithm
    "PGD-AT": Row("robust_overfitting", rice, make("pgd_at"), 10, moves_bn=True, search=False),
    "PGD-AT, attack_mode=train": Row("robust_overfitting", rice, make("pgd_at", attack_mode="train"), 10, moves_bn=True),
    "ARD": Row("AdversariallyRobustDistillation", ARD, make("ard"), 10, True, False, teachers=("T",)),
    "ARD, attack_mode=train": Row(
        "AdversariallyRobustDistillation", ARD, make("ard", attack_mode="train"), 10, teachers=("T",)
    ),
    "IAD-I": Row("IAD", distilled("IAD-I.py", 100, **IAD_I), make("iad"), 10, True, False, teachers=("T",)),
    "IAD-I, attack_mode=train": Row(
        "IAD", distilled("IAD-I.py", 100, **IAD_I), make("iad", attack_mode="train"), 10, True, teachers=("T",)
    ),
    "IAD-II, attack_mode=train": Row(
        "IAD", distilled("IAD-II.py", 100, **IAD_II), make("iad", variant="II", attack_mode="train"), 10, teachers=("T", "C")
    ),
    "IAD-II before begin, attack_mode=train": Row(
        "IAD", distilled("IAD-II.py", 0, **IAD_II), make("iad", variant="II", attack_mode="train"), 10, True, progress=0.0,
        teachers=("T", "C"),
    ),
    "Generalist": Row("Generalist", generalist, make("generalist"), 10, letters=("R", "N")),
}  # fmt: skip


@dataclass(frozen=True)
class Compared:
    """The largest differences; of the gradient as a share of its largest entry."""

    loss: float
    gradient: float
    search: float
    statistics: float


def compared(root: Path, row: Row) -> Compared:
    theirs, ours = scene(), scene()
    with on_this_machine(theirs):
        value = row.step(root, theirs)
    adv = theirs.student.seen[row.adv]

    loss = ours_of(row, ours)
    x, y = loss._checked(ours.x, ours.y)
    ours.student.train()
    views, known = loss.attack(x, y)
    view = next(view for view in views if isinstance(view, Adversarial))
    search = float((views[view] - adv).abs().max())
    loss.losses(views, known, y)
    statistics = difference(buffers(theirs.student), buffers(ours.student))

    again = scene()
    loss = ours_of(row, again)
    x, y = loss._checked(again.x, again.y)
    again.student.train()
    views, _ = loss.attack(x, y)
    views |= {one: x + 2.0 * (adv - x) for one in views if one.sign == "x''"} | {view: adv}
    terms = loss.losses(views, {}, y)
    sum(terms.values()).backward()
    said = terms["R(x'):y"] if "R(x'):y" in terms else sum(terms.values())  # Generalist tells the loss of one learner
    pairs = [
        (p.grad, q.grad) for a, b in zip(learners(theirs, row), learners(again, row), strict=True)
        for p, q in zip(a.parameters(), b.parameters(), strict=True)
    ]  # fmt: skip
    largest = max(float(q.abs().max()) for _, q in pairs)
    gradient = max(float((p - q).abs().max()) for p, q in pairs) / largest
    return Compared(abs(float(said.detach()) - value), gradient, search, statistics)


def learners(at: Scene, row: Row) -> list[Watched]:
    return [at.student, at.other][: len(row.letters)]


def ours_of(row: Row, at: Scene) -> AdversarialLoss:
    """Our loss of the networks of a scene, which begins where theirs does."""
    if "N" in row.letters:
        at.other.load_state_dict(at.student.state_dict())
    for network in learners(at, row):
        network.train()
    made = AdversarialLoss(
        row.design,
        learners=dict(zip(row.letters, learners(at, row), strict=True)),
        teachers=dict(zip(row.teachers, [at.other, at.third], strict=False)),
        eps=EPS, step=STEP, steps=STEPS, epochs=200,
    )  # fmt: skip
    made.moment = Moment(row.progress, int(row.progress * 200), 200, 0)

    def begins(step: int, x: Tensor) -> dict[Any, Tensor]:
        return {
            view: x + (0.001 * at.noise if isinstance(view.start, Gaussian) else EPS * at.uniform)
            for view in row.design.views
            if isinstance(view, Adversarial)
        }

    made._starts = SimpleNamespace(at=begins)
    return made


def buffers(model: nn.Module) -> list[Tensor]:
    return [buffer for buffer in model.buffers() if buffer.is_floating_point()]


def difference(some: list[Tensor], others: list[Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(some, others, strict=True))


FOUND: dict[str, Compared] = {}


def checkout(release: str) -> Path:
    folder = os.environ.get("CKTAT_AUTHORS")
    if not folder:
        pytest.skip("CKTAT_AUTHORS names no folder of checkouts of the authors' repositories")
    if not (Path(folder) / release).is_dir():
        pytest.skip(f"there is no checkout of {RELEASES[release]} as {release} in CKTAT_AUTHORS")
    return Path(folder) / release


@pytest.mark.parametrize("name", ROWS)
def test_a_step_is_theirs(name: str) -> None:
    row = ROWS[name]
    found = FOUND[name] = compared(checkout(row.release), row)
    assert found.gradient < 1e-7  # IAD's own weights are in float32
    assert (found.loss < 1e-8) == row.loss
    assert (found.search < 1e-12) == row.search
    assert (found.statistics > 1e-6) == row.moves_bn


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    if not FOUND:
        pytest.skip("no step was compared")
    with capsys.disabled():
        print(f"\n{'method':40}{'loss':>10}{'gradient':>10}{'x_':>10}{'BatchNorm':>11}".replace("x_", "x'"))
        for name, row in FOUND.items():
            print(f"{name:40}{row.loss:10.1e}{row.gradient:10.1e}{row.search:10.1e}{row.statistics:11.1e}")
