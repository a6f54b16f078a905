"""The views of a step equal the authors' own inner loops, and making them disturbs nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cktat.attacks import Attack, Ball, pgd
from cktat.designs import DESIGNS, make
from cktat.labels import (
    Cell,
    Design,
    Frozen,
    Learner,
    Moment,
    Term,
    adversarial,
    clean,
    extrapolated,
    gaussian,
    here,
    inverse,
    mix,
    top,
    uniform,
    y,
)
from cktat.runs import Threat
from cktat.training.starts import begin, draw
from cktat.training.views import build_views

EPS, STEP, STEPS, SIGMA = 0.05, 0.013, 5, 0.001
S, T = Learner("S"), Frozen("T")

Views = Callable[..., tuple[dict, dict]]


@pytest.fixture
def networks(small_net) -> dict:
    """S in train mode, as the loop has it, T in eval mode."""
    return {S: small_net(0).train(), T: small_net(1).eval()}


@pytest.fixture
def views_of(batch, networks) -> Views:
    """views_of(design, ...): build_views on the batch, with draws from seed 3."""
    x, labels = batch

    def build(design: Design, modules=None, box=(0.0, 1.0), moment=None, eps=EPS, norm="Linf"):
        threat = Threat(eps=eps, step=STEP, steps=STEPS)
        ball, draws = Ball(eps, box, norm), torch.Generator().manual_seed(3)
        starts = begin(ball, x, draw(design, ball, x.shape, x.dtype, draws))
        return build_views(design, modules or networks, threat, ball, x, labels, 3, starts, moment or Moment())

    return build


def only(view) -> Design:
    """A design that looks at one adversarial view."""
    return Design("one view", (Term(S(view), y),))


def authors_loop(x: Tensor, start: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """The loop that TRADES, MART, RSLAD and AdaAD share: sign step, into the ball, into [0, 1]."""
    x_adv = start.clone()
    for _ in range(STEPS):
        x_adv.requires_grad_()
        with torch.enable_grad():
            loss_kl = loss(x_adv)
        grad = torch.autograd.grad(loss_kl, [x_adv])[0]
        x_adv = x_adv.detach() + STEP * torch.sign(grad.detach())
        x_adv = torch.min(torch.max(x_adv, x - EPS), x + EPS)
        x_adv = torch.clamp(x_adv, 0.0, 1.0)
    return x_adv.detach()


def noise_of(x: Tensor) -> Tensor:
    return torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=x.dtype)


def test_the_own_output_as_label_is_trades_inner_loop(views_of, networks, batch) -> None:
    x, _ = batch
    adv = adversarial(S, S(clean), start=gaussian(SIGMA))
    found = views_of(only(adv))[0][adv]
    model = networks[S].eval()

    def loss(x_adv: Tensor) -> Tensor:
        return F.kl_div(F.log_softmax(model(x_adv), dim=1), F.softmax(model(x), dim=1), reduction="sum")

    assert torch.equal(found, authors_loop(x, x + SIGMA * noise_of(x), loss))
    assert float((found - x).abs().max()) > EPS / 2


def test_the_teachers_output_as_label_is_rslads_inner_loop(views_of, networks, batch) -> None:
    x, _ = batch
    adv = adversarial(S, T(clean), start=gaussian(SIGMA))
    found, known = views_of(only(adv))
    model, teacher = networks[S].eval(), networks[T]
    with torch.no_grad():
        soft = F.softmax(teacher(x), dim=1)

    def loss(x_adv: Tensor) -> Tensor:
        return F.kl_div(F.log_softmax(model(x_adv), dim=1), soft, reduction="none").sum()

    assert torch.equal(found[adv], authors_loop(x, x + SIGMA * noise_of(x), loss))
    assert list(known) == [Cell(T, clean)] and torch.equal(known[T, clean], teacher(x).detach())


@pytest.mark.parametrize("tau", [0.5, 5.0])
def test_a_tempered_label_tempers_the_label_alone(tau: float, views_of, networks, batch) -> None:
    x, _ = batch
    adv = adversarial(S, T(clean, tau), start=gaussian(SIGMA))
    found = views_of(only(adv))[0][adv]
    model = networks[S].eval()
    with torch.no_grad():
        soft = F.softmax(networks[T](x) / tau, dim=1)
    wanted = authors_loop(x, x + SIGMA * noise_of(x), lambda x_adv: -(soft * F.log_softmax(model(x_adv), dim=1)).sum())
    assert torch.equal(found, wanted)


def test_the_true_label_with_a_gaussian_start_is_marts_inner_loop(views_of, networks, batch) -> None:
    x, labels = batch
    adv = adversarial(S, y, start=gaussian(SIGMA))
    found, known = views_of(only(adv))
    model = networks[S].eval()
    wanted = authors_loop(x, x + SIGMA * noise_of(x), lambda x_adv: F.cross_entropy(model(x_adv), labels))
    assert torch.equal(found[adv], wanted) and not known


@pytest.mark.parametrize("box", [(0.0, 1.0), None], ids=str)
def test_the_true_label_with_a_uniform_start_is_pgd(box, views_of, networks, batch) -> None:
    x, labels = batch
    adv = adversarial(S, y)
    draws = torch.Generator().manual_seed(3)
    wanted = pgd(networks[S], x, labels, eps=EPS, step=STEP, steps=STEPS, box=box, seed=draws)
    found = views_of(only(adv), box=box)[0]
    assert torch.equal(found[adv], wanted) and found[clean] is x
    assert bool((found[adv] < 0).any()) == (box is None)


def test_the_ball_is_that_of_the_norm(views_of, networks, batch) -> None:
    x, labels = batch
    adv = adversarial(S, y)
    draws = torch.Generator().manual_seed(3)
    attack = Attack(steps=STEPS)
    wanted = attack(networks[S], x, labels, eps=EPS, step=STEP, norm="L2", seed=draws)
    assert torch.equal(views_of(only(adv), norm="L2")[0][adv], wanted)
    assert float((wanted - x).flatten(1).norm(dim=1).max()) <= EPS + 1e-9


def test_smoothed_and_mixed_labels_are_followed_too(views_of, networks, batch) -> None:
    x, labels = batch
    model = networks[S].eval()
    with torch.no_grad():
        guess = F.softmax(networks[T](x), dim=1)
    onehot = F.one_hot(labels, 3).double()
    for label, target in (
        (mix(T(clean), y, 0.25), 0.25 * guess + 0.75 * onehot),
        (mix(uniform, y, 0.1), 0.1 / 3 + 0.9 * onehot),
        (top(T(clean)), F.one_hot(guess.argmax(dim=1), 3).double()),
    ):
        adv = adversarial(S, label, start=gaussian(SIGMA))
        wanted = authors_loop(
            x,
            x + SIGMA * noise_of(x),
            lambda x_adv, target=target: -(target * F.log_softmax(model(x_adv), dim=1)).sum(),
        )
        assert torch.equal(views_of(only(adv))[0][adv], wanted), str(label)


def adaad_loss(networks) -> Callable[[Tensor], Tensor]:
    model, teacher = networks[S].eval(), networks[T]
    return lambda x_adv: F.kl_div(
        F.log_softmax(model(x_adv), dim=1), F.softmax(teacher(x_adv), dim=1), reduction="none"
    ).sum()


def test_a_label_at_the_moving_point_is_adaads_inner_loop(views_of, networks, batch) -> None:
    # AdaAD differentiates the teacher, too: its gradient with respect to x' is half of what moves x'.
    x, _ = batch
    adv = adversarial(S, T(here), start=gaussian(SIGMA))
    found, known = views_of(only(adv))
    assert torch.equal(found[adv], authors_loop(x, x + SIGMA * noise_of(x), adaad_loss(networks)))
    assert not known


def test_a_label_at_the_moving_point_moves(views_of) -> None:
    moving, fixed = (adversarial(S, T(view), start=gaussian(SIGMA)) for view in (here, clean))
    assert not torch.equal(views_of(only(moving))[0][moving], views_of(only(fixed))[0][fixed])


def test_a_label_that_moves_in_part_is_worked_out_at_every_step(views_of, networks, batch) -> None:
    x, labels = batch
    adv = adversarial(S, mix(T(here), mix(T(clean), y, 0.5), 0.5), start=gaussian(SIGMA))
    found, known = views_of(only(adv))
    model, teacher = networks[S].eval(), networks[T]
    with torch.no_grad():
        fixed = 0.5 * F.softmax(teacher(x), dim=1) + 0.5 * F.one_hot(labels, 3)

    def loss(x_adv: Tensor) -> Tensor:
        target = 0.5 * F.softmax(teacher(x_adv), dim=1) + 0.5 * fixed
        return (target * (target.log() - F.log_softmax(model(x_adv), dim=1))).sum()

    assert torch.equal(found[adv], authors_loop(x, x + SIGMA * noise_of(x), loss))
    assert set(known) == {Cell(T, clean)}


def test_a_fixed_label_costs_one_pass_and_a_moving_one_a_pass_at_every_step(views_of, networks) -> None:
    passes: list[str] = []
    for network, module in networks.items():
        module.register_forward_hook(lambda *_, letter=network.letter: passes.append(letter))
    for label, wanted in ((T(clean), 1), (T(here), STEPS), (y, 0)):
        passes.clear()
        views_of(only(adversarial(S, label, start=gaussian(SIGMA))))
        assert (passes.count("S"), passes.count("T")) == (STEPS, wanted), str(label)


def test_two_views_draw_one_after_the_other_and_share_what_is_known(views_of, networks) -> None:
    first, second = (adversarial(S, T(clean), start=gaussian(EPS), sign=sign) for sign in ("a", "b"))
    calls: list[int] = []
    networks[T].register_forward_hook(lambda *_: calls.append(1))
    found, known = views_of(Design("two", (Term(S(first), y), Term(S(second), y))))
    assert len(calls) == 1 and set(known) == {Cell(T, clean)}
    alone = views_of(only(first))[0]
    assert torch.equal(found[first], alone[first]) and not torch.equal(found[first], found[second])


@pytest.mark.parametrize("reach", [0.5, 1.0, 2.0])
def test_the_extrapolated_view_lies_beyond_x_prime_and_is_not_clipped(reach: float, views_of, batch) -> None:
    x, _ = batch
    adv = adversarial(S, y)
    beyond = extrapolated(adv, reach)
    found = views_of(Design("beyond", (Term(S(beyond), y),)))[0]
    assert set(found) == {clean, adv, beyond}
    assert torch.equal(found[beyond], x + reach * (found[adv] - x))
    outside = bool((found[beyond] < 0).any()) or bool((found[beyond] > 1).any())
    assert outside == (reach > 1) and not found[beyond].requires_grad


@pytest.mark.parametrize("reach", [1.0, 0.5])
def test_an_inverse_view_goes_down_in_its_own_ball(reach: float, views_of, networks, batch) -> None:
    x, labels = batch
    near, adv = inverse(S, y, reach), adversarial(S, y)
    found = views_of(only(near))[0][near]
    model = networks[S].eval()
    start = x + reach * (2 * EPS * torch.rand(x.shape, generator=torch.Generator().manual_seed(3), dtype=x.dtype) - EPS)
    moved = start.clamp(0.0, 1.0)
    for _ in range(STEPS):
        moved.requires_grad_()
        (grad,) = torch.autograd.grad(F.cross_entropy(model(moved), labels, reduction="sum"), [moved])
        moved = moved.detach() - STEP * torch.sign(grad)
        moved = torch.min(torch.max(moved, x - reach * EPS), x + reach * EPS).clamp(0.0, 1.0)
    torch.testing.assert_close(found, moved, rtol=0, atol=1e-7)
    with torch.no_grad():
        losses = [F.cross_entropy(model(images), labels) for images in (found, x, views_of(only(adv))[0][adv])]
    assert losses[0] < losses[1] < losses[2]


def modules_for(design: Design, small_net) -> dict:
    return {network: small_net(number).train(network.trains) for number, network in enumerate(design.networks)}


@pytest.mark.parametrize("name", DESIGNS)
def test_every_design_gets_its_views_and_only_frozen_networks_are_known(name: str, views_of, small_net, batch) -> None:
    design = make(name)
    design = design.settle(**dict.fromkeys(design.open, 0.5))
    modules = modules_for(design, small_net)
    found, known = views_of(design, modules)
    assert set(design.views) <= set(found)
    for cell, logits in known.items():
        assert not cell.network.trains and not logits.requires_grad
        assert torch.equal(logits, modules[cell.network](found[cell.view]).detach())
    for view, images in found.items():
        assert images.shape == batch[0].shape and not images.requires_grad, str(view)


@pytest.mark.parametrize("name", ["trades", "rslad", "generalist", "lbgat"])
def test_networks_are_left_in_the_mode_they_had_with_statistics_and_gradients_untouched(
    name: str, views_of, small_net
) -> None:
    design = make(name)
    modules = modules_for(design, small_net)
    for module in modules.values():
        module.drop.eval()  # a part in another mode than the rest
        module.head.bias.grad = torch.ones_like(module.head.bias)
        module.body[1].weight.requires_grad_(False)

    def state() -> list[object]:
        return [
            (
                [part.training for part in module.modules()],
                [(p.requires_grad, None if p.grad is None else p.grad.tolist()) for p in module.parameters()],
                {key: tensor.tolist() for key, tensor in module.state_dict().items()},
            )
            for module in modules.values()
        ]

    before, rng = state(), torch.get_rng_state()
    seen: list[bool] = []
    for module in modules.values():
        module.body[2].register_forward_hook(lambda part, *_: seen.append(part.training))
    views_of(design, modules)
    assert seen and not any(seen)  # all of it happened in eval mode
    assert state() == before and torch.equal(torch.get_rng_state(), rng)


def test_a_radius_of_0_leaves_the_images(views_of, batch) -> None:
    x, _ = batch
    adv = adversarial(S, S(clean), start=gaussian(SIGMA))
    beyond = extrapolated(adv, 2.0)
    found = views_of(Design("beyond", (Term(S(adv), y), Term(S(beyond), y))), eps=0.0)[0]
    assert torch.equal(found[adv], x) and torch.equal(found[beyond], x)


def test_a_teacher_that_is_a_design_is_asked_for_its_output_and_not_for_its_own_teachers(views_of, small_net) -> None:
    # `of` holds another sentence: what is said in it about S, T and x' is not said of this design's.
    for of in (make("trades"), make("rslad")):
        teacher = Frozen("T", of=of)
        adv = adversarial(S, teacher(clean), start=gaussian(SIGMA))
        design = Design("taught", (Term(S(adv), teacher(clean)),))
        modules = {S: small_net(0).train(), teacher: small_net(1).eval()}
        calls: list[int] = []
        for module in modules.values():
            module.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        found, known = views_of(design, modules)
        assert set(known) == {Cell(teacher, clean)}
        assert len(calls) == STEPS + 1
        plain = adversarial(S, T(clean), start=gaussian(SIGMA))
        assert torch.equal(found[adv], views_of(only(plain), {S: modules[S], T: modules[teacher]})[0][plain])


@pytest.mark.parametrize("name", ["pgd_at", "trades", "cktat"])
def test_networks_that_work_in_place_give_the_views_of_those_that_do_not(name: str, networks, batch, views_of) -> None:
    design, (x, _) = DESIGNS[name](), batch
    before = x.clone()

    def played(change: Callable[[Tensor], Tensor]) -> dict:
        nets = {network: networks[S if network.trains else T] for network in (*design.learners, *design.frozen)}
        return {network: lambda x, net=net: net(change(x)) for network, net in nets.items()}

    in_place, careful = (views_of(design, played(change))[0] for change in (lambda x: x.mul_(0.5), lambda x: x * 0.5))
    assert torch.equal(x, before)
    assert in_place.keys() == careful.keys() and len(careful) > 1
    assert all(torch.equal(in_place[view], careful[view]) for view in careful)
