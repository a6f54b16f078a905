"""Networks that may be anybody's: they work in place, hide their mode, detach, or take other types; never a raw error."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cktat.attacks import ATTACKS, SEARCHES, apgd, attacked, autoattack, cw, fab, fgsm, logits_of, mim, pgd, square
from cktat.errors import CktatError
from cktat.evaluation import examine
from cktat.models import Normalised

EPS = 0.1
ALL: dict[str, Callable[..., Tensor]] = {
    "fgsm": fgsm, "pgd": partial(pgd, steps=4), "pgd twice": partial(pgd, steps=3, restarts=2), "mim": partial(mim, steps=4),
    "cw": partial(cw, steps=4), "apgd": partial(apgd, steps=8), "apgd-t": partial(apgd, steps=8, loss="dlr-targeted"),
    "fab-t": partial(fab, steps=6), "fab": partial(fab, steps=6, targeted=False), "square": partial(square, queries=30),
    "exact": lambda *given, **more: autoattack(*given, **more, attacks=["apgd-ce"], batch_size=3).x_adv,
    "packed": lambda *given, **more: autoattack(*given, **more, attacks=["apgd-ce"], batch_size=3, mode="packed").x_adv,
}  # fmt: skip
"""All attacks as functions, short."""


class Small(nn.Module):
    """A network with BatchNorm whose statistics fit its images, so that some of them break within EPS."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.body = nn.Sequential(
                nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.Tanh(), nn.Flatten(), nn.Linear(6 * 36, 4)
            )
            for _ in range(30):
                self.body(torch.rand(16, 2, 6, 6))
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        return 3 * self.body(x)


def images(net: nn.Module, n: int = 7) -> tuple[Tensor, Tensor]:
    """Images with the labels that the network gives them."""
    x = torch.rand(n, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return x, net(x).argmax(dim=1)


IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "subtracts": lambda x: x.sub_(0.25).div_(0.5),
    "through data": lambda x: (x, x.data.sub_(0.25).div_(0.5))[0],
    "through a view": lambda x: x.view(-1).mul_(0.5).view(x.shape),
    "ten away": lambda x: x.add_(10).sub(10),
}


class InPlace(nn.Module):
    def __init__(self, net: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.change = net, change

    def forward(self, x: Tensor) -> Tensor:
        return self.net(self.change(x))


@pytest.mark.parametrize("change", IN_PLACE)
@pytest.mark.parametrize("name", ALL)
def test_a_network_that_works_in_place_is_attacked_as_one_that_does_not(name: str, change: str) -> None:
    net = InPlace(Small(), IN_PLACE[change])
    x, y = images(InPlace(net, torch.clone))
    before = x.clone()
    found = ALL[name](net, x, y, eps=3 * EPS)
    assert torch.equal(x, before)
    assert torch.equal(found, ALL[name](InPlace(net, torch.clone), x, y, eps=3 * EPS))
    with torch.no_grad():
        assert int((net(found.clone()).argmax(dim=1) == y).sum()) < len(y)


def test_the_doubts_of_a_network_that_works_in_place_are_those_of_one_that_does_not() -> None:
    net = InPlace(Small(), IN_PLACE["subtracts"]).eval()
    careful = InPlace(net, torch.clone).eval()
    x, y = images(careful, 24)
    before = x.clone()
    seen = [examine(model, x, y, eps=EPS).findings for model in (net, careful)]
    assert seen[0] == seen[1] and torch.equal(x, before)


def test_a_network_of_the_project_gives_a_body_that_works_in_place_a_tensor_of_its_own() -> None:
    net = Normalised(InPlace(Small(), IN_PLACE["subtracts"]), [0.0, 0.0], [1.0, 1.0]).eval()
    x = torch.rand(3, 2, 6, 6)
    before = x.clone()
    net(x)
    assert torch.equal(x, before)


# Ball and box


class Odd(nn.Module):
    """Logits that do what a test asks for at the images that come after the first ones."""

    def __init__(self, spoil: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.spoil, self.calls = spoil, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        logits = torch.stack([torch.sin((k + 1) * 3 * x.flatten(1)).sum(dim=1) for k in range(4)], dim=1)
        return self.spoil(x, logits) if self.calls > 3 else logits


SPOILS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "nothing": lambda x, z: z,
    "writes infinity into its input": lambda x, z: (z, x.data.fill_(torch.inf))[0],
    "writes 10 into its input": lambda x, z: (z, x.data.fill_(10.0))[0],
    "NaN": lambda x, z: z * torch.nan,
    "infinite": lambda x, z: z / 0,
    "NaN for some": lambda x, z: torch.where(x.flatten(1)[:, :1] > 0.4, z, torch.nan),
    "huge gradients": lambda x, z: z * 1e30,
    "no gradients": lambda x, z: 0 * z,
    "bf16": lambda x, z: z.bfloat16(),
    "float64": lambda x, z: z.double(),
}


@settings(max_examples=150)
@given(
    name=st.sampled_from(sorted(ALL)),
    spoil=st.sampled_from(sorted(SPOILS)),
    eps=st.one_of(st.sampled_from([0.0, 1 / 255, 2 / 255, 8 / 255, 0.031, 0.5, 1.0]), st.floats(1e-6, 1.0)),
    kind=st.sampled_from([torch.float32, torch.bfloat16, torch.float16, torch.float64]),
    norm=st.sampled_from(["Linf", "L2"]),
    seed=st.integers(0, 2**31),
)
def test_whatever_the_network_does_images_are_in_ball_and_box_or_there_are_none(
    name: str, spoil: str, eps: float, kind: torch.dtype, norm: str, seed: int
) -> None:
    draws = torch.Generator().manual_seed(seed)
    x = torch.rand(3, 1, 6, 6, generator=draws).to(kind)
    x.view(-1)[0], x.view(-1)[-1] = 0.0, 1.0
    y, before = torch.randint(0, 4, (3,), generator=draws), x.clone()
    try:
        found = ALL[name](Odd(SPOILS[spoil]), x, y, eps=eps, norm=norm)
    except CktatError as error:
        assert spoil in ("NaN", "infinite", "NaN for some", "huge gradients"), error
        return
    finally:
        assert torch.equal(x, before)
    found, x = (part.to(torch.promote_types(found.dtype, torch.float32)) for part in (found, x))
    assert float(found.min()) >= 0 and float(found.max()) <= 1
    if norm == "L2":
        assert float((found - x).flatten(1).norm(dim=1).max()) <= eps * (1 + 1e-6) + 1e-6
    elif name.startswith("fab"):  # its authors measure the distance, which rounds otherwise than the ball's edge
        assert float((found - x).abs().max()) <= torch.tensor(eps)
    else:
        assert bool(((found >= x - eps) & (found <= x + eps)).all())


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["fgsm", "pgd", "pgd twice", "mim", "cw"])
def test_half_precision_stays_in_the_ball_and_gets_somewhere(name: str, kind: torch.dtype) -> None:
    """Near 1, bf16 knows only every 256th number: its nearest to x + 2/255 is a quarter of the radius outside."""
    net = Small().to(kind)
    x, y = images(Small(), 40)
    x = x.to(kind)
    found = ALL[name](net, x, y, eps=2 / 255)
    assert found.dtype == kind
    moved = (found.float() - x.float()).abs()
    assert float(moved.max()) <= 2 / 255 < float((x.float() + 2 / 255).to(kind).sub(x).max())
    assert float(moved.mean()) > 0.5 * 2 / 255


@pytest.mark.parametrize("mode", ["exact", "packed"])
@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_autoattack_refuses_what_lies_outside_its_ball(mode: Any, norm: Any) -> None:
    """A search at fault, and a journal of one."""
    net = Small()
    x, y = images(net)
    kept: list[Any] = []
    given: dict[str, Any] = {"attacks": ["apgd-ce"], "batch_size": 4, "mode": mode, "norm": norm}
    autoattack(net, x, y, eps=2 * EPS, keep=kept.append, **given)
    assert any(len(entry.broken) for entry in kept)
    with pytest.raises(CktatError, match=rf"an attack moved an image by .* \({norm}\), further than eps 0.01"):
        autoattack(net, x, y, eps=0.01, done=kept, **given)
    for entry in kept:
        entry.x_adv.sub_(1.0)
    with pytest.raises(CktatError, match=r"further than eps|out of the data's box"):
        autoattack(net, x, y, eps=1.0, done=kept, **given)


# Modes


def test_a_network_behind_a_function_is_attacked_in_eval_mode_and_left_in_train_mode() -> None:
    """Seen in a closure, an object, a partial, a default, a container, a method, a function in a function, and by its name."""
    net = Small()
    x, y = images(net)
    wanted = pgd(net, x, y, eps=EPS)
    holder = SimpleNamespace(net=net)

    class Calling:
        def __init__(self) -> None:
            self.parts = {"net": net}

        def __call__(self, x: Tensor) -> Tensor:
            return self.parts["net"](x)

        def logits(self, x: Tensor) -> Tensor:
            return self(x)

    def inner(x: Tensor) -> Tensor:
        return net(x)

    functions: list[Callable[[Tensor], Tensor]] = [
        lambda x: net(x), lambda x, net=net: net(x), lambda x: holder.net(x), partial(lambda net, x: net(x), net),
        partial(lambda x, net: net(x), net=net), Calling(), Calling().logits, lambda x: inner(x), net.forward,
        lambda x: (lambda: inner(x))(), lambda x: by_name(x), lambda x, nets=(net,): nets[0](x),
    ]  # fmt: skip
    for function in functions:
        for trained in (net, NAMED["net"]):
            trained.train()
        statistics = net.body[1].running_mean.clone()
        assert torch.equal(pgd(function, x, y, eps=EPS), wanted)
        assert torch.equal(net.body[1].running_mean, statistics) and all(part.training for part in net.modules())


NAMED = {"net": Small()}


def by_name(x: Tensor) -> Tensor:
    return NAMED["net"](x)


class Sealed:
    """Keeps its network where nobody looks."""

    __slots__ = ("calls", "seal")

    def __init__(self, net: Callable[[Tensor], Tensor]) -> None:
        self.seal, self.calls = net, 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.seal(x)


@pytest.mark.parametrize("name", ALL)
def test_batch_statistics_that_nobody_sees_show_in_the_logits(name: str) -> None:
    x, y = images(Small())
    with pytest.raises(CktatError, match=r"^an image's logits depend on the other images of its batch.*\.eval\(\)"):
        ALL[name](Sealed(Small().train()), x, y, eps=EPS)
    ALL[name](Sealed(Small()), x, y, eps=EPS)
    ALL[name](
        Sealed(lambda x: Small()(x + 0.05 * torch.randn_like(x))), x, y, eps=EPS
    )  # a randomised network is let be


def test_a_network_that_goes_back_to_train_mode_by_itself_is_refused_and_one_that_draws_is_not() -> None:
    net = Small()
    x, y = images(net)

    def training(x: Tensor) -> Tensor:
        return net.train()(x)

    with pytest.raises(CktatError, match="puts its BatchNorm in train mode when it is called"):
        pgd(training, x, y, eps=EPS)
    assert not any(part.training for part in net.modules())
    drop = nn.Dropout(0.1)
    pgd(lambda x: net(drop.train()(x)), x, y, eps=EPS)


def test_examine_sees_the_mode_of_a_network_behind_a_function() -> None:
    net = Small().train()
    x, y = images(Small(), 20)
    verdict = examine(lambda x: net(x), x, y, eps=EPS)
    (state,) = [finding for finding in verdict.findings if finding.check == "state"]
    assert (state.finding, state.evidence["in_train_mode"]) == ("doubt", 7) and net.training


# Types, shapes and raw errors


@pytest.mark.parametrize("weights", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["fgsm", "pgd twice", "mim", "cw"])
def test_images_and_weights_of_different_types(name: str, kind: torch.dtype, weights: torch.dtype) -> None:
    net = Small()
    x, y = images(net)
    found = ALL[name](net.to(weights), x.to(kind), y, eps=EPS)
    assert found.dtype == kind
    full = torch.float64 if kind == torch.float64 else torch.float32  # whose draws are others
    wanted = ALL[name](Small().to(full), x.to(kind).to(full), y, eps=EPS)
    assert float((found.to(full) - wanted).abs().mean()) < 0.03


def test_a_network_that_takes_images_of_another_type_gets_them_as_they_are() -> None:
    seen = set()

    def function(x: Tensor) -> Tensor:
        seen.add(x.dtype)
        return net(x.double())

    net = Small().double()
    pgd(function, *images(Small()), eps=EPS)
    assert seen == {torch.float32}


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_autoattack_takes_images_of_any_type_and_computes_in_fp32(kind: torch.dtype) -> None:
    net = Small()
    x, y = images(net)
    for name in ("apgd", "exact", "packed", "square"):
        found = ALL[name](net, x.to(kind), y, eps=EPS)
        assert torch.equal(found, ALL[name](net, x.to(kind).float(), y, eps=EPS))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_logits_of_half_precision_are_raised_so_that_losses_are_not(kind: torch.dtype) -> None:
    net = Small().to(kind)
    x, _ = images(Small())
    with torch.no_grad():
        assert logits_of(net, x).dtype == torch.float32 and torch.equal(logits_of(net, x), net(x.to(kind)).float())
    assert logits_of(Small().double(), x).dtype == torch.float64


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_one_logit_that_is_not_finite_is_enough(value: float) -> None:
    x = torch.rand(3, 2, 6, 6)
    logits = torch.zeros(3, 4)
    assert torch.equal(logits_of(lambda x: logits, x), logits)
    logits[1, 2] = value
    with pytest.raises(CktatError, match=r"gives logits that are not finite \(NaN or infinity\)"):
        logits_of(lambda x: logits, x)


def test_an_object_with_logits_is_those_logits() -> None:
    net = Small()
    x, y = images(net)
    for name, attack in ALL.items():
        wanted = attack(net, x, y, eps=EPS)
        assert torch.equal(attack(lambda x: SimpleNamespace(logits=net(x), loss=None), x, y, eps=EPS), wanted), name


def script(net: nn.Module) -> nn.Module:
    return torch.jit.freeze(torch.jit.script(net.eval()))


def inference(net: Callable[[], nn.Module]) -> nn.Module:
    with torch.inference_mode():
        return net()


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("name", ALL)
def test_scripted_networks_frozen_or_in_train_mode_are_attacked_as_the_network(name: str) -> None:
    net = Small()
    x, y = images(net)
    wanted = ALL[name](net, x, y, eps=EPS)
    scripted = torch.jit.script(Small().train())
    for model in (script(net), lambda x, net=script(net): net(x), scripted):
        # their sums are in another order, and in a search the last bit may decide
        assert float((ALL[name](model, x, y, eps=EPS) - wanted).abs().mean()) < 1e-3
    assert scripted.training


REFUSED: dict[str, tuple[Callable[[Small], Any], str]] = {
    "detaches the answer": (lambda net: lambda x: net(x).detach(), "carry no gradient to the images"),
    "detaches the image": (lambda net: lambda x: net(x.detach()), "carry no gradient to the images"),
    "no_grad": (lambda net: torch.no_grad()(net), "carry no gradient to the images"),
    "numpy": (
        lambda net: lambda x: torch.from_numpy(net(x).numpy()),
        "the model failed on .*RuntimeError: Can't call numpy",
    ),
    "frozen answer": (lambda net: lambda x: torch.eye(4)[net(x).argmax(dim=1)], "carry no gradient to the images"),
    "inference_mode": (lambda net: inference(Small), "made under torch.inference_mode"),
    "behind a function": (lambda net: lambda x, net=inference(Small): net(x), "made under torch.inference_mode"),
    "one channel": (lambda net: nn.Sequential(nn.Conv2d(1, 4, 3), net), "failed on float32 images .*have 1 channels"),
    "float64 of one channel": (
        lambda net: nn.Sequential(nn.Conv2d(1, 2, 1), Small()).double(),
        "failed on float32 images .*have 1 channels|computes in float32, and the model is of torch.float64",
    ),
    "raises": (lambda net: lambda x: {}["x"], "the model failed on float32 images .* KeyError: 'x'"),
    "integers": (lambda net: lambda x: net(x).long(), "floating logits"),
    "complex": (lambda net: lambda x: net(x) + 0j, "floating logits"),
    "tuple": (lambda net: lambda x: (net(x), x), "not a tuple"),
    "three classes": (lambda net: lambda x: net(x)[:, :1], "must return logits"),
    "changes what was kept": (lambda net: lambda x: net(spoilt(x)), "no gradient comes back .* modified by an inplace"),
    "backward raises": (lambda net: lambda x: net(Stuck.apply(x)), "no gradient comes back .*ValueError: stuck"),
}


def spoilt(x: Tensor) -> Tensor:
    """The square of the images, which are overwritten although its gradient needs them."""
    x = x + 0
    square = x * x
    x.zero_()
    return square


class Stuck(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        raise ValueError("stuck")


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("name", ALL)
def test_what_cannot_be_attacked_is_one_clear_line(name: str, case: str) -> None:
    net = Small()
    make, message = REFUSED[case]
    if name == "square" and ("gradient" in message or case == "numpy"):
        return  # it needs no gradients
    with pytest.raises(CktatError, match=message) as caught:
        ALL[name](make(net), *images(net), eps=EPS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ALL)
def test_images_and_labels_that_make_no_sense_are_one_clear_line(name: str) -> None:
    net = Small()
    x, y = images(net)
    cases = {
        "divide whole-number pixels by 255": ((255 * x).to(torch.uint8), y),
        r"are \[N, C, H, W\], and these seem to have their channels last": (x[:, :1].permute(0, 2, 3, 1), y),
        r"failed on float32 images \[., 3, 6, 6\]: RuntimeError: .*to have 2 channels": (torch.rand(7, 3, 6, 6), y),
        "one integer label per image: got labels .* of torch.float32": (x, y.float()),
        "got labels .* of torch.complex64": (x, y + 0j),
        r"got labels \[7, 4\]": (x, torch.eye(4, dtype=torch.int64)[y]),
        "a label is 9, but the model has 4 classes": (x, y + 9 - y),
        r"attacks take a batch of images \[N, ...\], not \[\]": (x[0, 0, 0, 0], y),
    }
    for message, (images_, labels) in cases.items():
        with pytest.raises(CktatError, match=message) as caught:
            ALL[name](net, images_, labels, eps=EPS)
        assert "\n" not in str(caught.value)


def test_inference_mode_around_an_attack_is_refused_and_its_tensors_are_taken() -> None:
    net = Small()
    x, y = images(net)
    with torch.inference_mode():
        inside = x.clone(), y.clone()
        with pytest.raises(CktatError, match=r"attacks need gradients, which torch.inference_mode\(\) forbids"):
            pgd(net, x, y, eps=EPS)
    for name, attack in ALL.items():
        assert torch.equal(attack(net, *inside, eps=EPS), attack(net, x, y, eps=EPS)), name


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_too_little_memory_is_not_called_the_network_s_fault(kind: torch.dtype) -> None:
    net = Small().to(kind)

    def greedy(x: Tensor) -> Tensor:
        net(x)
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    with pytest.raises(RuntimeError, match="can't allocate memory"):
        pgd(greedy, *images(Small()), eps=EPS)


def test_nothing_is_left_changed_where_a_function_is_refused() -> None:
    net = Small().train()
    with pytest.raises(CktatError), attacked(lambda x: net(x)):
        raise CktatError("anything")
    assert all(part.training for part in net.modules()) and all(w.requires_grad for w in net.parameters())


def test_every_named_attack_and_search_is_tried_here() -> None:
    assert {"fgsm", "mim", "cw"} <= set(ATTACKS) & set(ALL) and {"square", "fab-t", "apgd-t"} <= set(SEARCHES) & set(
        ALL
    )
