"""What is plainly meant is taken, whatever it is written in; what is not is one line from every attack, never a raw error."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cktat.attacks import Attack, Ball, apgd, autoattack, cw, fab, fgsm, mim, norm_of, pgd, sign, square
from cktat.attacks.attack import ROUNDING
from cktat.errors import CktatError

EPS = 0.125


def aa(*given: Any, **more: Any) -> Tensor:
    return autoattack(*given, **{"attacks": ["apgd-ce"], **more}).x_adv


ALL: dict[str, Callable[..., Tensor]] = {
    "fgsm": fgsm, "pgd": partial(pgd, steps=3), "pgd twice": partial(pgd, steps=2, restarts=2),
    "mim": partial(mim, steps=3), "cw": partial(cw, steps=3), "Attack": Attack(steps=3, direction=sign),
    "apgd": partial(apgd, steps=4), "fab": partial(fab, steps=3), "square": partial(square, queries=5),
    "autoattack": aa, "packed": partial(aa, mode="packed"),
}  # fmt: skip
STEPPED = ("pgd", "mim", "cw", "Attack")


@pytest.fixture(scope="module")
def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 5)
        return nn.Sequential(*layers).eval()


def images() -> tuple[Tensor, Tensor]:
    x = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return x, torch.tensor([0, 1, 2, 3])


# Numbers, norms, names


@pytest.mark.parametrize(
    "eps",
    [np.float64(EPS), np.float32(EPS), np.float16(EPS), np.array(EPS), torch.tensor(EPS), Fraction(1, 8)],
    ids=lambda eps: type(eps).__name__,
)
@pytest.mark.parametrize("name", ALL)
def test_a_radius_may_be_a_number_of_any_library(name: str, eps: Any, net: nn.Module) -> None:
    assert torch.equal(ALL[name](net, *images(), eps=eps), ALL[name](net, *images(), eps=EPS))


@pytest.mark.parametrize("name", ALL)
def test_the_radius_may_be_the_fourth_argument(name: str, net: nn.Module) -> None:
    assert torch.equal(ALL[name](net, *images(), EPS), ALL[name](net, *images(), eps=EPS))


@pytest.mark.parametrize("kind", [np.int64, np.uint8, torch.tensor, np.array])
def test_counts_and_seeds_may_be_numbers_of_any_library(kind: Callable[[int], Any], net: nn.Module) -> None:
    given: Any = (net, *images(), EPS)
    for attack in (pgd, mim, cw, apgd, fab):
        wanted = attack(*given, steps=4, restarts=2, seed=3)
        assert torch.equal(attack(*given, steps=kind(4), restarts=kind(2), seed=kind(3)), wanted)
    assert torch.equal(square(*given, queries=kind(7)), square(*given, queries=7))
    assert torch.equal(apgd(*given, steps=3, eot=kind(2)), apgd(*given, steps=3, eot=2))
    assert torch.equal(aa(*given, batch_size=kind(2), seed=kind(3)), aa(*given, batch_size=2, seed=3))
    attack = Attack(steps=kind(2), restarts=kind(3))  # type: ignore[arg-type]
    assert (type(attack.steps), type(attack.restarts)) == (int, int) and attack == Attack(steps=2, restarts=3)


def test_other_numbers_may_be_of_numpy_too(net: nn.Module) -> None:
    given: Any = (net, *images(), EPS)
    assert torch.equal(mim(*given, decay=np.float32(0.5)), mim(*given, decay=0.5))
    assert torch.equal(cw(*given, confidence=np.float32(0.5)), cw(*given, confidence=0.5))
    assert torch.equal(pgd(*given, box=(np.float32(0), np.float32(1))), pgd(*given))
    assert torch.equal(pgd(*given, box=[0, 1]), pgd(*given))  # type: ignore[arg-type]


LINF = ("Linf", "linf", "LINF", "L_inf", "inf", math.inf, np.inf, np.float32(np.inf), torch.inf)
L2 = ("L2", "l2", "L_2", "2", 2, 2.0, np.int64(2), torch.tensor(2))


@pytest.mark.parametrize("norm", [*LINF, *L2], ids=repr)
@pytest.mark.parametrize("name", ALL)
def test_a_norm_may_be_written_in_any_way(name: str, norm: Any, net: nn.Module) -> None:
    wanted = "L2" if any(norm is other for other in L2) else "Linf"
    assert norm_of(norm) == Ball(EPS, norm=norm).norm == wanted
    assert torch.equal(ALL[name](net, *images(), EPS, norm=norm), ALL[name](net, *images(), EPS, norm=wanted))


@pytest.mark.parametrize("norm", ["L1", 1, 0, -math.inf, math.nan, None, True, [2], "L22", ""], ids=repr)
def test_another_norm_is_refused(norm: Any, net: nn.Module) -> None:
    for attack in ALL.values():
        with pytest.raises(CktatError, match=r"^unknown norm of a ball .*known: Linf, L2$"):
            attack(net, *images(), EPS, norm=norm)


@pytest.mark.parametrize("name", STEPPED)
def test_alpha_is_another_name_of_step(name: str, net: nn.Module) -> None:
    found = ALL[name](net, *images(), EPS, alpha=np.float64(0.01))
    assert torch.equal(found, ALL[name](net, *images(), EPS, step=0.01))
    assert not torch.equal(found, ALL[name](net, *images(), EPS))
    with pytest.raises(CktatError, match=r"^alpha is another name of an attack's step; give only one of them$"):
        ALL[name](net, *images(), EPS, step=0.01, alpha=0.01)
    for value in (0, -0.1, math.nan, "0.1", True, [0.1]):
        with pytest.raises(CktatError, match=r"an attack's step must be a finite number above 0, not "):
            ALL[name](net, *images(), EPS, alpha=value)


@pytest.mark.parametrize(
    ("version", "names"),
    [
        ("standard", {"apgd-ce", "apgd-t", "fab-t", "square"}),
        ("plus", {"apgd-ce-x5", "apgd-dlr-x5", "fab-x5", "square", "apgd-t", "fab-t"}),
        ("rand", {"apgd-ce-eot20", "apgd-dlr-eot20"}),
        (None, {"apgd-ce", "apgd-t", "fab-t", "square"}),
    ],
)
def test_a_version_of_autoattack_has_the_attacks_of_its_authors_package(version: Any, names: set[str]) -> None:
    # logits that no image moves: nothing falls, and every attack is tried
    x, y = torch.full((1, 1, 2, 3), 0.5), torch.tensor([0])
    outcome = autoattack(lambda x: 0 * x.flatten(1)[:, :5] + torch.eye(5)[0], x, y, EPS, version=version)
    assert set(outcome.seconds) == names and outcome.accuracy == 1.0


def test_what_is_no_choice_of_attacks(net: nn.Module) -> None:
    for more, message in (
        (
            {"version": "plsu"},
            r"unknown version of AutoAttack 'plsu'; did you mean 'plus'\? known: standard, plus, rand",
        ),
        ({"version": ["rand"]}, "unknown version of AutoAttack "),
        ({"version": "rand", "attacks": ["square"]}, "a version or attacks, not both"),
        ({"attacks": []}, "at least one attack"),
        ({"attacks": 3}, "must be a list of names, not 3"),
        ({"attacks": [["square"]]}, "must be a list of names, not "),
        ({"attacks": ["squire"]}, "unknown attack of AutoAttack 'squire'; did you mean 'square'"),
    ):
        with pytest.raises(CktatError, match=message):
            autoattack(net, *images(), EPS, **more)  # type: ignore[arg-type]
    with pytest.raises(CktatError, match="unknown loss of APGD"):
        apgd(net, *images(), EPS, loss=["ce"])  # type: ignore[arg-type]


def test_a_function_that_is_an_entry_has_the_entrys_numbers() -> None:
    for function, steps in ((pgd, 20), (mim, 20), (cw, 30)):
        assert inspect.signature(function).parameters["steps"].default == steps


# Images and boxes


@pytest.mark.parametrize("kind", ROUNDING)
@pytest.mark.parametrize("name", ALL)
def test_a_rounding_error_outside_the_box_is_cut_off(name: str, kind: torch.dtype, net: nn.Module) -> None:
    x, y = images()
    x.view(-1)[0], x.view(-1)[-1] = 0.0, 1.0
    x = x.to(kind)
    spoilt = x.clone()
    spoilt.view(-1)[0] = -0.9 * ROUNDING[kind]
    spoilt.view(-1)[-1] = torch.nextafter(torch.ones(1, dtype=kind), torch.full((1,), 2.0, dtype=kind))
    before = spoilt.clone()
    found = ALL[name](net, spoilt, y, EPS)
    assert torch.equal(found, ALL[name](net, x, y, EPS)) and torch.equal(spoilt, before)


def test_normalising_and_back_is_a_rounding_error(net: nn.Module) -> None:
    grey = (torch.arange(256) / 255).expand(1, 3, 256).unsqueeze(2)
    for mean, std in ((0.4914, 0.2471), (0.485, 0.229), (0.4465, 0.2616), (0.5, 0.5)):
        back = (grey - mean) / std * std + mean
        assert float((back - grey).abs().max()) < ROUNDING[torch.float32] / 2
        pgd(net, back, torch.tensor([0]), EPS, steps=1)


@pytest.mark.parametrize("value", [-0.001, 1.001, 2.0, 255.0])
@pytest.mark.parametrize("name", ALL)
def test_further_outside_the_range_is_named(name: str, value: float, net: nn.Module) -> None:
    x, y = images()
    x[0, 0, 0, 0] = value
    with pytest.raises(CktatError, match=rf"^images reach from .*{value:g}.*, outside the data's box \[0.0, 1.0\]$"):
        ALL[name](net, x, y, EPS)


def test_the_tolerance_grows_with_the_box(net: nn.Module) -> None:
    x, y = images()
    grey = 255 * x
    grey[0, 0, 0, 0] = 255.0001
    assert torch.equal(pgd(net, grey, y, 8, box=(0, 255)), pgd(net, grey.clamp(0, 255), y, 8, box=(0, 255)))
    grey[0, 0, 0, 0] = 255.01
    with pytest.raises(CktatError, match=r"outside the data's box \[0.0, 255.0\]"):
        pgd(net, grey, y, 8, box=(0, 255))


@pytest.mark.parametrize(
    "box", [(1, 0), (0, 0), (0,), (0, 1, 2), "01", 3, (0, math.nan), ("0", "1"), np.zeros(2)], ids=repr
)
def test_what_is_no_box(box: Any, net: nn.Module) -> None:
    with pytest.raises(
        CktatError, match=r"^a box is its lowest and its highest value, such as \(0.0, 1.0\), or None, not "
    ):
        Ball(EPS, box)
    with pytest.raises(CktatError, match=r"^a box is"):
        pgd(net, *images(), EPS, box=box)


# Never a raw error


def inference(make: Callable[[], Any]) -> Any:
    with torch.inference_mode():
        return make()


REFUSED: dict[str, Callable[[nn.Module, Tensor, Tensor], tuple[Any, Any, Any]]] = {
    "channels last": lambda net, x, y: (net, x.permute(0, 2, 3, 1), y),
    "one channel": lambda net, x, y: (net, x[:, :1], y),
    "scripted, one channel": lambda net, x, y: (torch.jit.script(net), x[:, :1], y),
    "one image": lambda net, x, y: (net, x[0], y[:1]),
    "flat images": lambda net, x, y: (net, x.flatten(1), y),
    "images of no width": lambda net, x, y: (net, x[..., :0], y),
    "no images": lambda net, x, y: (net, x[:0], y[:0]),
    "bytes": lambda net, x, y: (net, (255 * x).byte(), y),
    "complex images": lambda net, x, y: (net, x.cfloat(), y),
    "quarter precision": lambda net, x, y: (net, x.to(torch.float8_e4m3fn), y),
    "NumPy images": lambda net, x, y: (net, x.numpy(), y),
    "a list of images": lambda net, x, y: (net, list(x), y),
    "sparse images": lambda net, x, y: (net, x.to_sparse(), y),
    "images without numbers": lambda net, x, y: (net, x.to("meta"), y),
    "NaN": lambda net, x, y: (net, x.where(x > x.min(), torch.nan), y),
    "infinity": lambda net, x, y: (net, x.where(x > x.min(), torch.inf), y),
    "float labels": lambda net, x, y: (net, x, y.float()),
    "one-hot labels": lambda net, x, y: (net, x, torch.eye(5, dtype=torch.int64)[y]),
    "labels in a column": lambda net, x, y: (net, x, y.unsqueeze(1)),
    "one label": lambda net, x, y: (net, x, torch.tensor(1)),
    "too few labels": lambda net, x, y: (net, x, y[:2]),
    "negative labels": lambda net, x, y: (net, x, y - 1),
    "labels of other data": lambda net, x, y: (net, x, y + 5),
    "enormous labels": lambda net, x, y: (net, x, y + 2**40),
    "NumPy labels": lambda net, x, y: (net, x, y.numpy()),
    "labels without numbers": lambda net, x, y: (net, x, y.to("meta")),
    "sparse labels": lambda net, x, y: (net, x, y.to_sparse()),
    "no labels": lambda net, x, y: (net, x, None),
    "no network": lambda net, x, y: (None, x, y),
    "a name": lambda net, x, y: ("resnet18", x, y),
    "a class": lambda net, x, y: (nn.Linear, x, y),
    "a network of inference mode": lambda net, x, y: (inference(lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 5))), x, y),
    "an assertion": lambda net, x, y: (failing(AssertionError()), x, y),
    "an error of two lines": lambda net, x, y: (failing(RuntimeError("one\ntwo")), x, y),
    "nothing": lambda net, x, y: (lambda x: None, x, y),
    "a tuple": lambda net, x, y: (lambda x: (net(x), x), x, y),
    "NumPy logits": lambda net, x, y: (lambda x: net(x).detach().numpy(), x, y),
    "whole logits": lambda net, x, y: (lambda x: net(x).long(), x, y),
    "complex logits": lambda net, x, y: (lambda x: net(x) * 1j, x, y),
    "quarter-precision logits": lambda net, x, y: (lambda x: net(x).to(torch.float8_e4m3fn), x, y),
    "one class": lambda net, x, y: (lambda x: net(x)[:, :1], x, 0 * y),
    "a map of logits": lambda net, x, y: (lambda x: net(x)[:, :, None], x, y),
    "sparse logits": lambda net, x, y: (lambda x: net(x).to_sparse(), x, y),
    "logits without numbers": lambda net, x, y: (lambda x: net(x).to("meta"), x, y),
}  # fmt: skip


def failing(error: Exception) -> Callable[[Tensor], Tensor]:
    def model(x: Tensor) -> Tensor:
        raise error

    return model


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("name", ALL)
def test_what_cannot_be_attacked_is_one_line(name: str, what: str, net: nn.Module) -> None:
    model, x, y = REFUSED[what](net, *images())
    with pytest.raises(CktatError) as caught:
        ALL[name](model, x, y, EPS)
    assert "\n" not in str(caught.value) and len(str(caught.value)) > 20


TAKEN: dict[str, Callable[[nn.Module, Tensor, Tensor], tuple[Any, Tensor, Tensor]]] = {
    "logits of an object": lambda net, x, y: (lambda x: SimpleNamespace(logits=net(x)), x, y),
    "a scripted network": lambda net, x, y: (torch.jit.script(net), x, y),
    "a frozen one": lambda net, x, y: (torch.jit.freeze(torch.jit.script(net)), x, y),
    "a traced one": lambda net, x, y: (torch.jit.trace(net, x), x, y),
    "images of inference mode": lambda net, x, y: (net, inference(x.clone), y),
    "labels of inference mode": lambda net, x, y: (net, x, inference(y.clone)),
    "images with a graph": lambda net, x, y: (net, x.clone().requires_grad_() * 1, y),
    "int32 labels": lambda net, x, y: (net, x, y.int()),
    "uint8 labels": lambda net, x, y: (net, x, y.byte()),
    "uint16 labels": lambda net, x, y: (net, x, y.to(torch.uint16)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("what", TAKEN)
@pytest.mark.parametrize("name", ALL)
def test_what_is_plainly_meant_is_taken(name: str, what: str, net: nn.Module) -> None:
    model, x, y = TAKEN[what](net, *images())
    found = ALL[name](model, x, y, EPS)
    # a script sums in another order, and in a search the last bit may decide
    assert float((found - ALL[name](net, *images(), EPS)).abs().mean()) < 1e-3
