"""What holds of every attack on every network: where its result lies, and that nothing else is touched."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cktat.attacks import ATTACKS, Ball, Norm, attacked
from cktat.errors import CktatError

EDGES = [0.0, 1 / 255, 8 / 255, 0.031, 0.5, 1.0]


class Waves(nn.Module):
    """Logits that curve differently everywhere, without parameters: cheap, and no state to keep."""

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        return torch.stack([torch.sin((k + 1) * 3 * flat + k).sum(dim=1) for k in range(3)], dim=1)


class Flat(nn.Module):
    """Logits whose gradient is 0 everywhere, so that an attack ends where it starts."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), 3, dtype=x.dtype) + 0 * x.flatten(1).sum(dim=1, keepdim=True)


def require_in_ball(found: Tensor, x: Tensor, eps: float, norm: str) -> None:
    """Exactly, in fp32 (of fp64 images, in fp64); a length may be off by the rounding of its sum."""
    found, x = (part if part.dtype == torch.float64 else part.float() for part in (found, x))
    if norm == "Linf":
        assert bool(((found >= x - eps) & (found <= x + eps)).all())
    else:
        assert float((found - x).flatten(1).norm(dim=1).max()) <= eps * (1 + 1e-6) + 1e-6


shapes = st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=40)
@given(
    name=st.sampled_from(sorted(set(ATTACKS) - {"pgd100"})),
    shape=shapes,
    eps=st.one_of(st.sampled_from(EDGES), st.floats(1e-6, 1.0)),
    box=st.sampled_from([(0.0, 1.0), (-1.0, 2.0), None]),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16]),
    seed=st.integers(0, 2**31),
    restarts=st.integers(1, 2),
    norm=st.sampled_from(["Linf", "Linf", "L2"]),
)
def test_the_result_is_in_ball_and_box_of_the_same_kind_and_repeatable(
    name: str, shape, eps: float, box, dtype: torch.dtype, seed: int, restarts: int, norm: str
) -> None:
    draws = torch.Generator().manual_seed(seed)
    x = torch.rand(shape, generator=draws).to(dtype)
    x.view(-1)[0], x.view(-1)[-1] = 0.0, 1.0
    y = torch.randint(3, (shape[0],), generator=draws)
    before, rng = x.clone(), torch.get_rng_state()
    attack = ATTACKS[name]
    if restarts > 1:
        attack = type(attack)(**{**vars(attack), "restarts": restarts})
    found = attack(Waves(), x, y, eps=eps, box=box, norm=norm, seed=seed)

    assert found.shape == x.shape and found.dtype == dtype and not found.requires_grad
    low, high = box or (-1.0, 2.0)
    assert low <= float(found.min()) and float(found.max()) <= high
    require_in_ball(found, x, eps, norm)
    assert torch.equal(x, before) and torch.equal(torch.get_rng_state(), rng)
    assert torch.equal(found, attack(Waves(), x, y, eps=eps, box=box, norm=norm, seed=seed))


@settings(max_examples=8)
@given(seeds=st.lists(st.integers(0, 2**31), min_size=2, max_size=2, unique=True), eps=st.floats(0.01, 0.5))
def test_different_seeds_start_elsewhere(seeds: list[int], eps: float) -> None:
    x, y = torch.full((2, 1, 3, 3), 0.5), torch.tensor([0, 1])
    for name, attack in ATTACKS.items():
        first, second = (attack(Flat(), x, y, eps=eps, seed=seed) for seed in seeds)
        assert torch.equal(first, second) == (attack.start == "image"), name


def test_a_generator_as_seed_goes_on_where_it_is() -> None:
    x, y = torch.full((2, 1, 3, 3), 0.5), torch.tensor([0, 1])
    draws = torch.Generator().manual_seed(7)
    again = torch.Generator().manual_seed(7)
    first, second = (ATTACKS["pgd20"](Flat(), x, y, eps=0.1, seed=draws) for _ in range(2))
    assert not torch.equal(first, second)
    ball = Ball(0.1)
    assert torch.equal(first, ball.uniform(x, again)) and torch.equal(second, ball.uniform(x, again))


def test_the_ball_keeps_its_points_and_brings_others_to_its_edge() -> None:
    ball = Ball(0.25, (0.0, 1.0))
    x = torch.tensor([0.0, 0.125, 0.5, 1.0])
    moved = torch.tensor([-0.5, 0.0625, 0.875, 0.875])
    assert ball.project(moved, x).tolist() == [0.0, 0.0625, 0.75, 0.875]
    assert Ball(0.25, None).project(moved, x).tolist() == [-0.25, 0.0625, 0.75, 0.875]


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_an_attack_may_not_leave_its_ball_by_more_than_rounding(norm: Norm) -> None:
    ball, x = Ball(0.1, (0.0, 1.0), norm), torch.full((2, 1, 2, 2), 0.5)
    edge = 0.1 if norm == "Linf" else 0.05  # a length over four pixels
    at_edge = x + edge
    assert ball.require(at_edge, x) is at_edge
    for further in (1 + 1e-5, 1.01, float("nan")):
        with pytest.raises(CktatError, match=rf"moved an image by .*\({norm}\), further than eps 0\.1"):
            ball.require(x + edge * further, x)
    assert len(ball.require(x[:0], x[:0])) == 0


def test_the_l2_ball_keeps_its_points_and_pulls_others_straight_back() -> None:
    ball = Ball(0.5, None, "L2")
    x = torch.zeros(3, 1, 1, 2, dtype=torch.float64)
    moved = torch.tensor([[0.3, 0.4], [3.0, -4.0], [0.0, 0.0]], dtype=torch.float64).view(3, 1, 1, 2)
    wanted = torch.tensor([[0.3, 0.4], [0.3, -0.4], [0.0, 0.0]], dtype=torch.float64).view(3, 1, 1, 2)
    torch.testing.assert_close(ball.project(moved, x), wanted)
    assert ball.distance(ball.project(moved, x), x).tolist() == pytest.approx([0.5, 0.5, 0.0])
    assert torch.equal(Ball(0.0, None, "L2").project(moved, x), x)
    assert float(Ball(0.5, (0.0, 1.0), "L2").project(moved, x).min()) == 0.0


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_the_steepest_direction_has_length_1_however_small_the_gradient_and_0_stays_0(norm: str) -> None:
    gradient = torch.tensor([[3.0, -4.0], [3e-30, -4e-30], [3e30, -4e30], [0.0, 0.0]]).view(4, 1, 1, 2)
    found = Ball(0.5, None, norm).steepest(gradient).view(4, 2)
    wanted = [1.0, -1.0] if norm == "Linf" else [0.6, -0.8]
    torch.testing.assert_close(found, torch.tensor([wanted, wanted, wanted, [0.0, 0.0]]))


class Failing(nn.Module):
    """Its network's logits, until the `last`th time."""

    def __init__(self, network: nn.Module, last: int) -> None:
        super().__init__()
        self.network, self.left = network, last

    def forward(self, x: Tensor) -> Tensor:
        self.left -= 1
        if self.left < 0:
            raise ArithmeticError("enough")
        return self.network(x)


def unusual(model: nn.Module) -> nn.Module:
    """`model` with a different mode in every part, a frozen weight, and gradients and statistics that are not fresh."""
    for number, part in enumerate(model.modules()):
        part.training = number % 2 == 0
    for number, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(number % 3 != 0)
        parameter.grad = torch.full_like(parameter, float(number)) if number % 2 else None
    return model


def snapshot(model: nn.Module) -> list[object]:
    def copied(tensor: Tensor | None) -> object:
        return None if tensor is None else (tensor.dtype, tensor.tolist())

    return [
        [part.training for part in model.modules()],
        [(p.requires_grad, copied(p.grad), copied(p)) for p in model.parameters()],
        [copied(buffer) for buffer in model.buffers()],
    ]


@pytest.mark.parametrize("restarts", [1, 2])
@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "pgd100"])
def test_the_network_is_left_exactly_as_it_was(name: str, restarts: int, curved, batch) -> None:
    model, (x, y) = unusual(curved()), batch
    before = snapshot(model)
    attack = type(ATTACKS[name])(**{**vars(ATTACKS[name]), "restarts": restarts})
    attack(model, x, y, eps=0.1)
    assert snapshot(model) == before


@pytest.mark.parametrize("last", [0, 1, 21, 25])
def test_also_when_it_fails_midway(last: int, curved, batch) -> None:
    model, (x, y) = unusual(Failing(curved(), last)), batch
    before = snapshot(model)
    attack = type(ATTACKS["pgd20"])(restarts=2)
    with pytest.raises(
        CktatError, match=r"^the model failed on float64 images \[6, 2, 4, 4\]: ArithmeticError: enough$"
    ):
        attack(model, x, y, eps=0.1)
    assert snapshot(model) == before


def test_it_is_attacked_in_eval_mode_without_gradients_for_weights(curved, batch) -> None:
    model, (x, y) = curved().train(), batch
    seen: list[tuple[bool, bool]] = []
    for part in model.modules():
        part.register_forward_hook(
            lambda part, *_: seen.append((part.training, any(p.requires_grad for p in part.parameters())))
        )
    in_train_mode = ATTACKS["pgd10"](model, x, y, eps=0.1)
    assert seen and set(seen) == {(False, False)}
    assert torch.equal(in_train_mode, ATTACKS["pgd10"](model.eval(), x, y, eps=0.1))


def test_several_networks_are_put_into_eval_mode_and_plain_functions_are_let_be(curved) -> None:
    first, second = unusual(curved(0)), unusual(curved(1))
    before = snapshot(first), snapshot(second)
    with attacked(first, lambda x: x, second):
        for model in (first, second):
            assert not any(part.training for part in model.modules())
            assert not any(p.requires_grad for p in model.parameters())
    assert (snapshot(first), snapshot(second)) == before


def test_it_works_where_gradients_are_switched_off_and_on_images_that_carry_them(curved, batch) -> None:
    model, (x, y) = curved(), batch
    wanted = ATTACKS["pgd10"](model, x, y, eps=0.1)
    with torch.no_grad():
        assert torch.equal(ATTACKS["pgd10"](model, x, y, eps=0.1), wanted)
    leaf = x.clone().requires_grad_()
    found = ATTACKS["pgd10"](model, leaf, y, eps=0.1)
    assert torch.equal(found, wanted) and not found.requires_grad and leaf.requires_grad and leaf.grad is None


def test_a_plain_function_can_be_attacked(curved, batch) -> None:
    model, (x, y) = curved(), batch
    assert torch.equal(
        ATTACKS["pgd10"](lambda images: model(images), x, y, eps=0.1), ATTACKS["pgd10"](model, x, y, eps=0.1)
    )
