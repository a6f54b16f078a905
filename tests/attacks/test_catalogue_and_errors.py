"""The attacks by name do what their entries say, and what makes no sense is refused in one line."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cktat.attacks import ATTACKS, SEARCHES, Attack, Ball, apgd, autoattack, cw, fab, fgsm, mim, named, pgd
from cktat.errors import CktatError

# name -> steps, length of a step as a share of eps, start
WANTED = {
    "fgsm": (1, 1.0, "image"),
    "pgd10": (10, 0.25, "uniform"),
    "pgd20": (20, 0.25, "uniform"),
    "pgd100": (100, 0.25, "uniform"),
    "mim": (20, 0.25, "image"),
    "mim10": (10, 0.25, "uniform"),
    "cw": (30, 0.25, "uniform"),
}


LOOKS = 2
"""Passes of two images by which a function without a module is seen to answer each image by itself."""


class Counted(torch.autograd.Function):
    """The identity, which counts how often a gradient comes back through it."""

    @staticmethod
    def forward(ctx, x: Tensor, counter: Counting) -> Tensor:
        ctx.counter = counter
        return x.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor):
        ctx.counter.backward += 1
        return gradient, None


class Counting:
    """Logits of a quadratic network, and how many passes went through it each way."""

    def __init__(self) -> None:
        self.forward = self.backward = 0

    def __call__(self, x: Tensor) -> Tensor:
        self.forward += 1
        flat = Counted.apply(x, self).flatten(1)
        return torch.stack([flat.square().sum(dim=1), flat.sum(dim=1), (1 - flat).sum(dim=1)], dim=1)


def images(n: int = 3) -> tuple[Tensor, Tensor]:
    return torch.rand(n, 1, 2, 2, generator=torch.Generator().manual_seed(0)), torch.arange(n) % 3


def test_all_entries_are_here() -> None:
    assert set(WANTED) == set(ATTACKS)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_entry_takes_as_many_steps_as_it_says(name: str) -> None:
    model, (x, y) = Counting(), images()
    named(name)(model, x, y, eps=0.1)
    assert (model.forward - LOOKS, model.backward) == (WANTED[name][0],) * 2
    assert (ATTACKS[name].steps, ATTACKS[name].step, ATTACKS[name].start) == WANTED[name]


@pytest.mark.parametrize("restarts", [2, 3])
def test_restarts_cost_their_steps_and_one_look_each(restarts: int) -> None:
    model, (x, y) = Counting(), images()
    Attack(steps=7, restarts=restarts)(model, x, y, eps=0.1)
    assert (model.forward - LOOKS, model.backward) == (restarts * 8, restarts * 7)


@pytest.mark.parametrize(("attack", "steps"), [(pgd, 20), (mim, 20), (cw, 30)])
def test_functions_take_the_steps_asked_for_and_default_to_their_entry(attack, steps: int) -> None:
    for asked, given in ((steps, {}), (3, {"steps": 3})):
        model, (x, y) = Counting(), images()
        attack(model, x, y, eps=0.1, **given)
        assert model.backward == asked


@pytest.mark.parametrize(
    ("function", "name"), [(fgsm, "fgsm"), (pgd, "pgd20"), (mim, "mim"), (cw, "cw")], ids=lambda value: str(value)[:8]
)
def test_a_function_is_its_entry(function, name: str, curved, batch) -> None:
    model, (x, y) = curved(spread=3.0), batch
    assert torch.equal(function(model, x, y, eps=0.1, seed=2), ATTACKS[name](model, x, y, eps=0.1, seed=2))
    unbounded = function(model, x, y, eps=0.1, box=None, seed=2)
    assert torch.equal(unbounded, ATTACKS[name](model, x, y, eps=0.1, box=None, seed=2))
    assert float(unbounded.min()) < 0


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(CktatError, match=r"^unknown attack 'pdg20'; did you mean 'pgd20'.*known: fgsm, pgd10, .*, cw$"):
        named("pdg20")
    assert named("mim") is ATTACKS["mim"]


def refused(message: str, **changes) -> None:
    x, y = images()
    settings = {"x": x, "y": y, "eps": 0.1} | changes
    model = Counting()
    with pytest.raises(CktatError, match=message) as caught:
        pgd(model, settings.pop("x"), settings.pop("y"), **settings)
    assert "\n" not in str(caught.value)
    assert model.forward == 0  # before the first pass is spent


@pytest.mark.parametrize(
    ("eps", "message"),
    [
        (-0.1, "eps must be 0 or more, not -0.1"),
        (math.nan, "eps must be a finite number, not nan"),
        (math.inf, "eps must be a finite number, not inf"),
        (-math.inf, "eps must be a finite number, not -inf"),
        (True, "eps must be a finite number, not True"),
        ("8/255", "eps must be a finite number, not '8/255'"),
        (None, "eps must be a finite number, not None"),
        (8, r"eps 8 is wider than the data's box \[0.0, 1.0\].* write 8/255"),
        (1.0001, "eps 1.0001 is wider than the data's box"),
    ],
)
def test_radii_that_make_no_sense(eps, message: str) -> None:
    refused(message, eps=eps)
    with pytest.raises(CktatError, match=message):
        Ball(eps)


def test_an_unknown_norm() -> None:
    x, y = images()
    with pytest.raises(CktatError, match=r"unknown norm of a ball 'Linv'; did you mean 'Linf'.*known: Linf, L2"):
        Attack()(Counting(), x, y, eps=0.1, norm="Linv")
    Ball(5, norm="L2")  # in L2 a radius may be longer than the box is wide


def test_without_a_box_a_radius_may_be_of_any_size() -> None:
    x, y = images()
    assert float((pgd(Counting(), x, y, eps=8, box=None) - x).abs().max()) == pytest.approx(8, abs=1e-5)


@pytest.mark.parametrize("step", [0, -0.1, math.nan, math.inf])
def test_steps_that_make_no_sense(step) -> None:
    refused("step must be a finite number above 0", step=step)
    with pytest.raises(CktatError, match="step must be a finite number above 0"):
        Attack(step=step)(Counting(), *images(), eps=0.1)


def test_a_radius_of_0_needs_no_step() -> None:
    x, y = images()
    assert torch.equal(pgd(Counting(), x, y, eps=0.0), x)
    assert torch.equal(pgd(Counting(), x, y, eps=0, step=0.0), x)


@pytest.mark.parametrize("number", [0, -1, 1.5, 3.0, True, "3", None])
@pytest.mark.parametrize("name", ["steps", "restarts"])
def test_counts_that_make_no_sense(name: str, number) -> None:
    message = f"an attack's {name} must be a whole number of 1 or more, not {number!r}"
    refused(message, **{name: number})
    with pytest.raises(CktatError, match=message):
        Attack(**{name: number})


def test_an_unknown_start() -> None:
    refused("start must be 'uniform' or 'image', not 'gaussian'", start="gaussian")
    with pytest.raises(CktatError, match="not 'x'"):
        Attack(start="x")  # type: ignore[arg-type]


def test_images_that_make_no_sense() -> None:
    x, y = images()
    refused("float images, not torch.uint8; divide whole-number pixels by 255", x=(x * 255).to(torch.uint8))
    refused("float images, not torch.int64", x=(x * 255).long())
    refused(r"images reach from .* to 255, outside the data's box \[0.0, 1.0\]", x=x / x.max() * 255)
    refused("images reach from -0.[0-9]+ to ", x=x - 0.5)
    refused(r"outside the data's box \[0.5, 1.0\]", x=x / 2, box=(0.5, 1.0))
    for value in (math.nan, math.inf, -math.inf):
        spoilt = x.clone()
        spoilt[1, 0, 0, 1] = value
        refused("images contain NaN or infinite values", x=spoilt)
        refused("images contain NaN or infinite values", x=spoilt, box=None)
    refused("at least one image, got none", x=x[:0], y=y[:0])


def test_what_is_no_tensor() -> None:
    x, y = images()
    refused("attacks take images as a torch.Tensor, not a ndarray", x=x.numpy())
    refused("attacks take labels as a torch.Tensor, not a list", y=y.tolist())


def test_labels_that_make_no_sense() -> None:
    _, y = images()
    for labels in (y.float(), y[:2], y.unsqueeze(1), torch.tensor(1), torch.eye(3)[y]):
        refused("attacks take one integer label per image: got labels ", y=labels)


@pytest.mark.parametrize("kind", [torch.int32, torch.bool, torch.uint8, torch.int8])
def test_labels_of_another_integer_type_are_those_labels(kind: torch.dtype) -> None:
    x, y = images()
    attacks = (pgd, mim, cw, fgsm, apgd, fab, lambda *given, eps: autoattack(*given, eps=eps, attacks=["apgd-t"]).x_adv)
    for attack in attacks:
        assert torch.equal(attack(Counting(), x, (y % 2).to(kind), eps=0.1), attack(Counting(), x, y % 2, eps=0.1))


@pytest.mark.parametrize("label", [-1, -100])
def test_a_negative_label_is_refused(label: int) -> None:
    # -100 is what cross-entropy ignores: the image would not be attacked, in silence.
    _, y = images()
    y[0] = label
    refused("label", y=y)


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_a_decay_or_confidence_that_is_not_a_number_is_refused(value: float) -> None:
    # With NaN every direction is 0 and every image stays where it is: a network would look robust.
    x, y = images()
    with pytest.raises(CktatError, match="decay"):
        mim(Counting(), x, y, eps=0.1, decay=value)
    with pytest.raises(CktatError, match="confidence"):
        cw(Counting(), x, y, eps=0.1, confidence=value)


def test_every_attack_checks_its_input() -> None:
    x, y = images()
    for name in ATTACKS:
        with pytest.raises(CktatError, match="integer label"):
            ATTACKS[name](Counting(), x, y.float(), eps=0.1)


class Answering:
    """Gives what it is told to in place of the logits of a quadratic network."""

    def __init__(self, answer) -> None:
        self.answer, self.network = answer, Counting()

    def __call__(self, x: Tensor):
        return self.answer(self.network(x))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda z: (z, None), r"tensor of logits \[N, K\], not a tuple; if it returns several things"),
        (lambda z: z.long(), "floating logits .*, not torch.int64"),
        (lambda z: z[:, 0], r"for 3 images it returned \[3\]"),
        (lambda z: z[:2], r"for 3 images it returned \[2, 3\]"),
        (lambda z: z[:, :2], r"a label is 2, but the model has 2 classes \(0 to 1\)"),
        (lambda z: z.detach(), "logits carry no gradient"),
        (lambda z: z * math.nan, "not finite under attack"),
        # finite logits with a gradient of 0 * inf: its sign would be 0, and every image would stay where it is
        (lambda z: z + torch.sqrt(z * 0), "not finite under attack"),
    ],
)
@pytest.mark.parametrize("name", ATTACKS)
def test_answers_of_a_model_that_make_no_sense(name: str, answer, message: str) -> None:
    x, y = images()
    with pytest.raises(CktatError, match=message) as caught:
        named(name)(Answering(answer), x, y, eps=0.1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda z: z.detach(), "logits carry no gradient"),
        (lambda z: z + torch.sqrt(z * 0), "not finite under attack"),  # finite logits, their gradient is 0 * inf
    ],
)
@pytest.mark.parametrize("name", sorted(set(SEARCHES) - {"square"}))
def test_gradients_that_make_no_sense_do_not_make_a_network_robust(name: str, answer, message: str) -> None:
    x, _ = images()
    model = Answering(answer)
    with pytest.raises(CktatError, match=message):
        autoattack(model, x, model(x).argmax(dim=1), eps=0.01, attacks=(name,))


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, None, True])
def test_seeds_that_no_generator_takes(seed) -> None:
    with pytest.raises(CktatError, match="a seed must be a whole number of 0 or more"):
        autoattack(Counting(), *images(), eps=0.1, seed=seed)


def test_autoattack_says_that_it_computes_in_float32() -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3)).double()
    x, y = images()
    with pytest.raises(
        CktatError, match=r"computes in float32, and the model is of torch.float64; call model.float\(\)"
    ):
        autoattack(network, x.double(), y, eps=0.1)


def test_one_name_in_place_of_a_list() -> None:
    with pytest.raises(CktatError, match=r"must be a list of names, such as \['apgd-ce'\], not the text 'apgd-ce'"):
        autoattack(Counting(), *images(), eps=0.1, attacks="apgd-ce")
